"""Messages by HTTP: a POST of JSON, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from pi_detector import __version__
from pi_detector.core.clock import utc_now
from pi_detector.errors import SinkError
from pi_detector.sinks.notify.message import Message, as_json
from pi_detector.sinks.notify.services import NotSentError, RefusedError
from pi_detector.util.sandbox import how_to_allow
from pi_detector.util.uri import parse_network_uri

_HOPELESS = frozenset({400, 411, 413, 414, 415, 422, 431})
"""What an HTTP server says of a message that it will never take; RFC 9110, RFC 6585."""
_LONGEST_RETRY_S = 3600.0
_MOST_ANSWER_BYTES = 64 * 1024


class Webhook:
    """Sends messages to an ``http://`` or ``https://`` URL. Redirects are not followed.

    Args:
        url: of the webhook; user and password in it are sent as Basic authentication.
        secret: signs each request; empty for none.
        timeout_s: for the whole request.

    Raises:
        SinkError: no host can be read from the URL.
    """

    def __init__(self, url: str, secret: str, timeout_s: float) -> None:
        parsed = parse_network_uri(url)
        if parsed is None:
            raise SinkError("a webhook's URL has no host and port that can be read")
        self._parsed = parsed
        self._secret = secret
        self._timeout_s = timeout_s
        host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
        self.name = host if parsed.port is None else f"{host}:{parsed.port}"
        self._target = parsed.path or "/"
        if parsed.query is not None:
            self._target += f"?{parsed.query}"

    def prepare(self) -> None:
        """Nothing is needed."""

    def send(self, message: Message) -> None:
        """POST a message. Raises NotSentError, RefusedError."""
        body = as_json(message)
        connection = self._connection()
        # A server that sends a byte now and then would never reach a timeout of the socket.
        deadline_s = time.monotonic() + self._timeout_s
        cutter = threading.Timer(self._timeout_s, _cut, [connection])
        cutter.daemon = True
        cutter.start()
        try:
            connection.request("POST", self._target, body, self._headers(message, body))
            answer = connection.getresponse()
            answer.read(_MOST_ANSWER_BYTES)
        except ssl.SSLCertVerificationError as error:
            raise NotSentError(f"the certificate is not trusted: {error.verify_message}") from error
        except socket.gaierror as error:
            raise NotSentError(f"no such host: {error.strerror}") from error
        except TimeoutError as error:
            raise NotSentError("no answer in time") from error
        except (OSError, http.client.HTTPException, AttributeError) as error:
            # AttributeError: http.client's, of a connection that was cut meanwhile.
            if time.monotonic() >= deadline_s:
                raise NotSentError("no answer in time") from error
            words = getattr(error, "strerror", None) or type(error).__name__
            if isinstance(error, PermissionError):
                words += f"; if the server is in the internet: {how_to_allow()}"
            raise NotSentError(f"the connection failed: {words}") from error
        finally:
            cutter.cancel()
            connection.close()
        _judge(answer)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parsed.host, self._parsed.port
        if self._parsed.scheme == "https":
            return http.client.HTTPSConnection(
                host, port, timeout=self._timeout_s, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _headers(self, message: Message, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"pi-detector/{__version__}",
            "Idempotency-Key": message.id,
        }
        if self._parsed.userinfo:
            pair = unquote(self._parsed.userinfo).encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if self._secret:
            stamp = str(int(time.time()))
            headers["X-Pi-Detector-Timestamp"] = stamp
            headers["X-Pi-Detector-Signature"] = f"sha256={signature(self._secret, stamp, body)}"
        return headers


def signature(secret: str, stamp: str, body: bytes) -> str:
    """HMAC-SHA256 of the time stamp, a full stop and the body, in hexadecimal digits."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _cut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it ended by itself


def _judge(answer: http.client.HTTPResponse) -> None:
    if 200 <= answer.status < 300:
        return
    words = f"HTTP {answer.status} {answer.reason}".strip()[:80]
    if answer.status in _HOPELESS:
        raise RefusedError(words)
    raise NotSentError(words, _retry_s(answer.getheader("Retry-After")))


def _retry_s(value: str | None) -> float | None:
    """The seconds of a ``Retry-After``, a number or a date; RFC 9110, 10.2.3."""
    if value is None:
        return None
    try:
        if value.strip().isdecimal():
            seconds = float(value)
        else:
            seconds = (parsedate_to_datetime(value) - utc_now()).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_RETRY_S)
