"""What a program in the place of the daemon could do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from machine import Machine, drop_in

PROBE = "pi-detector@probe.service"


def probed(machine: Machine) -> dict[str, Any]:
    """Run probe.py as an instance of the service."""
    machine.write("/etc/pi-detector/probe.py", Path(__file__).with_name("probe.py").read_text())
    program = "ExecStart=\nExecStart=/opt/pi-detector/bin/python /etc/pi-detector/probe.py"
    once = "Type=oneshot\nRestart=no\nRestartForceExitStatus=\nWatchdogSec=0\n"
    with drop_in(machine, PROBE, once + program):
        machine.run(f"systemctl start {PROBE}")
    seen: dict[str, Any] = json.loads(machine.read("/var/lib/pi-detector/probe/seen.json"))
    return seen
