"""The end of a run with many open events on a slow card: nothing of them is missing afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from recorded import rows, started_sink
from where import SUPPORT

EVENTS = 32
# Each sync takes a tenth of a second, as on a worn card; the process ends when the sink is closed.
PROGRAM = """
import os, sys, time
sys.path.insert(0, {tests!r})
from recorded import *

sink = started_sink(Path({folder!r}), clips={clips})
camera = Camera(sink)
camera.frames(1)
for number in range({events}):
    camera.objects[number] = (10 + number, 20, 40 + number, 80)
camera.frame()
for number in range({events}):
    camera.tell(f"e{{number:02d}}", "new")
camera.frames(1)
sink._disk.drain(60)
os.fsync = os.fdatasync = lambda descriptor: time.sleep(0.1)
os.sync = lambda: time.sleep(60)
sink.close()
os._exit(0)
"""


@pytest.mark.parametrize("clips", [True, False])
def test_events_that_are_open_at_the_end_are_all_listed_at_the_next_start(
    clips: bool, tmp_path: Path
) -> None:
    program = PROGRAM.format(
        tests=str(SUPPORT),
        folder=str(tmp_path),
        clips=clips,
        events=EVENTS,
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    started_sink(tmp_path, clips=clips).close()
    found = rows(tmp_path)
    assert {row.entry.event.id for row in found} == {f"e{number:02d}" for number in range(EVENTS)}
    assert all(row.entry.complete and row.entry.interrupted for row in found)
    if clips:
        assert all(any(each.kind == "clip" for each in row.entry.files) for row in found)
    pictures = [sum(each.kind == "thumbnail" for each in row.entry.files) for row in found]
    assert pictures == [1] * EVENTS
