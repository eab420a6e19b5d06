"""A machine with a real systemd: a container of systemd-nspawn on layers of a file system."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

BOOT_S = 60.0
STOP_S = 20.0
# Where this machine's cgroups of version 2 are: beside those of version 1, or alone.
CGROUPS = next(
    path
    for path in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
    if (path / "cgroup.procs").exists()
)
# Of what is outside of the machines; then the process that it belongs to.
PREFIX = "pi-detector-test-"
ENVIRONMENT = ("PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")

# In a name space of processes of its own, whose first process nspawn becomes: with that all end,
# and with the process that started it that. Likewise all mounts.
_PRIVATELY = (
    *("setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--propagation=private"),
    *("--pid", "--fork", "--kill-child=KILL", "--mount-proc", "bash", "-c"),
)
# nspawn wants a pure version 2 of cgroups and no trace of another systemd; the two flags make
# DeviceAllow= and IPAddressDeny= work inside.
# By the latter the process that decodes confines itself.
_CALLS = "bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self"
_BOOT = """
set -e
echo 0 > "$CGROUP/cgroup.procs"
umount --lazy --recursive /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
exec systemd-nspawn --quiet --boot --directory="$WORK/root" --machine=pi-detector-test \
    --keep-unit --register=no --console=pipe --link-journal=no --resolv-conf=replace-host \
    --capability=all --system-call-filter="$CALLS" "$@"
"""


class MachineError(AssertionError):
    """A command in the machine that did not end as it should."""


class Machine:
    """A machine that boots in a second, on read-only layers under one of its own.

    As a context it boots, and at the end is stopped and removed, whatever happened. It shares the
    network of the host. It is killed when the process that made it dies.

    Args:
        layers: folders of the file system, the topmost first.
        scratch: folder for the machine's own layer; on the same file system as ``layers``.
        binds: folders and files of the host that it sees read-only, as {inside: outside}.
        keep: keep its layer when it is off.

    Attributes:
        upper: the machine's own layer, what it wrote: may be a layer of others, once it is off.
    """

    def __init__(
        self,
        layers: Sequence[Path],
        scratch: Path,
        binds: Mapping[str, Path] | None = None,
        *,
        keep: bool = False,
    ) -> None:
        self._layers = layers
        self._work = Path(tempfile.mkdtemp(prefix="machine-", dir=scratch))
        self.upper = self._work / "upper"
        for name in ("upper", "work", "root"):
            (self._work / name).mkdir()
        self._binds = binds or {}
        self._keep = keep
        self._group = CGROUPS / f"{PREFIX}{os.getpid()}-{self._work.name}"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Machine:
        self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.poweroff()

    @property
    def root(self) -> Path:
        """The root folder of the running machine, as the host sees it."""
        return Path(f"/proc/{self._leader}/root")

    def boot(self) -> None:
        """Start it and wait until its systemd has started everything.

        Raises:
            MachineError: it does not come up.
        """
        self._group.mkdir()
        console = self._work / "console"
        binds = [f"--bind-ro={outside}:{inside}" for inside, outside in self._binds.items()]
        with console.open("wb") as out:
            self._nspawn = subprocess.Popen(
                [*_PRIVATELY, _BOOT, "boot", *binds],
                env={
                    "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
                    "CALLS": _CALLS,
                    "CGROUP": str(self._group),
                    "LOWER": ":".join(map(str, self._layers)),
                    "WORK": str(self._work),
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_for_systemd()
        except BaseException:
            print(console.read_text()[-2000:])
            self.poweroff()
            raise

    def _wait_for_systemd(self) -> None:
        assert self._nspawn is not None
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline and self._nspawn.poll() is None:
            for nspawn in children(self._nspawn.pid):
                for self._leader in children(nspawn):
                    waited = self.run("systemctl is-system-running --wait", check=False)
                    # trixie's is degraded in a container, which loads no modules.
                    if waited.stdout.strip() in {"running", "degraded"}:
                        return
            time.sleep(0.1)
        raise MachineError("the machine does not boot: its console is above")

    def poweroff(self) -> None:
        """Stop it in an orderly way, or kill it, and leave nothing but a layer that is kept."""
        if self._nspawn is None:
            return
        if self._leader:
            self.run("systemctl poweroff --no-block", check=False, timeout_s=STOP_S)
        try:
            self._nspawn.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._nspawn.pid, signal.SIGKILL)
            self._nspawn.wait()
        self._nspawn, self._leader = None, 0
        remove_groups(self._group)
        if not self._keep:
            shutil.rmtree(self._work)

    def run(
        self, command: str, *, check: bool = True, timeout_s: float = 120, user: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in the machine, as root or ``user``.

        Raises:
            MachineError: its exit code is not 0, and ``check`` was asked for.
            subprocess.TimeoutExpired: it took longer than ``timeout_s``.
        """
        as_user = ["runuser", f"--user={user}", "--"] if user else []
        inside = ["nsenter", f"--target={self._leader}", "--all", "env", "-i", *ENVIRONMENT]
        done = subprocess.run(
            [*inside, *as_user, "bash", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise MachineError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def out(self, command: str, **options: Any) -> str:
        """What a line of shell writes to standard output, without white space around it."""
        return self.run(command, **options).stdout.strip()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in the machine; folders are made. Owned by root."""
        name = shlex.quote(path)
        self.run(f"mkdir -p {shlex.quote(str(Path(path).parent))}; rm -f {name}; touch {name}")
        file = self.root / path.lstrip("/")
        file.write_text(text)
        file.chmod(mode)

    def read(self, path: str) -> str:
        """The text of a file in the machine."""
        return self.run(f"cat {shlex.quote(path)}").stdout

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, as ``systemctl show`` tells it."""
        return self.out(f"systemctl show --property={name} --value {shlex.quote(unit)}")

    def main_pid(self, unit: str) -> int:
        """The main process of a service, as the machine numbers it; 0 for none."""
        return int(self.show(unit, "MainPID"))

    def journal(self, unit: str) -> list[dict[str, Any]]:
        """The entries of the journal about a unit, by it and by systemd, oldest first."""
        lines = self.out(f"journalctl --output=json --unit={shlex.quote(unit)}").splitlines()
        return [json.loads(line) for line in lines]

    def messages(self, unit: str) -> str:
        """The texts of the journal about a unit, one a line."""
        return "\n".join(str(entry.get("MESSAGE", "")) for entry in self.journal(unit))

    def files(self, *folders: str) -> dict[str, str]:
        """Kind, mode and owner of everything under folders, by path."""
        command = f"find {shlex.join(folders)} -xdev -printf '%p\\t%y %m %U:%G\\n'"
        return dict(line.split("\t") for line in self.run(command).stdout.splitlines())


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def wait_until(
    holds: Callable[[], bool], timeout_s: float, what: Callable[[], str] | str = ""
) -> float:
    """Wait until something holds. Returns the seconds that this took.

    Raises:
        MachineError: it does not, within ``timeout_s``; with the words ``what``.
    """
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > timeout_s:
            raise MachineError(f"not within {timeout_s:g} s: {what() if callable(what) else what}")
        time.sleep(0.1)
    return time.monotonic() - started


@contextlib.contextmanager
def drop_in(machine: Machine, unit: str, text: str) -> Iterator[None]:
    """Change a unit for a while: lines of its section ``[Service]``."""
    folder = f"/run/systemd/system/{unit}.d"
    machine.write(f"{folder}/90-test.conf", f"[Service]\n{text}\n")
    machine.run("systemctl daemon-reload")
    try:
        yield
    finally:
        machine.run(f"rm -r {shlex.quote(folder)} && systemctl daemon-reload")


def remove_stale(*folders: Path) -> None:
    """Remove the cgroups, and from folders the layers, of runs that were killed."""
    for folder in (CGROUPS, *folders):
        for stale in folder.glob(f"{PREFIX}*"):
            owner = stale.name.removeprefix(PREFIX).partition("-")[0]
            if Path("/proc", owner).exists():
                continue
            if folder == CGROUPS:
                remove_groups(stale)
            else:
                shutil.rmtree(stale)


def remove_groups(group: Path) -> None:
    """Remove a cgroup with all below it; its processes are gone or about to."""
    deadline = time.monotonic() + STOP_S
    while group.exists():
        for folder in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
            with contextlib.suppress(OSError):  # busy: the next round
                folder.rmdir()
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
