"""Confines a process that decodes untrusted data, before it reads the first byte.

Damaged or crafted data may make a decoder run an attacker's code, with all rights of its process.
So that process cannot gain rights, start programs, touch other processes or write files; it reads
its own program and the named input only, and connects only where its source needs it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import site
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pi_detector.util.confinement import landlock, seccomp

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_MOST_FILES = 128
# What Python, the C library and numpy read of a machine.
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/urandom",
)
# What the C library reads to find the address of a name, and TLS to know whom to trust.
_OF_NETWORKS = (
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/mdns.allow",
    "/etc/ssl",
    "/etc/pki",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
)
_DNS = 53


@dataclass(frozen=True, slots=True)
class Needs:
    """What a process needs beside its program.

    Attributes:
        readable: files, and folders with what is below them.
        devices: files and folders to read, write and control; files may then be opened for writing
            as far as Landlock does not forbid it.
        network: connects to other machines.
        tcp_ports: that it connects to; None for all.
        udev: hears of devices through a netlink socket.
    """

    readable: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    network: bool = False
    tcp_ports: tuple[int, ...] | None = ()
    udev: bool = False


def confine(needs: Needs) -> str:
    """Give up for good what is not needed, as far as this kernel can hold it off.

    To be called while the process has a single thread: Landlock holds for that, and for those that
    it starts.

    Returns:
        What holds now, for a log.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # Nobody but root looks into the memory of a process that is not dumpable.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return "nothing: the kernel knows no 'no new privileges'"
    limit(resource.RLIMIT_CORE, 0)
    # RLIMIT_NPROC counts all threads of the user, in other processes too: the filter of system
    # calls forbids processes instead, and leaves threads.
    limit(resource.RLIMIT_NOFILE, _MOST_FILES)
    holds = ["no new privileges", "limits"]
    with _doubtful("Landlock"):
        if known := landlock.restrict(_readable(needs), needs.devices, _tcp_ports(needs)):
            holds.append(f"Landlock {known}")
    with _doubtful("seccomp"):
        if seccomp.restrict(_families(needs), may_write=bool(needs.devices)):
            holds.append("seccomp")
    return ", ".join(holds)


def limit(kind: int, value: int) -> None:
    """Lower a limit of this process for good, unless it is lower already."""
    soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or value < hard:
        hard = value
    soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        resource.setrlimit(kind, (soft, hard))


def available() -> list[str]:
    """What this device's kernel can hold off: names, for people."""
    known = landlock.version()
    found = ["no new privileges"]
    if known:
        found.append(f"Landlock {known} ({'files, TCP ports' if known >= 4 else 'files'})")
    if seccomp.available():
        found.append("seccomp")
    return found


@contextlib.contextmanager
def _doubtful(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.debug("%s does not hold here: %s", what, error)


def _readable(needs: Needs) -> list[Path]:
    program = {*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    program |= {*site.getsitepackages(), *os.environ.get("LD_LIBRARY_PATH", "").split(":")}
    names = [*sorted(program - {"", "/"}), *_SYSTEM, *(_OF_NETWORKS if needs.network else ())]
    own = Path("/proc") / str(os.getpid())
    return [*map(Path, names), own, *needs.readable]


def _tcp_ports(needs: Needs) -> tuple[int, ...] | None:
    if not needs.network or needs.tcp_ports is None:
        return None if needs.network else ()
    return (*needs.tcp_ports, _DNS)


def _families(needs: Needs) -> list[socket.AddressFamily]:
    if needs.network:  # names are also asked for at local services, addresses at the kernel
        return [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK]
    return [socket.AF_NETLINK] if needs.udev else []
