"""SIGKILL at any moment, over and over, on the same folder.

``KILL_ROUNDS`` sets how often; ``make kill-test`` runs many.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recording_checks import check
from where import SUPPORT

ROUNDS = int(os.environ.get("KILL_ROUNDS", "40"))
ROUNDS_A_FOLDER = 25
LOOP = SUPPORT / "recording_loop.py"


@pytest.mark.timeout(60 + 5 * ROUNDS)
def test_whenever_a_recorder_is_killed_what_is_listed_is_whole(tmp_path: Path) -> None:
    seed = int(os.environ.get("KILL_SEED", time.time_ns() % 10**6))
    print(f"KILL_SEED={seed}")
    chance = random.Random(seed)
    recorded = salvaged = 0
    with subprocess.Popen(
        [sys.executable, str(LOOP)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as loop:
        assert loop.stdin is not None
        for number in range(ROUNDS):
            folder = tmp_path / str(number // ROUNDS_A_FOLDER)
            if number % ROUNDS_A_FOLDER == 0:
                shutil.rmtree(tmp_path / str(number // ROUNDS_A_FOLDER - 1), ignore_errors=True)
                done: set[str] = set()
                seen: dict[str, int] = {}
                listed: set[str] = set()
            print(folder, number, 0, file=loop.stdin, flush=True)
            told = killed_after(loop, chance.uniform(0, 0.7))
            done |= {line.split()[1] for line in told if line.startswith("done")}
            salvaged += any(folder.rglob("*.mp4.part"))
            before, listed = listed, check(folder, done | listed, seen)
            recorded += len(listed - before)
        loop.stdin.close()
    print(f"{ROUNDS} rounds, {recorded} events recorded, {salvaged} rounds with a clip to salvage")
    assert recorded > ROUNDS / 4
    assert salvaged > ROUNDS / 8


def killed_after(loop: subprocess.Popen[str], seconds: float) -> list[str]:
    """Kill the recorder that is being started. Returns the lines that it printed."""
    assert loop.stdout is not None
    recorder = int(loop.stdout.readline())
    time.sleep(seconds)
    os.kill(recorder, signal.SIGKILL)
    lines = []
    while (line := loop.stdout.readline().strip()) != "gone":
        assert line, "the loop ended"
        lines.append(line)
    return lines
