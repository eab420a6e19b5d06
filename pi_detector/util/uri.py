"""Source URIs and paths: take them apart, and show them without their secrets."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(\s*([A-Za-z][A-Za-z0-9+.-]*):/*)([^/?#]*)(.*)", re.DOTALL)
# Kinds of sources that have neither user nor host.
_LOCAL = frozenset({"auto", "demo", "file", "images", "picamera", "v4l2"})
_PATH = re.compile(r"\s*[/.~]")
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")
_PARAMETER = re.compile(r"([?&;])([^=&;#?]*)=[^&;#]*")
_SECRET_NAME = re.compile("pass|pwd|psw|user|usr|login|token|key|auth|secret|sig", re.IGNORECASE)


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


def redact(uri: str) -> str:
    """The URI without user, password and the values of parameters that look like secrets.

    For names, logs and errors. A password with an unescaped ``/``, ``?`` or ``#`` is recognised by
    what stands before it not being a host and port. In doubt more is hidden, also of what is only
    nearly a URI.

    Example:
        >>> redact("rtsp://admin:pw@cam.local:554/live?token=abc&channel=1")
        'rtsp://cam.local:554/live?token=***&channel=1'
    """
    match = _AUTHORITY.fullmatch(uri)
    if match and ("//" in match[1] or match[2].lower() not in _LOCAL):
        start, _, authority, rest = match.groups()
        if "@" in authority:
            authority = authority.rpartition("@")[2]
        hidden, _, shown = rest.rpartition("@")
        if ":" in hidden or not _HOST_AND_PORT.fullmatch(authority):
            authority, rest = "", shown
        uri = start + authority + rest
    elif not match and not _PATH.match(uri):
        hidden, at, shown = uri.rpartition("@")
        uri = "***@" + shown if ":" in hidden else hidden + at + shown
    return _PARAMETER.sub(_without_secret, uri)


def _without_secret(parameter: re.Match[str]) -> str:
    separator, name = parameter.groups()
    return f"{separator}{name}=***" if _SECRET_NAME.search(name) else parameter[0]
