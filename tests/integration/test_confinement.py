"""A decoder that was taken over: what it tries, it may not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from pi_detector.util.confinement import landlock, seccomp

HEAD = """
import ctypes, json, os, signal, socket, sys, threading
from pathlib import Path
from pi_detector.util.confinement.confine import Needs, confine
given = json.loads(sys.argv[1])
folder, port, other = Path(given["folder"]), given["port"], given["other"]
libc = ctypes.CDLL(None, use_errno=True)

def ptrace():
    # Without a filter it fails, too, but because this process traces nobody.
    if libc.ptrace(2, os.getppid(), 0, 0) != 0 and ctypes.get_errno() == 1:
        raise OSError(ctypes.get_errno(), "ptrace")

def read_memory():
    os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY)

def connect(to):
    with socket.socket() as caller:
        caller.connect(("127.0.0.1", to))

def spawn():
    os.posix_spawn("/bin/true", ["true"], {})

def clone3():
    if libc.syscall(435, None, 0) < 0:
        raise OSError(ctypes.get_errno(), "clone3")

tries = {
    "read": lambda: (folder / "named.txt").read_text(),
    "read another": lambda: (folder / "other.txt").read_text(),
    "read a password": lambda: Path("/etc/passwd").read_text(),
    "list": lambda: os.listdir(folder),
    "write": lambda: (folder / "new.txt").write_text("x"),
    "write to what is readable": lambda: (folder / "named.txt").write_text("x"),
    "remove": lambda: (folder / "named.txt").unlink(),
    "make a folder": lambda: (folder / "d").mkdir(),
    "rename": lambda: (folder / "named.txt").rename(folder / "x"),
    "chmod": lambda: (folder / "named.txt").chmod(0o777),
    "truncate": lambda: os.truncate(folder / "named.txt", 0),
    "link": lambda: os.symlink("x", folder / "l"),
    "fork": os.fork,
    "run": lambda: os.execv("/none", ["none"]),
    "spawn": spawn,
    "clone3": clone3,
    "ptrace": ptrace,
    "read memory": read_memory,
    "signal": lambda: os.kill(os.getppid(), 0),
    "signal a thread": lambda: signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0),
    "connect": lambda: connect(port),
    "connect elsewhere": lambda: connect(other),
    "listen": lambda: socket.create_server(("127.0.0.1", 0)).close(),
    "raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "unshare": lambda: os.unshare(os.CLONE_NEWUSER) if hasattr(os, "unshare") else spawn(),
    "control a device": lambda: os.close(os.open("/dev/zero", os.O_RDWR)),
    "memory file": lambda: os.memfd_create("x"),
    "thread": lambda: threading.Thread(target=int).start(),
    "import": lambda: __import__("xml.dom.minidom"),
    "signal itself": lambda: os.kill(os.getpid(), 0),
}
"""
TAIL = """
answers = {}
for name, attempt in tries.items():
    try:
        attempt()
    except FileNotFoundError:
        answers[name] = True
    except (OSError, ImportError):
        answers[name] = False
    else:
        if name == "fork" and os.getpid() != me:
            os._exit(0)
        answers[name] = True
print(json.dumps({"holds": holds, "answers": answers}))
"""
# By Landlock alone, by the filter alone.
FILES = {"read another", "read a password", "list", "read memory"}
CHANGES = {
    *("write", "write to what is readable", "remove", "make a folder", "rename", "chmod"),
    *("truncate", "link", "memory file"),
}
PROCESSES = {
    *("fork", "run", "spawn", "clone3", "ptrace", "signal", "signal a thread", "unshare"),
}
NETWORK = {"connect", "connect elsewhere", "listen", "raw socket"}
HARMLESS = {"read", "thread", "import", "signal itself"}

needs_landlock = pytest.mark.skipif(landlock.version() < 4, reason="the kernel has no Landlock 4")
needs_seccomp = pytest.mark.skipif(not seccomp.available(), reason="the kernel has no filters")


def attempts(tmp_path: Path, confining: str) -> tuple[str, set[str]]:
    """What holds, and which attempts succeed after these lines."""
    folder = tmp_path / "tried"
    folder.mkdir()
    for name in ("named.txt", "other.txt"):
        (folder / name).write_text("text")
    code = HEAD + "me = os.getpid()\n" + textwrap.dedent(confining) + TAIL
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as b:
        given = {
            "folder": str(folder),
            "port": one.getsockname()[1],
            "other": b.getsockname()[1],
        }
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, json.dumps(given)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return answer["holds"], {name for name, may in answer["answers"].items() if may}


FILE = "holds = confine(Needs(readable=(folder / 'named.txt',)))"


@needs_landlock
@needs_seccomp
def test_a_decoder_of_a_file(tmp_path: Path) -> None:
    holds, may = attempts(tmp_path, FILE)
    assert may == HARMLESS
    assert "Landlock" in holds
    assert "seccomp" in holds


@needs_landlock
@needs_seccomp
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_decoder_of_an_ordinary_user() -> None:
    # pytest's own folders are closed to others, whenever a pytest starts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        holds, may = attempts(
            folder, f"os.setgroups([]); os.setgid(65534); os.setuid(65534)\n{FILE}"
        )
    assert may | {"import"} == HARMLESS  # this Python may be in root's home
    assert "Landlock" in holds
    assert "seccomp" in holds


@needs_landlock
@needs_seccomp
def test_a_decoder_of_a_stream_reaches_its_server_alone(tmp_path: Path) -> None:
    _, may = attempts(tmp_path, "holds = confine(Needs(network=True, tcp_ports=(port,)))")
    assert may == (HARMLESS | {"connect"}) - {"read"}


@needs_landlock
@needs_seccomp
def test_a_decoder_of_playlists_reaches_all_servers(tmp_path: Path) -> None:
    _, may = attempts(tmp_path, "holds = confine(Needs(network=True, tcp_ports=None))")
    assert {"connect", "connect elsewhere"} <= may
    assert not may & (FILES | CHANGES | PROCESSES)


@needs_landlock
@needs_seccomp
def test_a_decoder_of_a_camera_writes_to_its_device_alone(tmp_path: Path) -> None:
    _, may = attempts(tmp_path, "holds = confine(Needs(devices=(Path('/dev/zero'),)))")
    assert may == (HARMLESS | {"control a device", "memory file"}) - {"read"}


@needs_landlock
def test_without_filters_files_are_safe(tmp_path: Path) -> None:
    lines = f"""
    from pi_detector.util.confinement import seccomp
    seccomp.available = lambda: False
    {FILE}
    """
    holds, may = attempts(tmp_path, lines)
    assert "seccomp" not in holds
    assert not may & (FILES | (CHANGES - {"memory file", "chmod"}))
    assert not may & {"connect", "connect elsewhere", "listen"}
    assert may >= HARMLESS


@needs_seccomp
def test_without_landlock_nothing_is_changed_or_started(tmp_path: Path) -> None:
    lines = f"""
    from pi_detector.util.confinement import landlock
    landlock.version = lambda: 0
    {FILE}
    """
    holds, may = attempts(tmp_path, lines)
    assert "Landlock" not in holds
    assert not may & (CHANGES | PROCESSES | NETWORK)
    assert may >= HARMLESS


def test_without_both_something_is_left(tmp_path: Path) -> None:
    lines = f"""
    from pi_detector.util.confinement import landlock, seccomp
    landlock.version, seccomp.available = lambda: 0, lambda: False
    {FILE}
    """
    holds, may = attempts(tmp_path, lines)
    assert holds == "no new privileges, limits"
    assert may >= HARMLESS


def test_limits_and_flags(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
folder = Path({str(tmp_path)!r})
from pi_detector.util.confinement.confine import Needs, confine
confine(Needs())
print(Path("/proc/self/status").read_text())
print(Path("/proc/self/limits").read_text())
import ctypes
print("dumpable", ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
    out = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout
    words = [" ".join(line.split()) for line in out.splitlines()]
    assert "NoNewPrivs: 1" in words
    assert "Max core file size 0 0 bytes" in words
    assert "Max open files 128 128 files" in words
    assert "dumpable 0" in words
