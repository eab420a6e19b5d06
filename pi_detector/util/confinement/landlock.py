"""Landlock: the kernel refuses this process every file and TCP port that is not named.

Source: landlock(7). The C library has no functions for its system calls, whose numbers are the same
on all architectures.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_CONNECT_TCP = 1 << 1
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
# All rights on files that a version knows; the first has 13.
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_HANDLED_SINCE_5 = (1 << 16) - 1
_BIND_AND_CONNECT = 0b11
_UNIX_SOCKETS_AND_SIGNALS = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_fs", ctypes.c_uint64),
        ("handled_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """The kernel's version of Landlock; 0 without it. TCP ports need 4."""
    try:
        return _syscall(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def restrict(
    readable: Iterable[Path],
    devices: Iterable[Path] = (),
    tcp_ports: Iterable[int] | None = (),
) -> int:
    """Allow the calling thread, and those that it starts, nothing beyond this.

    Nothing at all may be created, removed or executed, and no signal reaches a process outside.
    The caller has set "no new privileges" before.

    Args:
        readable: files, and folders with all that is below them. What does not exist is left out.
        devices: files and folders to read, write and control.
        tcp_ports: to connect to, anywhere; None for all.

    Returns:
        The version of Landlock; 0 where the kernel has none, and nothing is restricted.

    Raises:
        OSError: the kernel refuses.
    """
    known = version()
    if known < 1:
        return 0
    files = _HANDLED.get(known, _HANDLED_SINCE_5)
    ruleset = _Ruleset(files, 0, 0)
    size = ctypes.sizeof(ctypes.c_uint64)
    if known >= 4:
        ruleset.handled_net = _BIND_AND_CONNECT if tcp_ports is not None else 0
        size = 2 * ctypes.sizeof(ctypes.c_uint64)
    if known >= 6:
        ruleset.scoped = _UNIX_SOCKETS_AND_SIGNALS
        size = ctypes.sizeof(_Ruleset)
    fd = _syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    try:
        for path in readable:
            _allow_path(fd, path, files & (_READ_FILE | _READ_DIR))
        for path in devices:
            _allow_path(fd, path, files & (_READ_DIR | _OF_FILES))
        if ruleset.handled_net:
            for port in tcp_ports or ():
                rule = _NetPort(_CONNECT_TCP, port)
                _syscall(_ADD_RULE, fd, _NET_PORT, ctypes.byref(rule), 0)
        _syscall(_RESTRICT_SELF, fd, 0)
    finally:
        os.close(fd)
    return known


def _allow_path(ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # then there is nothing to allow
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_FILES
        rule = _PathBeneath(rights, fd)
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    except OSError as error:
        if error.errno != errno.EBADFD:  # of a file without a place in the tree: a pipe in /proc
            raise
    finally:
        os.close(fd)


def _syscall(number: int, *args: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    answer = int(libc.syscall(ctypes.c_long(number), *words))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer
