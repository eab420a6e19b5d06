"""A few files of each kind through the fuzzer of `make fuzz`, which must find nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).with_name("media.py")


@pytest.mark.parametrize(("target", "most"), [("pictures", 300), ("videos", 150), ("models", 20)])
def test_damaged_files(target: str, most: int) -> None:
    command = [sys.executable, FUZZER, target, "6", "1", most]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout
    assert ", 0 failures" in done.stdout
