"""The filter's numbers of system calls, compared with the tables of libseccomp."""

from __future__ import annotations

import ctypes

import pytest

from pi_detector.util.confinement import seccomp

NO_SUCH_CALL = -1  # __NR_SCMP_ERROR; others below zero are calls that an architecture lacks
SINCE_ALIKE = 424  # from here on all architectures have the same numbers
ONE_CALL = {
    "openat2": seccomp._OPENAT2,
    "memfd_create": seccomp._MEMFD_CREATE,
    "clone": seccomp._CLONE,
    "kill": seccomp._KILL,
    "tgkill": seccomp._TGKILL,
    "open": seccomp._OPEN,
    "openat": seccomp._OPENAT,
    "socket": seccomp._SOCKET,
    "prlimit64": seccomp._PRLIMIT,
}
CALLS = seccomp._HARMFUL | seccomp._CHANGING_FILES | seccomp._UNREADABLE | ONE_CALL


@pytest.fixture(scope="module")
def table() -> ctypes.CDLL:
    """libseccomp, which Debian's systemd and apt need."""
    return ctypes.CDLL("libseccomp.so.2")


@pytest.mark.parametrize("machine", seccomp._ARCHITECTURES)
def test_each_number_is_that_of_its_call(table: ctypes.CDLL, machine: str) -> None:
    architecture = seccomp._ARCHITECTURES[machine]
    resolve = table.seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    known = 0
    for name, numbers in CALLS.items():
        ours = numbers[architecture.column]
        theirs = resolve(architecture.audit, name.encode())
        if theirs == NO_SUCH_CALL:  # newer than this libseccomp
            assert ours is not None, name
            assert ours >= SINCE_ALIKE, name
            continue
        known += 1
        assert ours == (theirs if theirs >= 0 else None), f"{name} on {machine}"
    assert known > 0.9 * len(CALLS)


def test_newer_calls_have_one_number() -> None:
    for name, (ours, other) in CALLS.items():
        if ours is not None and ours >= SINCE_ALIKE:
            assert ours == other, name
