"""Power cuts at any moment, on a real ext4: what had not reached the disk is lost.

A recorder writes to an ext4 file system in an image. A copy of the image at some moment is what a
power cut then would leave: what is still in the page cache is not in it. The copy is mounted, its
journal is replayed, and the recordings are checked as after a start.

Needs root and loop devices. ``POWER_CUTS`` sets how many.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from recording_checks import check
from where import SUPPORT

CUTS = int(os.environ.get("POWER_CUTS", "20"))
CUTS_A_DISK = 10
MOST_MB = 64
LOOP = SUPPORT / "recording_loop.py"
PACE = 0.05  # twenty seconds of the scene a second


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def make_disk(image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(MOST_MB * 1024 * 1024)
    # As on a card: the journal is committed every five seconds, data is written when it is old.
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)


def copy_at_one_moment(image: Path, copy: Path) -> None:
    """Copy what is on the disk; again, where the kernel wrote meanwhile."""
    while True:
        before = image.read_bytes()
        if image.read_bytes() == before:
            copy.write_bytes(before)
            return


def test_after_a_power_cut_what_is_listed_is_whole(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        pytest.skip("needs root and loop devices")
    seed = int(os.environ.get("KILL_SEED", time.time_ns() % 10**6))
    print(f"KILL_SEED={seed}")
    chance = random.Random(seed)
    image, copy = tmp_path / "disk", tmp_path / "copy"
    recorded = salvaged = 0
    with subprocess.Popen(
        [sys.executable, str(LOOP)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as loop:
        assert loop.stdin is not None
        assert loop.stdout is not None
        for disk in range(-(-CUTS // CUTS_A_DISK)):
            make_disk(image)
            with mounted(image, tmp_path / "mnt") as folder:
                print(folder / "r", disk, PACE, file=loop.stdin, flush=True)
                recorder = int(loop.stdout.readline())
                assert loop.stdout.readline() == "recording\n"
                try:
                    for found in cuts(loop, recorder, chance, image, copy):
                        salvaged += found[0]
                        recorded += found[1]
                finally:
                    os.kill(recorder, signal.SIGKILL)
                    os.set_blocking(loop.stdout.fileno(), True)
                    while loop.stdout.readline() != "gone\n":
                        pass
        loop.stdin.close()
    print(f"{CUTS} cuts, {recorded} listed events, {salvaged} clips to salvage")
    assert recorded > CUTS
    assert salvaged > CUTS / 8


def cuts(
    loop: subprocess.Popen[str], recorder: int, chance: random.Random, image: Path, copy: Path
) -> Iterator[tuple[bool, int]]:
    """Cut the power of a recorder some times.

    Yields:
        Whether there was a clip to salvage, and how many events are listed.
    """
    assert loop.stdout is not None
    os.set_blocking(loop.stdout.fileno(), False)
    done: set[str] = set()
    for _ in range(CUTS_A_DISK):
        time.sleep(chance.uniform(0, 1.5))
        os.kill(recorder, signal.SIGSTOP)
        done |= {line.split()[1] for line in lines_so_far(loop)}
        copy_at_one_moment(image, copy)
        os.kill(recorder, signal.SIGCONT)
        with mounted(copy, copy.with_name("after")) as after:
            unfinished = any(after.rglob("*.mp4.part"))
            yield unfinished, len(check(after / "r", done, {}))


def lines_so_far(loop: subprocess.Popen[str]) -> list[str]:
    assert loop.stdout is not None
    lines = []
    while line := loop.stdout.readline():
        assert line.endswith("\n")
        lines.append(line.strip())
    return lines
