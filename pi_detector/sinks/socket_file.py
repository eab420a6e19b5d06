"""The file of a Unix-domain socket: taken over from a dead process, never from a live one."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

from pi_detector.errors import SinkError
from pi_detector.sinks.files import unwritable

_MODE = 0o660
_MOST_PATH_BYTES = 107  # of sun_path, unix(7)
_UCRED = struct.Struct("3i")  # process, user, group


class SocketFile:
    """A listening stream socket with its file, which its user and group may connect to.

    A file whose process is gone is replaced, and so is that of an earlier object in this process,
    which listens no more to those who come. Two processes never replace each other's.

    Args:
        path: of the file; its folder is made where it does not exist.

    Attributes:
        listener: does not block.

    Raises:
        SinkError: another process listens there, or the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if len(os.fsencode(path)) > _MOST_PATH_BYTES:
            raise SinkError(
                f"{path}: longer than {_MOST_PATH_BYTES} bytes, the limit for the path of a "
                "socket; set output.socket to a shorter one"
            )
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._inode = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._bind()
        except SinkError:
            raise
        except OSError as error:
            raise unwritable(path.parent, error) from error
        finally:
            if not self._inode:
                self.listener.close()

    @property
    def missing(self) -> bool:
        """Whether the file was deleted, so that no program can connect."""
        try:
            self._path.lstat()
        except OSError:
            return True
        return False

    def close(self) -> None:
        """Stop listening, and remove the file unless another one has its place."""
        self.listener.close()
        with suppress(OSError):  # a file that stays is replaced at the next start
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()

    def _bind(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Who looks whether a file is stale must not find one that another has just made.
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_stale(self._path)
            self.listener.bind(str(self._path))
            self._path.chmod(_MODE)
            self.listener.listen()
            self._inode = self._path.lstat().st_ino
        except BlockingIOError as error:
            raise SinkError(
                f"{self._path}: another program has locked its folder; try later"
            ) from error
        finally:
            os.close(folder)


def remove_stale(path: Path) -> None:
    """Remove a socket's file that no other process listens at.

    Raises:
        SinkError: one does, or the file is no socket.
        OSError: the file cannot be removed.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SinkError(
            f"{path}: exists and is not a socket; delete it, or set output.socket to another path"
        )
    owner = listening_process(path)
    if owner not in (None, os.getpid()):
        raise SinkError(
            f"{path}: {f'process {owner}' if owner else 'another program'} uses this socket; stop "
            "it, "
            "or set output.socket to another path"
        )
    path.unlink()


def listening_process(path: Path) -> int | None:
    """The process that listens at a socket's file: 0 if unknown, None without one.

    Raises:
        OSError: this user may not connect there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return None
        except BlockingIOError:  # so many wait there to be accepted that it is full
            return 0
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    process: int = _UCRED.unpack(credentials)[0]
    return process
