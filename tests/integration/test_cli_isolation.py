"""Commands whose source is read in a process of its own, and loses it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import valid

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts pi-detector in a process group of its own."""
    started = []

    def start(*args: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pi_detector", *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def write_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number % 200, np.uint8))
    writer.release()
    return path


def decoder_of(process: subprocess.Popen[str]) -> int:
    """The process id of its child, which runs the decoder."""
    tasks = Path(f"/proc/{process.pid}/task")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pids = [int(p) for t in tasks.iterdir() for p in (t / "children").read_text().split()]
        if pids:
            return pids[0]
        time.sleep(0.02)
    pytest.fail("no child")


def first_record(process: subprocess.Popen[str]) -> dict[str, object]:
    """The next record of a frame."""
    assert process.stdout is not None
    for line in process.stdout:
        record: dict[str, object] = valid.record(line)
        if record["type"] == "detections":
            return record
    pytest.fail("no record")


def test_detect_passes_over_a_file_that_crashes_its_decoder(start: Start, tmp_path: Path) -> None:
    crashes = write_video(tmp_path / "a.avi", 5000)
    follows = write_video(tmp_path / "b.avi", 5)
    process = start("detect", crashes, follows)
    assert first_record(process)["path"] == str(crashes)
    os.kill(decoder_of(process), signal.SIGSEGV)
    out, err = process.communicate(timeout=60)
    records = valid.records(out)
    assert 0 < sum(record["path"] == str(crashes) for record in records) < 4999
    assert sum(record["path"] == str(follows) for record in records) == 5
    assert "warning: a.avi: the decoder was killed by SIGSEGV" in err
    assert "warning: 1 of 2 files could not be read or decoded" in err
    assert process.returncode == os.EX_DATAERR


@pytest.mark.parametrize("command", [("replay",), ("detect",), ("run", "--source")])
def test_an_interrupt_does_not_wait_for_the_writer_of_a_pipe(
    start: Start, tmp_path: Path, command: tuple[str, ...]
) -> None:
    os.mkfifo(tmp_path / "clip.ts")
    process = start(*command, tmp_path / "clip.ts", "-v")
    assert process.stderr is not None
    assert any("is read with" in line for line in process.stderr)  # now it opens the pipe
    decoder = decoder_of(process)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - started < 3  # 0.2 s on a machine that has nothing else to do
    assert process.returncode == (0 if command[0] == "run" else 130), err
    assert "Traceback" not in err
    assert not Path(f"/proc/{decoder}").exists()


def test_replay_decodes_in_a_process_that_may_die(start: Start, tmp_path: Path) -> None:
    process = start("replay", write_video(tmp_path / "a.avi", 5000), "--detections")
    first_record(process)
    os.kill(decoder_of(process), signal.SIGSEGV)
    _, err = process.communicate(timeout=60)
    assert "a.avi: the decoder was killed by SIGSEGV" in err
    assert process.returncode == os.EX_DATAERR


def test_detect_says_why_its_only_file_failed(start: Start, tmp_path: Path) -> None:
    process = start("detect", write_video(tmp_path / "a.avi", 5000), "-v")
    first_record(process)
    os.kill(decoder_of(process), signal.SIGSEGV)
    _, err = process.communicate(timeout=60)
    assert "1 of 1 files could not be read or decoded" in err
    assert process.returncode == os.EX_DATAERR


@pytest.mark.parametrize(
    ("source", "code"), [("demo:", os.EX_UNAVAILABLE), ("a.avi", os.EX_DATAERR)]
)
def test_run_ends_with_an_error(start: Start, tmp_path: Path, source: str, code: int) -> None:
    uri = source if source == "demo:" else str(write_video(tmp_path / source, 5000))
    settings = ["--set", "source.isolation=on", "--set", "recovery.mode=off"]
    process = start("run", "--source", uri, *settings)
    first_record(process)
    os.kill(decoder_of(process), signal.SIGSEGV)
    _, err = process.communicate(timeout=60)
    assert "the decoder was killed by SIGSEGV" in err
    assert "Traceback" not in err
    assert process.returncode == code


def test_run_goes_on_with_a_live_source_that_lost_its_decoder(start: Start) -> None:
    settings = ["--set", "source.isolation=on", "--set", "recovery.first_delay_s=0.1"]
    process = start("run", "--source", "demo:", *settings)
    for _ in range(3):
        before = first_record(process)["sequence"]
        decoder = decoder_of(process)
        os.kill(decoder, signal.SIGSEGV)
        while Path(f"/proc/{decoder}").exists():
            first_record(process)
        assert isinstance(before, int)
        after = first_record(process)["sequence"]
        assert isinstance(after, int)
        assert after > before
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert err.count("the decoder was killed by SIGSEGV") >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("source", ["demo:", "a.avi"])
def test_a_signal_to_all_processes_is_a_clean_end(
    start: Start, tmp_path: Path, source: str, number: signal.Signals
) -> None:
    uri = source if source == "demo:" else str(write_video(tmp_path / source, 5000))
    process = start("run", "--source", uri, "--set", "source.isolation=on")
    first_record(process)
    decoder = decoder_of(process)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "error" not in err
    assert "Traceback" not in err
    assert not Path(f"/proc/{decoder}").exists()


def test_a_signal_while_the_decoder_starts_is_a_clean_end(start: Start, tmp_path: Path) -> None:
    uri = write_video(tmp_path / "a.avi", 500)
    for _ in range(3):
        process = start("run", "--source", uri)
        decoder_of(process)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        assert "Traceback" not in err


def test_messages_of_the_process_have_the_form_of_all_others(start: Start, tmp_path: Path) -> None:
    process = start("run", "--source", str(write_video(tmp_path / "a.avi", 3)), "-v")
    _, err = process.communicate(timeout=60)
    assert re.search(r"^pi-detector: debug: .*a\.avi: end after 3 frames$", err, re.MULTILINE), err
