"""Runs in the place of the daemon, and writes what it could do: name to errno's name, or None."""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import shared_memory
from pathlib import Path

FOLDERS = (
    *("/", "/boot", "/dev", "/dev/shm", "/etc", "/etc/pi-detector", "/home", "/opt/pi-detector"),
    *("/run", "/run/pi-detector", "/run/pi-detector@probe", "/srv", "/tmp", "/usr", "/var"),
    *("/var/lib", "/var/lib/pi-detector", "/var/lib/pi-detector/probe", "/var/log"),
    *("/var/log/pi-detector", "/var/log/pi-detector/probe", "/var/tmp"),
)
FILES = ("/home/somebody/diary", "/root", "/etc/pi-detector/credentials", "/etc/shadow")
# Nobody answers there; the sending is what counts.
ADDRESSES = ("127.0.0.1", "192.168.77.1", "10.77.0.1", "9.9.9.9", "203.0.113.5")
SOCKETS = {
    "AF_INET": socket.SOCK_STREAM,
    "AF_INET6": socket.SOCK_STREAM,
    "AF_UNIX": socket.SOCK_STREAM,
    "AF_NETLINK": socket.SOCK_RAW,
    "AF_PACKET": socket.SOCK_RAW,
    "AF_ALG": socket.SOCK_SEQPACKET,
    "AF_VSOCK": socket.SOCK_STREAM,
    "AF_CAN": socket.SOCK_RAW,
}
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def error_of(function: Callable[[], object]) -> str | None:
    """What errno calls the error of a call; None without one."""
    try:
        function()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return None


def c(name: str, *arguments: object) -> Callable[[], None]:
    """A call of the C library, which raises its error."""

    def call() -> None:
        if getattr(libc, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)

    return call


def send(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"probe", (address, 9))


def device(path: str) -> None:
    os.close(os.open(path, os.O_RDWR))


def read(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def ctypes_callback() -> None:
    compare = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
    )
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    libc.qsort(numbers, 3, 4, compare(lambda a, b: a[0] - b[0]))
    assert list(numbers) == [1, 2, 3]


def child_decodes() -> None:
    """A program of the same Python, as decodes untrusted streams, under a limit of its memory."""
    code = (
        "import cv2, numpy, resource;"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30));"
        "assert cv2.imencode('.png', numpy.zeros((9, 9, 3), 'u1'))[0]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def confine_a_child() -> None:
    """As the process that decodes does, in the bounds that the unit sets for it."""
    code = (
        "from pi_detector.util.confinement.confine import Needs, confine;"
        "holds = confine(Needs());"
        "assert 'Landlock' in holds and 'seccomp' in holds, holds"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def share_memory() -> None:
    shared = shared_memory.SharedMemory(create=True, size=4096)
    shared.close()
    shared.unlink()


def hand_over_pictures() -> None:
    """What a process that decodes shares with the daemon: sealed memory, and a pair of sockets."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    memory = os.memfd_create("probe", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, mmap.PAGESIZE)
    mmap.mmap(memory, mmap.PAGESIZE).close()
    socket.send_fds(ours, [b"picture"], [memory])
    assert socket.recv_fds(theirs, 99, 1)[0] == b"picture"


def sensors() -> None:
    for path in ("/proc/cpuinfo", "/proc/stat", "/proc/meminfo", "/proc/loadavg"):
        assert Path(path).read_text(), path
    assert list(Path("/sys/devices/system/cpu").iterdir())
    assert Path("/sys/class/thermal").is_dir()


CALLS = {
    "adjtimex": c("adjtimex", ctypes.create_string_buffer(208)),
    "bpf": c("syscall", 321 if os.uname().machine == "x86_64" else 280, 0, 0, 0),
    "memory that is written and run": lambda: mmap.mmap(
        -1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ),
    "mount": c("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "new name space of networks": c("unshare", CLONE_NEWNET),
    "new name space of users": c("unshare", CLONE_NEWUSER),
    "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    "personality": c("personality", 0x0040000),
    "ptrace": c("ptrace", 0, 0, 0, 0),
    "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "set-user-id file": lambda: os.close(os.open("suid", os.O_CREAT, 0o4755)),
    "signal to another": lambda: os.kill(1, 0),
}
NEEDED = {
    "a child of the same Python": child_decodes,
    "confine a child": confine_a_child,
    "ctypes": ctypes_callback,
    "end with the parent": c("prctl", PR_SET_PDEATHSIG, 9),
    "hand over pictures": hand_over_pictures,
    "limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "sensors": sensors,
    "shared memory": share_memory,
}


def main() -> None:
    """Try everything."""
    seen = {
        "write": {f: error_of(Path(f, "written").touch) for f in FOLDERS},
        "read": {f: error_of(lambda f=f: read(f)) for f in FILES},
        "processes": sum(p.name.isdigit() for p in Path("/proc").iterdir()),
        "secret": Path(os.environ["CREDENTIALS_DIRECTORY"], "secret_probe").read_text(),
        "device": {
            d: error_of(lambda d=d: device(d)) for d in ("/dev/probe-null", "/dev/probe-kmsg")
        },
        "send": {a: error_of(lambda a=a: send(a)) for a in ADDRESSES},
        "socket": {
            f: error_of(lambda f=f, kind=kind: socket.socket(getattr(socket, f), kind).close())
            for f, kind in SOCKETS.items()
        },
        "call": {name: error_of(call) for name, call in CALLS.items()},
        "needed": {name: error_of(call) for name, call in NEEDED.items()},
    }
    Path(os.environ["STATE_DIRECTORY"], "seen.json").write_text(json.dumps(seen, indent=1))


if __name__ == "__main__":
    main()
