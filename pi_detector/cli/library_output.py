"""Redirects what C libraries print to stderr from the terminal and the journal to the log.

TFLite, FFmpeg and libjpeg write to the C library's ``stderr``, which is not the file descriptor: it
can be redirected while Python's own messages, tracebacks of crashes and the C library's last words
stay where they are. OpenCV and libcamera write in C++, and are configured to be silent.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading

from pi_detector.util.raw_lines import RawLines

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024
_LINE_BUFFERED = 1
# OpenCV warns of failures that our own errors report; libcamera's warnings name the cause.
_QUIET = {"OPENCV_LOG_LEVEL": "ERROR", "LIBCAMERA_LOG_LEVELS": "*:WARN"}


def capture_stderr_of_libraries() -> None:
    """Turn what libraries print into log messages. Call it once, before they are loaded."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    # A library must not block when nobody reads; its lines may then be lost.
    os.set_blocking(writer, False)
    libc = ctypes.CDLL(None)
    libc.fdopen.restype = ctypes.c_void_p
    stream = libc.fdopen(writer, b"w")
    try:
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
    except ValueError:  # a C library without this symbol
        stream = None
    if not stream:
        os.close(reader)
        os.close(writer)
        return
    libc.setvbuf(ctypes.c_void_p(stream), None, _LINE_BUFFERED, ctypes.c_size_t(0))
    stderr.value = stream
    threading.Thread(target=_pass_on, args=(reader,), name="stderr", daemon=True).start()


def _pass_on(reader: int) -> None:
    lines = RawLines(log, "library")
    while data := os.read(reader, _CHUNK):
        lines.feed(data)
