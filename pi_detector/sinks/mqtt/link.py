"""One connection to the broker, from CONNECT to its end."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pi_detector.config.outputs import MqttSettings
from pi_detector.errors import SinkError
from pi_detector.sinks.mqtt.topics import Topics
from pi_detector.util.poll import ready

if TYPE_CHECKING:
    from paho.mqtt.client import Client

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 10.0
_PORT, _TLS_PORT = 1883, 8883
_CONNECTION = (
    *("host", "port", "version", "client_id", "username", "password"),
    *("tls", "ca_file", "cert_file", "key_file"),
)
# Of a packet around topic and payload, with room for properties.
_PACKET_OVERHEAD = 64

OnMessage = Callable[[str, bytes, bool], None]
"""Takes topic, payload, and whether the broker had retained it."""


class Link:
    """A connection that is made once, and not again: what is in flight is the caller's.

    For one thread, except that ``open`` may be called from another before all else. paho's own
    reconnection is not used: it has no jitter, so that all devices of a broker that restarts come
    back at once, and it keeps what is in flight where a kill of this process loses it.

    Args:
        settings: section `mqtt`.
        topics: names; the last will goes to ``availability``.
        client_id: of this connection.
        wake: file descriptor that ends a ``poll`` when it can be read.
        on_message: takes what arrives.
        last_will: have the broker publish ``offline`` when this connection is lost.

    Attributes:
        connected: the broker accepted the connection.
        failure: why it ended, or None.
        acknowledged: message ids that the broker confirmed, each with its refusal or None.
        refused: topic filters that the broker does not let this user subscribe to, each with the
            reason.
    """

    def __init__(
        self,
        settings: MqttSettings,
        topics: Topics,
        *,
        client_id: str,
        wake: int,
        on_message: OnMessage | None = None,
        last_will: bool = True,
    ) -> None:
        self.connected = False
        self.failure: str | None = None
        self.acknowledged: list[tuple[int, str | None]] = []
        self.refused: list[tuple[str, str]] = []
        self._subscribed: dict[int | None, str] = {}
        self._client_id = client_id
        self._told_invalid = False
        self._host = settings.host
        self._port = settings.port or (_TLS_PORT if settings.tls else _PORT)
        self._v5 = settings.version == "5"
        self._tls = settings.tls
        self._wake = wake
        self._on_message = on_message
        self._most_bytes: int | None = None
        self._client = self._make(settings, client_id)
        if last_will:
            self._client.will_set(topics.availability, b"offline", qos=1, retain=True)

    @property
    def broker(self) -> str:
        """Host and port."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    def open(self) -> None:
        """Connect and send CONNECT; ``poll`` until ``connected``. Raises SinkError."""
        try:
            self._client.connect(self._host, self._port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            reason = reason_of(error)
            if self._tls and isinstance(error, ConnectionResetError):
                reason += "; does the broker speak TLS on this port?"
            raise SinkError(f"{self.broker}: {reason}") from error

    def poll(self, timeout_s: float) -> None:
        """Wait for the broker, the wake descriptor or the time; send and receive."""
        client = self._client
        sock = client.socket()
        if sock is None:
            self._fail("the connection was closed")
            return
        decrypted = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        fd = sock.fileno()
        writing = [fd] if client.want_write() else []
        usable = fd in ready([fd, self._wake], writing, 0 if decrypted else timeout_s)
        # The socket does not block: to read or write where only the other was meant does no harm.
        if decrypted or usable:
            client.loop_read()
        if client.socket() is not None and usable and writing:
            client.loop_write()
        if client.socket() is not None:
            client.loop_misc()
        if client.socket() is None:
            self._fail("the broker closed the connection")

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> int | None:
        """Send a message.

        Returns:
            The id that ``acknowledged`` will have, or None where it cannot be sent.
        """
        if self._most_bytes is not None:
            size = len(topic.encode()) + len(payload) + _PACKET_OVERHEAD
            if size > self._most_bytes:
                return None
        sent = self._client.publish(topic, payload, qos=qos, retain=retain)
        return sent.mid if sent.rc == 0 else None

    @property
    def congested(self) -> bool:
        """Whether the network does not take what was sent already."""
        return self._client.want_write()

    def subscribe(self, topic_filter: str, qos: int = 0) -> None:
        """Listen to topics; a refusal will be in ``refused``."""
        _, mid = self._client.subscribe(topic_filter, qos)
        self._subscribed[mid] = topic_filter

    def give_up(self, reason: str) -> None:
        """End a connection that is of no use."""
        self._fail(reason)
        self.close()

    def close(self) -> None:
        """End the connection; the last will is not published after a connection that worked."""
        self._client.disconnect()

    def _make(self, settings: MqttSettings, client_id: str) -> Client:
        from paho.mqtt import client as paho

        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,  # type: ignore[attr-defined]
            client_id=client_id,
            clean_session=None if self._v5 else True,
            protocol=paho.MQTTv5 if self._v5 else paho.MQTTv311,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if settings.username:
            client.username_pw_set(settings.username, settings.password or None)
        if settings.tls:
            client.tls_set_context(_tls_context(settings))
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_subscribe = self._answered
        client.on_message = self._received
        return client

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: Any, more: Any) -> None:
        if reason.is_failure:
            self._fail(f"the broker refuses the connection: {reason}{_advice(str(reason))}")
            return
        self._most_bytes = getattr(more, "MaximumPacketSize", None)
        self.connected = True

    def _disconnected(self, _client: Any, _data: Any, flags: Any, reason: Any, _more: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._fail(f"the broker closed the connection: {reason}{self._rival(str(reason))}")
        elif self.connected:
            self._fail("the connection was lost")
        else:
            self._fail(
                "the broker closed the connection without a reply; check the port, and whether the "
                "broker needs TLS or a client certificate"
            )

    def _published(self, _client: Any, _data: Any, mid: int, reason: Any, _more: Any) -> None:
        self.acknowledged.append((mid, str(reason) if reason.is_failure else None))

    def _answered(self, _client: Any, _data: Any, mid: int, reasons: Any, _more: Any) -> None:
        topic_filter = self._subscribed.pop(mid, "")
        self.refused += [(topic_filter, str(each)) for each in reasons if each.is_failure]

    def _received(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no broker should let it through, and no filter can match it
            if not self._told_invalid:
                log.warning("mqtt: %s: ignored a topic that is not UTF-8", self.broker)
            self._told_invalid = True
            return
        if self._on_message is not None:
            self._on_message(topic, message.payload, message.retain)

    def _rival(self, reason: str) -> str:
        return f"; {rival_advice(self._client_id)}" if "taken over" in reason.lower() else ""

    def _fail(self, reason: str) -> None:
        self.connected = False
        self.failure = self.failure or f"{self.broker}: {reason}"


def _tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """The context of a connection.

    Raises:
        SinkError: a file cannot be read, or is not what it should be.
    """
    name = "mqtt.ca_file", settings.ca_file
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.cert_file:
            name = "mqtt.cert_file and mqtt.key_file", settings.cert_file
            # An encrypted key would ask on the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise SinkError(f"{name[0]}: {name[1]}: {_file_reason(error)}") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; decrypt it, and let only this user read it")


def _file_reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "no certificate or key in PEM format, or they do not belong together"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}; check the path"
    return str(error)


def reason_of(error: Exception) -> str:
    """Why a connection was not made, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the broker's certificate is not trusted: {error.verify_message}; set mqtt.ca_file to "
            "the certificate of its authority, and mqtt.host to a name in it"
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason}); check that the broker uses TLS on this port"
    if isinstance(error, socket.gaierror):
        return f"no such host: {error.strerror}"
    if isinstance(error, TimeoutError):
        return "no response"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def seat_of(settings: MqttSettings) -> tuple[object, ...]:
    """What a connection is made from: with an equal one, another connection can take its place."""
    return tuple(getattr(settings, name) for name in _CONNECTION)


def rival_advice(client_id: str) -> str:
    """What to do about a broker that keeps ending the connection for another one's sake."""
    return (
        f"another client may be connected as {client_id}; give each detector its own mqtt.name or "
        "mqtt.client_id"
    )


def _advice(reason: str) -> str:
    if "authori" in reason.lower() or "user name" in reason.lower():
        return "; check mqtt.username and mqtt.password"
    return ""
