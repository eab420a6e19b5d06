"""Descriptors and threads run out for real, in a process of its own, while it detects."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE_S
from where import SUPPORT

PROGRAM = SUPPORT / "exhausted.py"


@pytest.mark.parametrize("what", ["descriptors", "threads", "many descriptors"])
def test_detection_continues_and_the_sinks_recover(what: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, what, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    states = json.loads(done.stdout)
    if what == "many descriptors":
        assert "out of range" not in done.stderr
    for name, told in states.items():
        assert told[-1:] in (["live"], []), (name, told)
