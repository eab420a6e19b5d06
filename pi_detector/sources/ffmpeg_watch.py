"""Watch what FFmpeg logs while it opens a source: its connections, and why it fails.

FFmpeg has no option against redirects by RTSP and HTTP servers, and sends user and password to the
next RTSP server too. But it logs each connection before making it, so that the process can be ended
first. This holds for FFmpeg 4 to 8; ``tests/integration`` check the installed one.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import logging
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from pi_detector.util.raw_lines import redact_text

log = logging.getLogger(__name__)

_LIBRARY = "libavutil"
_WARNING = 24
_LINE_BYTES = 1024
_MOST_LINES = 20
_CONNECTION = re.compile(r"Starting connection attempt to (\S+) port (\d+)")
_PROBED = re.compile(r"Format (\S+) probed ")
_REFUSED_FORMAT = "Format not on whitelist"
# Playlists and their like, by the names of FFmpeg's demuxers.
_REFERRING = frozenset({"hls", "dash", "concat", "sdp", "rtsp", "image2", "imf"})

Check = Callable[[str, int], None]
Refuse = Callable[[str, int], None]

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class Watch:
    """Observations during an opening.

    Attributes:
        reason: the first error or warning, without secrets; empty if there was none.
        playlist: kind of playlist because of which the container was refused; else empty.
    """

    def __init__(self, check: Check) -> None:
        self.reason = ""
        self.playlist = ""
        self._check = check
        self._probed = ""
        self._lines = 0

    def take(self, level: int, line: str) -> None:
        """Take a line of FFmpeg's log."""
        if connection := _CONNECTION.search(line):
            self._check(connection[1], int(connection[2]))
        elif probed := _PROBED.search(line):
            self._probed = probed[1]
        elif _REFUSED_FORMAT in line:
            names = _REFERRING.intersection(self._probed.split(","))
            self.playlist = next(iter(names), "")
            self.reason = f"container format '{self._probed}' is not allowed"
        elif level <= _WARNING and self._lines < _MOST_LINES:
            self._lines += 1
            text = redact_text(line).strip()
            log.debug("FFmpeg: %s", text)
            self.reason = self.reason or text


class _Guard:
    """Whether FFmpeg is watched in this process, and what happens to connections elsewhere."""

    refuse: Refuse | None = None


def watch_openings(refuse: Refuse) -> None:
    """Make ``watched`` listen from now on, in a process that only reads a source.

    Args:
        refuse: called with the address and port of a forbidden connection; the connection is made
            if it returns, so it ends the process.
    """
    _Guard.refuse = refuse


@contextlib.contextmanager
def watched(server: tuple[str, int] | None = None) -> Iterator[Watch]:
    """Listen to FFmpeg while a source is opened; meanwhile its lines do not go to stderr.

    Does nothing unless ``watch_openings`` was called.

    Args:
        server: host and port of the only allowed connection; None allows all.
    """
    refuse = _Guard.refuse
    check = _OnlyTo(*server, refuse) if server is not None and refuse is not None else anywhere
    watch = Watch(check)
    libraries: list[ctypes.CDLL] = []
    if refuse is not None:
        try:
            libraries = [ctypes.CDLL(path) for path in _mapped()]
            callbacks = [_callback(library, watch) for library in libraries]
        except (OSError, MemoryError, AttributeError) as error:
            # A sandbox may forbid the memory that a callback needs.
            log.debug("FFmpeg cannot be watched: %s", error)
            libraries = []
    for library, callback in zip(libraries, callbacks if libraries else (), strict=True):
        library.av_log_set_callback(callback)
    try:
        yield watch
    finally:
        for library in libraries:
            library.av_log_set_callback(library.av_log_default_callback)


def anywhere(host: str, port: int) -> None:
    """Allow a connection."""


class _OnlyTo:
    """Distinguishes connections to one server from all others.

    Args:
        host: name or address.
        port: port of the server.
        refuse: called with another server's address and port; does not return.
    """

    def __init__(self, host: str, port: int, refuse: Refuse) -> None:
        self._host = host
        self._port = port
        self._refuse = refuse
        self._known = self._addresses()

    def __call__(self, host: str, port: int) -> None:
        """Check a connection before it is made."""
        if port == self._port and _address(host) in self._known:
            return
        # A name with many addresses may be answered with others than before.
        if port != self._port or _address(host) not in self._addresses():
            self._refuse(host, port)

    def _addresses(self) -> set[str]:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError:  # unreachable, as FFmpeg will find too
            return set()
        return {_address(str(entry[4][0])) for entry in found}


def _address(text: str) -> str:
    bare = text.partition("%")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare


def _mapped() -> list[str]:
    """The FFmpeg libraries of this process, of which OpenCV and PyAV each bring their own."""
    with Path("/proc/self/maps").open(encoding="utf-8", errors="surrogateescape") as maps:
        paths = {line.split(maxsplit=5)[-1].rstrip("\n") for line in maps if _LIBRARY in line}
    return sorted(path for path in paths if Path(path).name.startswith(_LIBRARY))


def _callback(library: ctypes.CDLL, watch: Watch) -> ctypes._FuncPointer:
    format_line = library.av_log_format_line2
    format_line.argtypes = (
        *(ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p),
        *(ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int)),
    )

    def take(context: int | None, level: int, form: bytes, arguments: int | None) -> None:
        level &= 0xFF
        # Most of what FFmpeg says are details, which are not worth their formatting.
        if level > _WARNING and not form.startswith((b"Starting connection", b"Format ")):
            return
        line = ctypes.create_string_buffer(_LINE_BYTES)
        # A va_list is passed as a pointer, on x86-64 and on aarch64.
        prefix = ctypes.c_int(0)
        format_line(context, level, form, arguments, line, _LINE_BYTES, ctypes.byref(prefix))
        watch.take(level, line.value.decode("utf-8", "replace"))

    return _Callback(take)
