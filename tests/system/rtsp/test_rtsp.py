"""A network camera that freezes, dies, comes back: detection resumes by itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import valid
from rtsp_camera import Camera

READ_TIMEOUT_S = 2.0
LONGEST_DELAY_S = 2.0
PATIENCE_S = 60.0


class Daemon:
    """``pi-detector run`` on the camera."""

    def __init__(self, uri: str, folder: Path, mode: str = "after-start") -> None:
        self.out, self.log = folder / "out", folder / "log"
        settings = {
            "source.read_timeout_s": READ_TIMEOUT_S,
            "recovery.mode": mode,
            "recovery.longest_delay_s": LONGEST_DELAY_S,
        }
        options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        command = [sys.executable, "-m", "pi_detector", "run", "--source", uri, *options]
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=log
            )

    def rows(self) -> list[dict[str, object]]:
        lines = self.out.read_bytes().splitlines(keepends=True)
        return [valid.record(line) for line in lines if line.endswith(b"\n")]

    def count(self) -> int:
        return sum(row["type"] == "detections" for row in self.rows())

    def states(self) -> list[object]:
        return [row["state"] for row in self.rows() if row.get("part") == "source"]

    def wait_for(self, condition: Callable[[], object]) -> float:
        """Seconds until the condition holds."""
        started = time.monotonic()
        while not condition():
            assert self.process.poll() is None, f"ended: {self.log.read_text()}"
            assert time.monotonic() - started < PATIENCE_S, self.log.read_text()
            time.sleep(0.02)
        return time.monotonic() - started

    def detects(self, frames: int = 10) -> float:
        before = self.count()
        return self.wait_for(lambda: self.count() >= before + frames)

    def resources(self) -> tuple[int, int, int]:
        """Threads, descriptors and resident KiB, of the process and its children."""
        totals = [0, 0, 0]
        for pid in family(self.process.pid):
            status = Path(f"/proc/{pid}/status").read_text()
            totals[0] += int(re.findall(r"Threads:\s+(\d+)", status)[0])
            totals[1] += len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
            totals[2] += int(re.findall(r"VmRSS:\s+(\d+)", status)[0])
        return totals[0], totals[1], totals[2]


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


@pytest.fixture
def camera() -> Iterator[Camera]:
    one = Camera()
    yield one
    one.kill()


@pytest.fixture
def run(camera: Camera, tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    started: list[Daemon] = []

    def start(mode: str = "after-start") -> Daemon:
        started.append(Daemon(camera.uri, tmp_path, mode))
        return started[-1]

    yield start
    for daemon in started:
        daemon.process.kill()
        daemon.process.wait()


Run = Callable[..., Daemon]


def test_a_frozen_server_is_a_stall_and_detection_resumes(camera: Camera, run: Run) -> None:
    camera.start()
    daemon = run()
    daemon.detects()
    camera.signal(signal.SIGSTOP)
    noticed_s = daemon.wait_for(lambda: daemon.states()[-1] == "stalled")
    assert noticed_s < READ_TIMEOUT_S + 5
    time.sleep(READ_TIMEOUT_S + LONGEST_DELAY_S)  # opening it again runs into its deadline as well
    camera.signal(signal.SIGCONT)
    recovered_s = daemon.wait_for(lambda: daemon.states()[-1] == "live")
    daemon.detects()
    print(f"MEASURED RTSP server frozen: noticed {noticed_s:.1f} s, back {recovered_s:.1f} s")


def test_a_killed_server_is_a_loss_and_detection_resumes(camera: Camera, run: Run) -> None:
    camera.start()
    daemon = run()
    daemon.detects(30)
    before = daemon.resources()
    for _ in range(3):
        camera.kill()
        noticed_s = daemon.wait_for(lambda: daemon.states()[-1] == "reopening")
        time.sleep(3)
        camera.start()
        recovered_s = daemon.wait_for(lambda: daemon.states()[-1] == "live")
        daemon.detects(30)
    threads, descriptors, rss_kb = (
        now - then for now, then in zip(daemon.resources(), before, strict=True)
    )
    assert threads <= 0
    assert descriptors <= 0
    assert rss_kb < 20_000
    daemon.process.terminate()
    assert daemon.process.wait(PATIENCE_S) == 0
    print(
        f"MEASURED RTSP server killed: noticed {noticed_s:.1f} s, back {recovered_s:.1f} s after "
        f"its start, threads {threads:+d}, descriptors {descriptors:+d}, RSS {rss_kb:+d} KiB"
    )


def test_a_server_that_is_not_there_yet_is_waited_for(camera: Camera, run: Run) -> None:
    daemon = run(mode="always")
    daemon.wait_for(lambda: daemon.states()[-1:] == ["reopening"])
    camera.start()
    started_s = daemon.wait_for(lambda: daemon.states()[-1] == "live")
    daemon.detects()
    print(f"MEASURED RTSP server started late: live {started_s:.1f} s after its start")


def test_a_stop_does_not_wait_for_a_frozen_server(camera: Camera, run: Run) -> None:
    camera.start()
    daemon = run()
    daemon.detects()
    camera.signal(signal.SIGSTOP)
    daemon.wait_for(lambda: daemon.states()[-1] == "stalled")
    started = time.monotonic()
    daemon.process.terminate()
    assert daemon.process.wait(PATIENCE_S) == 0, daemon.log.read_text()
    assert time.monotonic() - started < 10
