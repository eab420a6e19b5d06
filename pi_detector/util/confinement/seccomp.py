"""A filter of system calls: those by which a decoder that was taken over would do harm.

A list of what is refused, not of what is allowed: which calls decoders, numpy and the C library
make changes with their versions, and a call that is missing from such a list is a fault at a
customer's. Landlock does the fine work on files. Source: seccomp(2), and the kernel's tables of
system calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
from collections.abc import Iterable
from typing import NamedTuple

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000  # set in the numbers of x86-64's 32-bit calls

_CLONE_THREAD = 0x00010000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# Name: number on x86-64 and aarch64; None where there is no such call.
_HARMFUL = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "process_madvise": (440, 440), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60),
    "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161),
    "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None), "personality": (135, 92), "capset": (126, 91),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159),
    "setfsuid": (122, 151), "setfsgid": (123, 152),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
}  # fmt: skip
_CHANGING_FILES = {
    "creat": (85, None), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None),
    "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37), "symlink": (88, None),
    "symlinkat": (266, 36), "mknod": (133, None), "mknodat": (259, 33), "chmod": (90, None),
    "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54), "truncate": (76, 45),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
# What these do stands in memory, where a filter cannot look. The C library then takes clone().
_UNREADABLE = {"clone3": (435, 435)}
_OPENAT2 = (437, 437)
_MEMFD_CREATE = (319, 279)
_CLONE, _KILL, _TGKILL = (56, 220), (62, 129), (234, 131)
_OPEN, _OPENAT, _SOCKET, _PRLIMIT = (2, None), (257, 56), (41, 198), (302, 261)
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


class _Architecture(NamedTuple):
    audit: int
    column: int


_ARCHITECTURES = {
    "x86_64": _Architecture(0xC000003E, 0),
    "aarch64": _Architecture(0xC00000B7, 1),
}


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def available() -> bool:
    """Whether there is a filter for this device, and the kernel has filters."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # Refused for its null pointer where the kernel knows filters, and for its mode where not.
    libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, None, 0, 0)
    return ctypes.get_errno() == errno.EFAULT


def restrict(families: Iterable[socket.AddressFamily], *, may_write: bool = False) -> bool:
    """Have the kernel refuse harmful calls to this thread, and those that it starts, for good.

    Sockets of other families than ``families`` are refused, as are starting processes and
    programs, and touching other processes. The caller has set "no new privileges" before.

    Args:
        families: of sockets that may be made.
        may_write: files may be opened for writing, as far as Landlock lets them be; else none, and
            none is made in memory.

    Returns:
        Whether the filter holds; False where ``available`` says so.

    Raises:
        OSError: the kernel refuses.
    """
    if not available():
        return False
    architecture = _ARCHITECTURES[platform.machine()]
    lines = _program(architecture, tuple(families), may_write=may_write)
    program = _Program(len(lines), (_Instruction * len(lines))(*(_Instruction(*x) for x in lines)))
    libc = ctypes.CDLL(None, use_errno=True)
    # Not seccomp(2), which systemd's filter for services forbids.
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return True


def _program(
    architecture: _Architecture, families: tuple[socket.AddressFamily, ...], *, may_write: bool
) -> list[tuple[int, int, int, int]]:
    own = os.getpid()
    rules = _Rules(architecture.column)
    for numbers in (_HARMFUL | _CHANGING_FILES).values():
        rules.refuse(numbers, errno.EPERM)
    for numbers in _UNREADABLE.values():
        rules.refuse(numbers, errno.ENOSYS)
    rules.unless_any_bit(_CLONE, 0, _CLONE_THREAD)
    rules.unless_equal(_KILL, 0, (own,))
    rules.unless_equal(_TGKILL, 0, (own,))
    rules.unless_equal(_PRLIMIT, 0, (0, own))
    rules.unless_equal(_SOCKET, 0, families)
    if not may_write:
        rules.refuse(_MEMFD_CREATE, errno.EPERM)
        rules.refuse(_OPENAT2, errno.ENOSYS)
        rules.if_any_bit(_OPEN, 1, _WRITING)
        rules.if_any_bit(_OPENAT, 2, _WRITING)
    refused = _ERRNO | errno.ENOSYS
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, refused),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, refused),
        *rules.lines,
        (_RETURN, 0, 0, _ALLOW),
    ]


class _Rules:
    """Instructions, each group of which is entered with the call's number loaded.

    Args:
        column: of the tables of numbers.
    """

    def __init__(self, column: int) -> None:
        self.lines: list[tuple[int, int, int, int]] = []
        self._column = column

    def refuse(self, numbers: tuple[int | None, ...], code: int) -> None:
        self._of(numbers, [(_RETURN, 0, 0, _ERRNO | code)])

    def unless_any_bit(self, numbers: tuple[int | None, ...], argument: int, mask: int) -> None:
        self._judge(numbers, argument, [(_ANY_BIT, 1, 0, mask)])

    def if_any_bit(self, numbers: tuple[int | None, ...], argument: int, mask: int) -> None:
        self._judge(numbers, argument, [(_ANY_BIT, 0, 1, mask)])

    def unless_equal(
        self, numbers: tuple[int | None, ...], argument: int, values: Iterable[int]
    ) -> None:
        wanted = list(values)
        checks = [(_EQUAL, len(wanted) - at, 0, value) for at, value in enumerate(wanted)]
        self._judge(numbers, argument, checks)

    def _judge(
        self,
        numbers: tuple[int | None, ...],
        argument: int,
        checks: list[tuple[int, int, int, int]],
    ) -> None:
        """Refuse the call where the checks fall through to the next line, else allow it."""
        self._of(
            numbers,
            [
                (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
                *checks,
                (_RETURN, 0, 0, _ERRNO | errno.EPERM),
                (_RETURN, 0, 0, _ALLOW),
            ],
        )

    def _of(self, numbers: tuple[int | None, ...], body: list[tuple[int, int, int, int]]) -> None:
        number = numbers[self._column]
        if number is not None:
            self.lines += [(_EQUAL, 0, len(body), number), *body]
