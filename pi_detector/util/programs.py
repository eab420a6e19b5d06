"""Short questions to other programs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def asked(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str] | None:
    """What a program answers; None where it cannot be run or does not end in time.

    Args:
        command: the program and its arguments; it reads nothing.
        timeout_s: after which it is killed.
    """
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


_SYSTEMCTL_TIMEOUT_S = 10.0


def shown_units(units: Sequence[str], properties: Sequence[str]) -> str:
    """What ``systemctl show`` says about units; empty where it says nothing.

    Args:
        units: names or patterns.
        properties: that are asked for.
    """
    command = ["systemctl", "show", *units, f"--property={','.join(properties)}"]
    answer = asked(command, _SYSTEMCTL_TIMEOUT_S)
    return "" if answer is None else answer.stdout


def unit_properties(shown: str) -> list[dict[str, str]]:
    """The properties of each unit in an answer of ``shown_units``, by name."""
    return [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in shown.split("\n\n")
    ]
