from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from results import a_result, environment

from pi_detector.core.geometry import Detections
from pi_detector.errors import SinkError
from pi_detector.sinks.stdout import JsonLinesSink

# A program that writes records until it cannot, as the command line does.
PROGRAM = """
import sys
from results import a_result
from pi_detector.errors import SinkError
from pi_detector.sinks.stdout import JsonLinesSink, silence_stdout
sink = JsonLinesSink()
sink.start()
try:
    for number in range(100_000):
        sink.handle(a_result(number))
except BrokenPipeError:
    silence_stdout()
except SinkError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


class CountingStream(io.BytesIO):
    writes = flushes = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.writes += 1
        return super().write(data)

    def flush(self) -> None:
        self.flushes += 1


def program() -> list[str]:
    return [sys.executable, "-c", PROGRAM]


def test_each_record_is_one_line_written_and_flushed_at_once() -> None:
    stream = CountingStream()
    sink = JsonLinesSink(stream)
    assert sink.lossless
    sink.start()
    for number in range(3):
        sink.handle(a_result(number))
        assert (stream.writes, stream.flushes) == (number + 1, number + 1)
    sink.close()
    lines = stream.getvalue().decode().splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [0, 1, 2]


@pytest.mark.parametrize(("empty_frames", "written"), [(True, [0, 1]), (False, [1])])
def test_frames_in_which_nothing_was_found(empty_frames: bool, written: list[int]) -> None:
    stream = io.BytesIO()
    sink = JsonLinesSink(stream, empty_frames=empty_frames)
    sink.start()
    sink.handle(a_result(0, Detections()))
    sink.handle(a_result(1))
    sink.close()
    assert [json.loads(line)["sequence"] for line in stream.getvalue().splitlines()] == written


def test_a_reader_that_left_is_a_broken_pipe() -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "wb", buffering=0)
    sink = JsonLinesSink(stream)
    sink.start()
    sink.handle(a_result())
    assert json.loads(os.read(reading, 100_000))["type"] == "detections"
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        sink.handle(a_result())
    sink.close()
    stream.close()


def test_a_full_disk_is_an_error() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        sink = JsonLinesSink(full)
        sink.start()
        with pytest.raises(SinkError, match="standard output: cannot write a record: No space"):
            sink.handle(a_result())


def test_a_program_whose_reader_left_ends_silently() -> None:
    with subprocess.Popen(
        program(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["sequence"] == 0
        process.stdout.close()
        assert process.wait(120) == 0
        assert process.stderr.read() == b""


def test_a_program_on_a_full_disk_says_so_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            program(), stdout=full, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert ended.returncode == os.EX_IOERR
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith("standard output: cannot write a record: No space left")


def test_a_process_without_standard_output_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SinkError, match="standard output: closed"):
        JsonLinesSink().start()


def test_importing_the_sinks_does_not_import_opencv() -> None:
    code = "import sys, pi_detector.sinks.registry; sys.exit('cv2' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())
