"""A process that sends messages is killed at any moment: nothing is lost, nothing comes twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from notified import Hook, a_hook
from results import environment
from waiting import until
from where import SUPPORT

EVENTS = 200
KILLS = 8


def feeder(folder: Path, url: str, first: int, last: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            *(SUPPORT / "notify_feeder.py", folder, url),
            *(str(first), str(last), "timeout_s=0.5"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )


def handed_over(process: subprocess.Popen[str], after_s: float) -> int:
    """Kill a feeder some time after its first event; the last event that it handed over."""
    assert process.stdout is not None
    numbers = [int(process.stdout.readline())]
    time.sleep(after_s)
    process.kill()
    numbers += [int(line) for line in process.stdout.read().splitlines() if line]
    process.wait()
    return numbers[-1]


def numbers_of(hook: Hook) -> Counter[int]:
    """Numbers of the events, each counted as often as its id came in messages of its own."""
    first_by_id = {message["id"]: message for message in hook.taken}
    return Counter(
        int(event["id"].rpartition("-")[2])
        for message in first_by_id.values()
        for event in message["events"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("answers", [[], [500, 429, "hang", "drop"]], ids=["well", "failing"])
def test_killed_in_between_nothing_is_lost_and_no_id_means_two_things(
    tmp_path: Path, answers: list[int | str]
) -> None:
    chance = random.Random(7)
    with a_hook() as hook:
        done = 0
        for kill in range(KILLS):
            hook.answers = list(answers)  # type: ignore[arg-type]
            process = feeder(tmp_path, hook.url, done + 1, (kill + 1) * EVENTS // (KILLS + 1))
            done = handed_over(process, chance.uniform(0, 0.1))
        hook.answers = []
        process = feeder(tmp_path, hook.url, done + 1, EVENTS)
        until(lambda: len(numbers_of(hook)) >= EVENTS, lambda: len(numbers_of(hook)))
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)

    # The event at whose very moment the process was killed may have been handed over or not; it
    # is fed again then, under the id that it had.
    assert set(numbers_of(hook)) == set(range(1, EVENTS + 1))
    assert max(numbers_of(hook).values()) == 1
    by_id: dict[str, set[str]] = {}
    for message in hook.taken:
        by_id.setdefault(message["id"], set()).add(message["events"][0]["id"])
    assert all(len(events) == 1 for events in by_id.values())
    # What came twice was on its way when the process died: at most one message per kill.
    assert len(hook.taken) - len(by_id) <= KILLS
    assert not list(tmp_path.glob("*.queue*"))
