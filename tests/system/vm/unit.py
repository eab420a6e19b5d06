"""The service in the guest: installed, set up, watched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from checks import Record, wait_until

UNIT = "pi-detector.service"
ETC = Path("/etc/pi-detector")
LOGS = Path("/var/log/pi-detector")
DROP_INS = Path("/run/systemd/system")
SETTINGS = """\
[source]
uri = "{uri}"
read_timeout_s = 3.0

[output]
stdout = "none"
log = "$LOGS_DIRECTORY"
log_detections = true

[recovery]
mode = "always"
"""
# The emulated processor is slower than any that the unit's own times are made for.
SLOWLY = "TimeoutStartSec=600\nWatchdogSec=60\nTimeoutStopSec=60\n"


def run(*command: str) -> str:
    """Run a command to its end; what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def install(checkout: Path) -> None:
    """What systemd/install.sh does, but that the environment is there and needs the wheel only."""
    (wheel,) = (checkout / "build/vm").glob("pi_detector-*.whl")
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel))
    Path("/opt/pi-detector").symlink_to("/opt/venv")
    version = run("systemctl", "--version").split()[1]
    files = f". {checkout}/systemd/files.sh; files_install / /usr/local/lib {version}"
    run("bash", "-euc", files)
    run("systemd-sysusers", "/usr/local/lib/sysusers.d/pi-detector.conf")
    run("systemd-tmpfiles", "--create", "/usr/local/lib/tmpfiles.d/pi-detector.conf")
    for unit in (UNIT, "pi-detector@.service"):
        drop_in(unit, "slowly", SLOWLY)
    run("udevadm", "control", "--reload")


def drop_in(unit: str, name: str, service: str) -> None:
    """Add to a unit's section [Service]."""
    folder = DROP_INS / f"{unit}.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"90-{name}.conf").write_text(f"[Service]\n{service}")
    run("systemctl", "daemon-reload")


def set_up(uri: str, name: str = "config") -> None:
    """Write the settings, readable by the service."""
    (ETC / f"{name}.toml").write_text(SETTINGS.format(uri=uri))


def show(name: str, unit: str = UNIT) -> str:
    """A property of a unit."""
    return run("systemctl", "show", "--value", "--property", name, unit)


class Service:
    """The running service; its records are read from its log.

    Args:
        unit: which one.
        logs: its folder of records.
    """

    def __init__(self, unit: str = UNIT, logs: Path = LOGS) -> None:
        self._unit = unit
        self._logs = logs

    def __enter__(self) -> Service:
        shutil.rmtree(self._logs, ignore_errors=True)
        run("systemctl", "reset-failed")
        run("systemctl", "start", self._unit)
        return self

    def __exit__(self, *_: object) -> None:
        run("systemctl", "stop", self._unit)

    def records(self) -> list[Record]:
        """All records in its log."""
        lines = [line for path in sorted(self._logs.glob("*.jsonl")) for line in path.open("rb")]
        return [json.loads(line) for line in lines]

    def wait_for(self, what: str, wanted: Callable[[Record], bool], timeout_s: float) -> float:
        """Wait for a new record; returns the seconds until it was in the log."""
        started = time.monotonic()
        known = len(self.records())
        try:
            wait_until(
                lambda: any(wanted(record) for record in self.records()[known:]),
                what,
                timeout_s,
                pause_s=0.5,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.journal()}") from None
        return time.monotonic() - started

    def finds_a_person(self, timeout_s: float = 300.0) -> float:
        """Wait for a new record of a frame with a person; returns the seconds."""
        return self.wait_for("a person", shows_a_person, timeout_s)

    def source_is(self, state: str, timeout_s: float = 300.0) -> float:
        """Wait for a new record that says so; returns the seconds."""
        return self.wait_for(
            f"state {state}",
            lambda record: (
                record["type"] == "status"
                and record["part"] == "source"
                and record["state"] == state
            ),
            timeout_s,
        )

    def restarts(self) -> int:
        """How often systemd started it again since it was started by us."""
        return int(show("NRestarts", self._unit))

    def journal(self) -> str:
        """The end of its messages."""
        return run("journalctl", "--unit", self._unit, "--lines", "20", "--output", "cat")


def shows_a_person(record: Record) -> bool:
    """A record of a frame with a person in it."""
    return record["type"] == "detections" and any(
        found["label"] == "person" for found in record["detections"]
    )


def memory_of(pid: str) -> int:
    """What a process keeps in memory (RSS), in bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
