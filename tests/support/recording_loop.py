"""A recorder to be killed: events without end, at full speed, in processes forked one by one.

    python recording_loop.py

Reads a line ``FOLDER SEED PACE`` from standard input, forks a process that records there, and
prints its id. That process prints ``done ID`` once an event is on the disk for good. ``PACE`` is
seconds of real time for a second of the scene.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from recorded import Camera, started_sink

from pi_detector.sinks.recordings import clipfile

POSITIONS = [(10, 40, 40, 90), (60, 50, 100, 110), (110, 40, 150, 100)]


def record(folder: Path, seed: int, pace: float) -> None:
    """Record until killed."""
    chance = random.Random(seed)
    clipfile.BATCH_BYTES = 4096
    clipfile.BATCH_S = max(0.02, 5 * pace)
    sink = started_sink(folder, pre_s=1, post_s=0.5, longest_clip_s=10)
    camera = Camera(sink)
    going: dict[int, str] = {}
    ended: list[str] = []
    count = 0
    say("recording")
    while True:
        camera.frame()
        time.sleep(0.1 * pace)
        free = [track for track in (1, 2, 3) if track not in going]
        if free and chance.random() < 0.1:
            track = chance.choice(free)
            going[track] = f"{seed}-{count}"
            count += 1
            camera.objects[track] = POSITIONS[track - 1]
            camera.tell(going[track], "new", track, entered=("gate",))
        elif going and chance.random() < 0.1:
            track = chance.choice(list(going))
            camera.tell(going[track], "end", track, reason="gone", entered=("gate",))
            ended.append(going.pop(track))
            del camera.objects[track]
        if ended and chance.random() < 0.05:
            sink._disk.drain(60)
            for event_id in ended:
                say(f"done {event_id}")
            ended.clear()


def say(line: str) -> None:
    """Print a line in one piece, whoever prints besides."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def main() -> None:
    """Fork recorders; without threads here, so that they start whole."""
    for line in sys.stdin:
        folder, seed, pace = line.split()
        child = os.fork()
        if child == 0:
            say(str(os.getpid()))
            record(Path(folder), int(seed), float(pace))
        os.waitpid(child, 0)
        say("gone")


if __name__ == "__main__":
    main()
