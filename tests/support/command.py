"""The command line, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys


def pi_detector(
    *args: object, env: dict[str, str] | None = None, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """A command that ended, without what the environment of the tests sets."""
    clean = {name: value for name, value in os.environ.items() if "PI_DETECTOR" not in name}
    return subprocess.run(
        [sys.executable, "-m", "pi_detector", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=clean | (env or {}),
    )
