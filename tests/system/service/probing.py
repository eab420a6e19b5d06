"""What a program in the place of the daemon could do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import Machine, drop_in

PROBE = "pi-detector@probe.service"


@contextmanager
def prepared(machine: Machine) -> Iterator[None]:
    """What probe.py tries to reach, for a while."""
    machine.write("/etc/pi-detector/credentials/probe", "known")
    machine.write("/home/somebody/diary", "private", mode=0o666)
    # As a camera is, and as a device that is none: both are open to the service's user.
    machine.run("mknod -m 666 /dev/probe-kmsg c 1 11")
    machine.run("mknod -m 660 /dev/probe-null c 1 3; chown root:video /dev/probe-null")
    try:
        yield
    finally:
        machine.run("rm -r /home/somebody /dev/probe-*")


def probed(machine: Machine) -> dict[str, Any]:
    """Run probe.py as an instance of the service, with all prepared."""
    machine.write("/etc/pi-detector/probe.py", Path(__file__).with_name("probe.py").read_text())
    program = "ExecStart=\nExecStart=/opt/pi-detector/bin/python /etc/pi-detector/probe.py"
    once = "Type=oneshot\nRestart=no\nRestartForceExitStatus=\nWatchdogSec=0\n"
    with drop_in(machine, PROBE, once + program):
        machine.run(f"systemctl start {PROBE}")
    seen: dict[str, Any] = json.loads(machine.read("/var/lib/pi-detector/probe/seen.json"))
    return seen
