"""Source URIs: parsed once, and shown without their secrets.

What may be shown depends on what a part *is* after parsing: scheme, host, port, plain segments of
the path, and query items known to be harmless. Everything else is hidden, so that a new way to
write a password is hidden too.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

HIDDEN = "***"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_NETWORK = frozenset({"rtsp", "rtsps", "http", "https"})
# Kinds of sources that have neither user nor host.
_LOCAL = frozenset({"auto", "demo", "file", "images", "picamera", "v4l2"})
_HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\])(?::(\d{0,5}))?")
_HIGHEST_PORT = 65535
_PLAIN_TARGET = re.compile(r"/[\w./-]*|\d{0,2}")
_PLAIN_SEGMENT = re.compile(r"[\w .~!$'()*+,-]*")
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_SHORTEST_TOKEN = 12
_SECRET_WORD = re.compile("pass|pwd|psw|user|usr|login|token|secret|auth|apikey", re.IGNORECASE)
# Of queries: names whose values say which stream it is, and the values that are no secret then.
_HARMLESS_NAMES = frozenset(
    {"audio", "camera", "cam", "ch", "channel", "codec", "compression", "enablesrtp", "fps"}
    | {"framerate", "height", "profile", "proto", "quality", "resolution", "speed", "stream"}
    | {"streamtype", "subtype", "transport", "transportmode", "unicast", "video", "videocodec"}
    | {"width"}
)
_HARMLESS_VALUE = re.compile(
    r"|\d{1,5}(x\d{1,5})?|on|off|yes|no|true|false|main|sub|high|low|h26[45]|m?jpe?g|mpeg4|tcp|udp"
    r"|rtsp|http|onvif|(uni|multi)cast",
    re.IGNORECASE,
)
# Names that are shown, without their values.
_SECRET_NAMES = frozenset(
    {"account", "apikey", "api_key", "auth", "key", "login", "loginpas", "loginuse", "p", "pass"}
    | {"passwd", "password", "psw", "pwd", "session", "sid", "sig", "signature", "token", "u"}
    | {"user", "username", "usr"}
)
# In texts of others, a word; and where in it a URI begins.
_WORD = re.compile(r"\S+")
_BEGIN = re.compile(
    r"(?<![A-Za-z0-9+.-])(?:[A-Za-z][A-Za-z0-9+.-]{0,30}://|(?:rtsps?|https?):(?=\S))",
    re.IGNORECASE,
)
_PUNCTUATION = ".,;:!()[]{}<>`'\""


class NetworkUri(NamedTuple):
    """The parts of ``scheme://userinfo@host:port/path?query#fragment``, none of them decoded.

    Attributes:
        scheme: in lower case.
        userinfo: user and password; empty where there are none.
        host: name or address, an IPv6 address without its brackets.
        port: None where none is named.
        path: with the slash that it begins with.
        query: without the question mark; None where there is none.
        fragment: without the number sign; None where there is none.
    """

    scheme: str
    userinfo: str
    host: str
    port: int | None
    path: str
    query: str | None
    fragment: str | None


def split_uri(uri: str) -> tuple[str, str]:
    """Split a URI at its first colon.

    Returns:
        (scheme in lower case, rest); the scheme is empty where there is none.

    Example:
        >>> split_uri("v4l2:/dev/video0")
        ('v4l2', '/dev/video0')
    """
    match = _SCHEME.fullmatch(uri)
    return (match[1].lower(), match[2]) if match else ("", uri)


def is_unicode(text: str) -> bool:
    """Whether a text is Unicode: not so a file name with bytes that are no UTF-8.

    Python has lone surrogates in the place of such bytes, on which OpenCV crashes.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def parse_network_uri(uri: str) -> NetworkUri | None:
    """Take a URI with a host apart; None where that is not possible beyond doubt.

    An ``@`` behind the first ``/``, ``?`` or ``#`` is such a doubt: more often than part of a path
    it is the end of a password with an unescaped character, which programs read as a host.

    Example:
        >>> parse_network_uri("rtsp://admin:pw@cam.local:554/live").host
        'cam.local'
    """
    scheme, rest = split_uri(uri)
    # isprintable() is False for lone surrogates too, which stand for bytes that are no UTF-8.
    if not (scheme and rest.startswith("//") and uri.isprintable()) or " " in uri:
        return None
    authority, path, query, fragment = _cut(rest[2:])
    if "@" in path or "@" in (query or "") or "@" in (fragment or ""):
        return None
    userinfo, _, place = authority.rpartition("@")
    match = _HOST_AND_PORT.fullmatch(place)
    port = int(match[2]) if match and match[2] else None
    if match is None or (port is not None and not 0 < port <= _HIGHEST_PORT):
        return None
    return NetworkUri(scheme, userinfo, match[1].strip("[]"), port, path, query, fragment)


def network_uri_problem(uri: str, setting: str = "source.uri") -> str | None:
    """What is wrong with the URI of a network camera, and the fix; None where nothing is.

    Of other kinds of URIs nothing is wrong here.

    Args:
        uri: of the setting.
        setting: its name.
    """
    if split_uri(uri)[0] not in _NETWORK or parse_network_uri(uri) is not None:
        return None
    return (
        f"{setting}: no host and port found in {redact(uri)}; write special characters of user, "
        "password and path as %XX ('@' as %40, '/' as %2F, '#' as %23, '?' as %3F, ' ' as %20)"
    )


def redact(uri: str) -> str:
    """The URI without user, password, and whatever else may be a secret; see the module.

    For names, logs and errors. What cannot be taken apart is hidden behind its scheme. A URI that
    was redacted before stays as it is.

    Example:
        >>> redact("rtsp://admin:pw@cam.local:554/live?token=abc&channel=1")
        'rtsp://cam.local:554/live?token=***&channel=1'
    """
    text = uri.lstrip()
    blank = uri[: len(uri) - len(text)]
    scheme, rest = split_uri(text)
    written = text[: len(scheme)]
    if not scheme:
        return blank + _shown_path(text)
    if scheme in _LOCAL:
        return f"{blank}{written}:{_shown_path(rest, plain=True)}"
    if parsed := parse_network_uri(text):
        return f"{blank}{written}://{_shown(parsed)}"
    if rest.startswith("//"):
        return f"{blank}{written}://{HIDDEN}"
    is_plain = scheme not in _NETWORK and _PLAIN_TARGET.fullmatch(rest)
    return f"{blank}{written}:{rest if is_plain else HIDDEN}"


def redact_within(text: str) -> str:
    """A text of someone else, such as the error of a library, with each URI in it redacted.

    Example:
        >>> redact_within("cannot open 'http://bob:pw@10.0.0.5/x': refused")
        "cannot open 'http://10.0.0.5/x': refused"
    """
    return _WORD.sub(_redacted_word, text)


def holds_secret(uri: str) -> bool:
    """Whether a URI says something that ``redact`` would hide, other than the name of a user."""
    parsed = parse_network_uri(uri.lstrip())
    if parsed is None:
        return HIDDEN in redact(uri)
    return bool(parsed.userinfo.partition(":")[2]) or HIDDEN in _shown(parsed)


def _redacted_word(found: re.Match[str]) -> str:
    word = found[0]
    begin = _BEGIN.search(word)
    # Without a scheme that is known, a user with a password before a host is what it looks like.
    start = begin.start() if begin else len(word) - len(word.lstrip(_PUNCTUATION))
    if begin is None and ":" not in word[start:].partition("@")[0]:
        return word
    uri = word[start:].rstrip(_PUNCTUATION)
    if begin is None and "@" not in uri:
        return word
    return word[:start] + redact(uri) + word[start + len(uri) :]


def _cut(text: str) -> tuple[str, str, str | None, str | None]:
    """Authority, path, query and fragment of what follows ``//``."""
    text, sharp, fragment = text.partition("#")
    text, mark, query = text.partition("?")
    authority, slash, path = text.partition("/")
    return authority, slash + path, query if mark else None, fragment if sharp else None


def _shown(parsed: NetworkUri) -> str:
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    port = "" if parsed.port is None else f":{parsed.port}"
    return host + port + _shown_segments(parsed.path) + _shown_tail(parsed.query, parsed.fragment)


def _shown_path(text: str, *, plain: bool = False) -> str:
    """A path, or what a user took for one or for a URI.

    Args:
        text: without a scheme.
        plain: it is a path for sure, such as what follows ``file:``.
    """
    if "://" in text or (text.startswith("//") and "@" in text):
        return HIDDEN
    if plain or text.startswith(("/", "./", "../", "~")):
        return text
    name, at, _ = text.partition("@")
    if at and (":" in name or "//" in name):
        return HIDDEN
    if "?" in text or "=" in text:
        authority, path, query, fragment = _cut(text)
        return _shown_segments(authority + path) + _shown_tail(query, fragment)
    return text


def _shown_tail(query: str | None, fragment: str | None) -> str:
    shown = "" if query is None else f"?{_shown_query(query)}"
    return shown if fragment is None else f"{shown}#{HIDDEN if fragment else ''}"


def _shown_segments(path: str) -> str:
    """The path up to the first segment that may hold a secret.

    People and cameras put user and password there, as in ``/user=admin_password=..._channel=1``.
    """
    shown = []
    for segment in path.split("/"):
        name = unquote(segment)
        is_plain = _PLAIN_SEGMENT.fullmatch(name) and not _SECRET_WORD.search(name)
        if not is_plain or _looks_random(name):
            shown.append(HIDDEN)  # and what follows, which may be the rest of a password
            break
        shown.append(segment)
    return "/".join(shown)


def _looks_random(name: str) -> bool:
    """Whether letters and digits alternate as in a token, by which some cameras are opened."""
    return any(
        len(word) >= _SHORTEST_TOKEN and 3 * len(_PIECE.findall(word)) >= len(word)
        for word in re.split(r"[^A-Za-z0-9]+", name)
    )


def _shown_query(query: str) -> str:
    shown: list[str] = []
    for item in filter(None, re.split("[&;]", query)):
        text = _shown_item(item)
        if text != HIDDEN or shown[-1:] != [HIDDEN]:  # how many are hidden says nothing
            shown.append(text)
    return "&".join(shown)


def _shown_item(item: str) -> str:
    name, equals, value = item.partition("=")
    known = name.lower()
    if known in _HARMLESS_NAMES and _HARMLESS_VALUE.fullmatch(value):
        return item
    if equals and known in _HARMLESS_NAMES | _SECRET_NAMES:
        return f"{name}={HIDDEN if value else ''}"
    return HIDDEN
