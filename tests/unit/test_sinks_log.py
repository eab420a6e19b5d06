"""Records in rotated files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_sinks_stdout import a_result, environment

from pi_detector.errors import SinkError
from pi_detector.geometry import Detections
from pi_detector.records import status_record
from pi_detector.sinks.log import RecordLogSink

MIB = 1024 * 1024


def lines_of(folder: Path) -> list[dict[str, object]]:
    files = sorted(folder.glob("records-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


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


def test_old_files_are_deleted_and_foreign_ones_never(tmp_path: Path):
    foreign = tmp_path / "records-mine.jsonl"
    foreign.write_text("precious")
    sink = RecordLogSink(tmp_path, most_bytes=16 * 1024)
    sink.start()
    for number in range(500):
        sink.handle(a_status(number))
    ours = [file for file in tmp_path.iterdir() if file != foreign]
    assert sum(file.stat().st_size for file in ours) <= 20 * 1024
    assert len(ours) == 8
    assert foreign.read_text() == "precious"
    assert json.loads(max(ours).read_bytes().splitlines()[-1])["name"] == "camera 499"


# A limit on the size of files stands for a full disk: the kernel writes a part, then refuses.
LIMITED = """
import resource
import signal
import sys
sys.path.insert(0, {tests!r})
from test_sinks_log import RecordLogSink, a_status, SinkError, MIB
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = RecordLogSink(sys.argv[1], most_bytes=MIB)
sink.start()
refused = 0
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
for number in range(20):
    try:
        sink.handle(a_status(number))
    except SinkError as error:
        assert "make room" in str(error), error
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
sink.handle(a_status(20))
sink.close()
print(refused)
"""


def test_a_full_disk_cuts_no_line_and_loses_none(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(tests=str(Path(__file__).parent)), tmp_path],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert int(done.stdout) > 5
    assert [line["name"] for line in lines_of(tmp_path)] == [f"camera {n}" for n in range(21)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="file"):
        RecordLogSink(tmp_path / "file" / "logs", most_bytes=MIB).start()
