"""What a confined process may do, on a real aarch64 kernel. Runs as root in the guest of kernel.sh.

The numbers of system calls differ between architectures: each attempt is one that the filter
refuses by a number of aarch64's own.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

REFUSALS = {errno.EPERM, errno.EACCES}
FOLDER = Path("/tmp/tried")
FORBIDDEN: dict[str, Callable[[], object]] = {
    "write": lambda: (FOLDER / "new").write_text("x"),
    "remove": (FOLDER / "file").unlink,
    "make a folder": (FOLDER / "d").mkdir,
    "rename": lambda: (FOLDER / "file").rename(FOLDER / "x"),
    "chmod": lambda: (FOLDER / "file").chmod(0o777),
    "chown": lambda: os.chown(FOLDER / "file", 1, 1),
    "truncate": lambda: os.truncate(FOLDER / "file", 0),
    "set times": lambda: os.utime(FOLDER / "file"),
    "link": lambda: (FOLDER / "l").symlink_to("x"),
    "fork": os.fork,
    "run": lambda: os.execv("/bin/busybox", ["true"]),
    "start": lambda: os.posix_spawn("/bin/busybox", ["true"], {}),
    "signal": lambda: os.kill(1, 0),
    "open a process": lambda: os.pidfd_open(1),
    "signal by pidfd": lambda: signal.pidfd_send_signal(0, 0),
    "another user": lambda: os.setresuid(1, 1, 1),
    "chroot": lambda: os.chroot("/"),
    "host name": lambda: socket.sethostname("x"),
    "memory file": lambda: os.memfd_create("x"),
    "socket": lambda: socket.socket().close(),
    "read another file": (FOLDER / "other").read_text,
}
ALLOWED: dict[str, Callable[[], object]] = {
    "read": (FOLDER / "file").read_text,
    "thread": lambda: threading.Thread(target=int).start(),
    "signal itself": lambda: os.kill(os.getpid(), 0),
    "import": lambda: __import__("xml.dom.minidom"),
}


def main() -> int:
    """Try everything in a process of its own, then detect with a confined source."""
    if sys.argv[1:] == ["confined"]:
        return confined()
    FOLDER.mkdir()
    for name in ("file", "other"):
        (FOLDER / name).write_text("text")
    results = [attempts(), detection()]
    print(f"{sum(results)} passed, {results.count(False)} failed", flush=True)
    return not all(results)


def attempts() -> bool:
    """Whether all is refused that should be, and nothing else."""
    done = subprocess.run(
        [sys.executable, __file__, "confined"], capture_output=True, text=True, check=False
    )
    print(done.stdout, done.stderr, flush=True)
    return done.returncode == 0


def confined() -> int:
    """Give up all rights, then try."""
    from pi_detector.util.confinement.confine import Needs, confine

    holds = confine(Needs(readable=(FOLDER / "file",)))
    print(f"{platform.machine()}, Linux {platform.release()}: {holds}")
    wrong = ["no filter"] * ("seccomp" not in holds or "Landlock" not in holds)
    for name, attempt in (FORBIDDEN | ALLOWED).items():
        try:
            attempt()
        except OSError as error:
            print(f"{name}: {error.strerror}")
            wrong += [name] * (name in ALLOWED or error.errno not in REFUSALS)
        else:
            print(f"{name}: done")
            wrong += [name] * (name in FORBIDDEN)
    print(f"wrong: {wrong}")
    return bool(wrong)


def detection() -> bool:
    """Whether a source in a confined process gives frames, in which something is found."""
    command = [
        sys.executable,
        "-m",
        "pi_detector",
        "run",
        "--source",
        "demo:",
        "--frames",
        "3",
        "-v",
    ]
    # Emulation makes its start slow.
    settings = ("source.isolation=on", "recovery.mode=always", "source.read_timeout_s=60")
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    found = [record for record in records if record.get("detections")]
    reads = [line for line in done.stderr.splitlines() if "is read with" in line]
    print("\n".join(reads) or done.stderr, flush=True)
    return bool(found) and any("seccomp" in line for line in reads)


if __name__ == "__main__":
    sys.exit(main())
