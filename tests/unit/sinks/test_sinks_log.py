"""Records in rotated files."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from backports import zstd
from results import a_result, environment

from pi_detector.core.geometry import Detections
from pi_detector.core.records import encode, status_record
from pi_detector.errors import SinkError
from pi_detector.sinks import daily
from pi_detector.sinks.log import RecordLogSink

MIB = 1024 * 1024


def lines_of(folder: Path) -> list[dict[str, object]]:
    files = sorted(folder.glob("records-*.jsonl*"))
    return [json.loads(line) for file in files for line in content_of(file).splitlines()]


def content_of(file: Path) -> bytes:
    return zstd.decompress(file.read_bytes()) if file.suffix == ".zst" else file.read_bytes()


def a_status(number: int = 0):
    return status_record("source", f"camera {number}", "live")


def test_status_is_written_at_once_and_frames_only_on_request(tmp_path: Path):
    sink = RecordLogSink(tmp_path, most_bytes=MIB)
    sink.start()
    sink.handle(a_result(0))
    sink.handle(a_status())
    assert [line["type"] for line in lines_of(tmp_path)] == ["status"]
    sink.close()

    with_frames = RecordLogSink(tmp_path / "frames", most_bytes=MIB, detections=True)
    with_frames.start()
    with_frames.handle(a_result(0))
    with_frames.handle(a_result(1, Detections()))
    assert lines_of(tmp_path / "frames") == []  # a batch is written as one
    with_frames.close()
    assert [line["sequence"] for line in lines_of(tmp_path / "frames")] == [0]


def test_the_next_run_goes_on_in_the_same_file(tmp_path: Path):
    for number in range(3):
        sink = RecordLogSink(tmp_path, most_bytes=MIB)
        sink.start()
        sink.handle(a_status(number))
        sink.close()
    assert len(list(tmp_path.iterdir())) == 1
    assert len(lines_of(tmp_path)) == 3


def test_a_line_that_a_power_cut_left_unfinished_is_not_continued(tmp_path: Path):
    torn = tmp_path / "records-000041.jsonl"
    torn.write_bytes(b'{"type": "sta')
    sink = RecordLogSink(tmp_path, most_bytes=MIB)
    sink.start()
    sink.handle(a_status())
    assert json.loads((tmp_path / "records-000042.jsonl").read_bytes())["type"] == "status"


def test_a_file_that_a_crash_left_empty_is_filled(tmp_path: Path):
    (tmp_path / "records-000041.jsonl").write_bytes(b"")
    sink = RecordLogSink(tmp_path, most_bytes=MIB)
    sink.start()
    sink.handle(a_status())
    assert [file.name for file in tmp_path.iterdir()] == ["records-000041.jsonl"]
    assert len(lines_of(tmp_path)) == 1


@pytest.mark.parametrize("compress", [True, False])
def test_old_files_are_deleted_and_foreign_ones_never(tmp_path: Path, compress: bool):
    foreign = tmp_path / "records-mine.jsonl"
    foreign.write_text("precious")
    sink = RecordLogSink(tmp_path, most_bytes=16 * 1024, compress=compress)
    sink.start()
    largest = 0
    for number in range(1000):
        sink.handle(a_status(number))
        ours = [file for file in tmp_path.iterdir() if file != foreign]
        largest = max(largest, sum(file.stat().st_size for file in ours))
    assert 12 * 1024 < largest <= 17 * 1024
    assert foreign.read_text() == "precious"
    kept = [line["name"] for line in lines_of_ours(tmp_path)]
    assert kept == [f"camera {number}" for number in range(1000 - len(kept), 1000)]
    # What is compressed leaves room for more.
    assert (len(kept) > 150) == compress


def lines_of_ours(folder: Path) -> list[dict[str, object]]:
    ours = sorted(folder.glob("records-0*"))
    return [json.loads(line) for file in ours for line in content_of(file).splitlines()]


def test_full_files_are_compressed_and_the_next_run_goes_on(tmp_path: Path):
    for run in range(3):
        sink = RecordLogSink(tmp_path, most_bytes=64 * 1024)
        sink.start()
        for number in range(60):
            sink.handle(a_status(run * 60 + number))
        sink.close()
    names = sorted(file.name for file in tmp_path.iterdir())
    assert [name.endswith(".zst") for name in names] == [True] * (len(names) - 1) + [False]
    assert [line["name"] for line in lines_of(tmp_path)] == [f"camera {n}" for n in range(180)]


def test_what_a_crash_leaves_is_cleared_away(tmp_path: Path):
    line = encode(a_status(1))
    (tmp_path / "records-000001.jsonl").write_bytes(line)
    (tmp_path / "records-000001.jsonl.zst").write_bytes(zstd.compress(line))
    (tmp_path / "records-000002.jsonl").write_bytes(line)
    (tmp_path / ".records-000002.jsonl.zst.part").write_bytes(b"half")
    sink = RecordLogSink(tmp_path, most_bytes=MIB)
    sink.start()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "records-000001.jsonl.zst",
        "records-000002.jsonl",
    ]
    assert len(lines_of(tmp_path)) == 2


def test_a_file_that_cannot_be_compressed_stays_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sink = RecordLogSink(tmp_path, most_bytes=64 * 1024)
    sink.start()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        for number in range(60):
            sink.handle(a_status(number))
    assert "not compressed: No space left on device" in caplog.text
    assert not list(tmp_path.glob("*.zst"))
    assert not list(tmp_path.glob(".*"))
    for number in range(60, 120):
        sink.handle(a_status(number))
    assert len(list(tmp_path.glob("*.zst"))) > 1
    assert [line["name"] for line in lines_of(tmp_path)] == [f"camera {n}" for n in range(120)]


KILLED = """
import sys
from pi_detector.core.records import status_record
from pi_detector.sinks.log import RecordLogSink
sink = RecordLogSink(sys.argv[1], most_bytes=400_000)
sink.start()
number = int(sys.argv[2])
print("started", flush=True)
while True:
    sink.handle(status_record("source", f"camera {number}", "live"))
    number += 1
"""


def whole_lines_of(folder: Path) -> list[dict[str, object]]:
    """Without a last line that a kill cut off: the kernel ends a write at a border of pages."""
    files = sorted(folder.glob("records-*.jsonl*"))
    lines = [line for file in files for line in content_of(file).splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path: Path):
    program = [sys.executable, "-c", KILLED]
    chance = random.Random(1)
    for round_number in range(8):
        first = round_number * 1_000_000
        with subprocess.Popen(
            [*program, tmp_path, str(first)], stdout=subprocess.PIPE, env=environment()
        ) as running:
            assert running.stdout is not None
            running.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.3))
            running.kill()
        RecordLogSink(tmp_path, most_bytes=400_000).start()
        numbers = [int(str(line["name"]).split()[1]) for line in whole_lines_of(tmp_path)]
        assert all(
            after == before + 1 or (after % 1_000_000 == 0 and after > before)
            for before, after in itertools.pairwise(numbers)
        )
    assert len(numbers) > 100


# A limit on the size of files stands for a full disk: the kernel writes a part, then refuses.
LIMITED = """
import resource
import signal
import sys
from pi_detector.core.records import status_record
from pi_detector.errors import SinkError
from pi_detector.sinks.log import RecordLogSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = RecordLogSink(sys.argv[1], most_bytes=1024 * 1024)
sink.start()
refused = 0
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
for number in range(20):
    try:
        sink.handle(status_record("source", f"camera {number}", "live"))
    except SinkError as error:
        assert "free some space" in str(error), error
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
sink.handle(status_record("source", "camera 20", "live"))
sink.close()
print(refused)
"""


def test_a_full_disk_cuts_no_line_and_loses_none(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert int(done.stdout) > 5
    assert [line["name"] for line in lines_of(tmp_path)] == [f"camera {n}" for n in range(21)]


def a_day(monkeypatch: pytest.MonkeyPatch, day: int) -> None:
    now = datetime(2026, 7, day, 12, tzinfo=UTC)
    monkeypatch.setattr(daily, "utc_now", lambda: now)


def test_what_a_day_has_no_room_for_is_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    a_day(monkeypatch, 1)
    sink = RecordLogSink(tmp_path, most_bytes=MIB, most_daily_bytes=20_000, detections=True)
    sink.start()
    for number in range(200):
        sink.handle(a_result(number))
    for number in range(100):
        sink.handle(a_status(number))
    written = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert 19_000 < written < 20_000 + 2 * 400  # what tells of it comes on top
    first = lines_of(tmp_path)
    frames = [line["sequence"] for line in first if line["type"] == "detections"]
    kept = [line["name"] for line in first if line.get("part") == "source"]
    assert frames == list(range(len(frames)))
    assert kept == [f"camera {number}" for number in range(len(kept))]
    assert len(frames) > 20
    assert len(kept) > 10
    said = [line["reason"] for line in first if line.get("state") == "limited"]
    assert said == [
        f"{what} are dropped until 00:00 UTC: output.log_mb_per_day is reached"
        for what in ("records of frames", "records")
    ]

    a_day(monkeypatch, 2)
    sink.handle(a_result(200))
    sink.handle(a_status(100))
    (over, frame, status) = lines_of(tmp_path)[len(first) :]
    assert (over["state"], over["lost"]) == ("live", 200 - len(frames) + 100 - len(kept))
    assert (frame["sequence"], status["name"]) == (200, "camera 100")
    assert f"{over['lost']} records were dropped" in caplog.text


def test_a_restart_does_not_begin_the_day_anew(tmp_path: Path):
    for _ in range(5):
        sink = RecordLogSink(tmp_path, most_bytes=MIB, most_daily_bytes=10_000)
        sink.start()
        for number in range(100):
            sink.handle(a_status(number))
        sink.close()
    ends = [line for line in lines_of(tmp_path) if line["state"] == "stopped"]
    lost = [line["lost"] for line in ends]
    assert 50 < lost[0] < 100
    assert lost[1:] == [100] * 4
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 10_000 + 10 * 400


def test_without_a_limit_a_day_takes_all(tmp_path: Path):
    sink = RecordLogSink(tmp_path, most_bytes=MIB)
    sink.start()
    for number in range(100):
        sink.handle(a_status(number))
    assert len(lines_of(tmp_path)) == 100


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="file"):
        RecordLogSink(tmp_path / "file" / "logs", most_bytes=MIB).start()
