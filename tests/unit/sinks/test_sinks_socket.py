"""Records at a real socket: readers that are many, slow, silent, gone; files that are stale."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from results import a_result

from pi_detector.core.geometry import Detections
from pi_detector.core.records import status_record
from pi_detector.errors import SinkError
from pi_detector.sinks.socket_lines import BACKLOG, MOST_READERS, SocketSink

PATIENCE_S = 20.0

# Serves at the path in argv[1] until it is killed.
SERVER = """
import sys, time
from pathlib import Path
from pi_detector.sinks.socket_lines import SocketSink
sink = SocketSink(Path(sys.argv[1]), line_format="jsonl", empty_frames=True)
sink.start()
print("serves", flush=True)
time.sleep(60)
"""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def a_sink(path: Path, **changes: Any) -> SocketSink:
    return SocketSink(path, **{"line_format": "jsonl", "empty_frames": True, **changes})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run/records.sock"


@pytest.fixture
def sink(path: Path) -> Iterator[SocketSink]:
    one = a_sink(path)
    one.start()
    yield one
    one.close()


class Reader:
    """A program that reads lines, when it is asked to."""

    def __init__(self, sink: SocketSink, path: Path, buffer_bytes: int | None = None) -> None:
        readers = len(sink._readers)
        self.socket = socket.socket(socket.AF_UNIX)
        if buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))
        wait_for(lambda: len(sink._readers) > readers)
        self.file = self.socket.makefile("rb")

    def numbers(self, until: int) -> list[int]:
        """Numbers of frames up to one; each line is whole."""
        found: list[int] = []
        while not found or found[-1] != until:
            record = json.loads(self.file.readline())
            if record["type"] == "detections":
                found.append(record["sequence"])
        return found

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def test_each_of_twenty_readers_gets_all_from_its_connection_on(
    sink: SocketSink, path: Path
) -> None:
    sink.handle(a_result(0))
    early = [Reader(sink, path) for _ in range(10)]
    for number in range(1, 4):
        sink.handle(a_result(number))
    late = [Reader(sink, path) for _ in range(10)]
    for number in range(4, 7):
        sink.handle(a_result(number))
    for readers, first in ((early, 1), (late, 4)):
        for reader in readers:
            assert reader.numbers(6) == list(range(first, 7))
            reader.close()
    wait_for(lambda: not sink._readers)
    assert sink.lost == 0


def test_a_slow_reader_loses_the_oldest_lines_and_keeps_nobody_up(
    sink: SocketSink, path: Path
) -> None:
    slow, quick = Reader(sink, path), Reader(sink, path)
    count, seen = 2000, []
    for number in range(count):
        sink.handle(a_result(number))
        seen += quick.numbers(number)
    assert seen == list(range(count)), "each line at once, while the other takes none"
    sink.handle(status_record("source", "demo", "live"))
    numbers = slow.numbers(count - 1)
    assert numbers == sorted(set(numbers))
    assert BACKLOG < len(numbers) < count / 2
    newest = BACKLOG - 1  # and the record of status
    assert numbers[-newest:] == list(range(count - newest, count))
    assert json.loads(slow.file.readline())["type"] == "status"
    slow.close()
    wait_for(lambda: sink.lost)
    assert sink.lost == count - len(numbers)
    quick.close()


def test_what_is_rare_outlives_frames(sink: SocketSink, path: Path) -> None:
    slow = Reader(sink, path)
    for number in range(500):
        sink.handle(a_result(number))
        if number % 100 == 0:
            sink.handle(status_record("source", f"camera {number}", "live"))
    told = []
    while len(told) < 5:
        record = json.loads(slow.file.readline())
        told += [record["name"]] if record["type"] == "status" else []
    assert told == [f"camera {number}" for number in range(0, 500, 100)]
    slow.close()


def test_a_line_that_is_longer_than_the_buffers_arrives_whole(sink: SocketSink, path: Path) -> None:
    reader = Reader(sink, path)
    name = "x" * 300_000
    sink.handle(status_record("source", name, "live"))
    sink.handle(a_result(1))
    assert json.loads(reader.file.readline())["name"] == name
    assert reader.numbers(1) == [1]
    reader.close()


def test_readers_that_leave_are_forgotten(sink: SocketSink, path: Path) -> None:
    gone, stays = Reader(sink, path), Reader(sink, path)
    gone.close()
    wait_for(lambda: len(sink._readers) == 1)
    for number in range(3):
        sink.handle(a_result(number))
    assert stays.numbers(2) == [0, 1, 2]
    stays.close()


def test_readers_that_leave_at_once_harm_nobody(sink: SocketSink, path: Path) -> None:
    stays = Reader(sink, path)
    for number in range(500):
        with closing(socket.socket(socket.AF_UNIX)) as hasty:
            hasty.connect(str(path))
        sink.handle(a_result(number))
    assert stays.numbers(499)[-1] == 499
    stays.close()


def test_a_reader_that_will_not_talk_or_talks_goes_on_reading(sink: SocketSink, path: Path) -> None:
    mute, talker = Reader(sink, path), Reader(sink, path)
    mute.socket.shutdown(socket.SHUT_WR)
    talker.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    time.sleep(0.1)
    for number in range(3):
        sink.handle(a_result(number))
    assert mute.numbers(2) == talker.numbers(2) == [0, 1, 2]
    for reader in (mute, talker):
        reader.close()
    sink.handle(a_result(3))
    wait_for(lambda: not sink._readers)


def test_more_readers_than_there_may_be_are_hung_up_on(sink: SocketSink, path: Path) -> None:
    readers = [Reader(sink, path) for _ in range(MOST_READERS)]
    with closing(socket.socket(socket.AF_UNIX)) as one_more:
        one_more.settimeout(PATIENCE_S)
        one_more.connect(str(path))
        assert one_more.recv(1) == b""
    sink.handle(a_result(0))
    for reader in readers:
        assert reader.numbers(0) == [0]
        reader.close()


def test_the_last_records_arrive_before_the_end(path: Path) -> None:
    sink = a_sink(path)
    sink.start()
    reader = Reader(sink, path)
    for number in range(50):  # more than the kernel holds, fewer than may wait
        sink.handle(a_result(number))
    with ThreadPoolExecutor() as pool:
        numbers = pool.submit(reader.numbers, 49)
        sink.close()
        assert numbers.result() == list(range(50))
    assert reader.file.readline() == b""
    assert not path.exists()
    reader.close()


def test_a_reader_that_hangs_does_not_hold_up_the_end(path: Path) -> None:
    sink = a_sink(path)
    sink.start()
    reader = Reader(sink, path)
    for number in range(1000):
        sink.handle(a_result(number))
    started = time.monotonic()
    sink.close()
    assert time.monotonic() - started < 5
    reader.close()


def test_messages_of_ros_and_frames_with_something_in_them(path: Path) -> None:
    sink = a_sink(path, line_format="vision_msgs", empty_frames=False)
    sink.start()
    reader = Reader(sink, path)
    sink.handle(status_record("source", "demo", "live"))
    sink.handle(a_result(0, Detections()))
    sink.handle(a_result(1))
    sink.close()
    (line,) = reader.file.readlines()
    (found,) = json.loads(line)["detections"]
    assert found["results"][0]["hypothesis"]["class_id"] == "person"
    reader.close()


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"serves\n"
        yield process
        process.kill()


def test_the_file_of_a_process_that_was_killed_is_replaced(
    path: Path, other: subprocess.Popen[bytes]
) -> None:
    other.kill()
    other.wait()
    assert stat.S_ISSOCK(path.stat().st_mode)
    sink = a_sink(path)
    sink.start()
    reader = Reader(sink, path)
    sink.handle(a_result(7))
    assert reader.numbers(7) == [7]
    reader.close()
    sink.close()


@pytest.mark.parametrize("frozen", [False, True])
def test_the_file_of_a_process_that_lives_is_left_alone(
    path: Path, other: subprocess.Popen[bytes], frozen: bool
) -> None:
    waiting = []
    if frozen:  # connections wait until there is no more room for them
        other.send_signal(signal.SIGSTOP)
        os.waitpid(other.pid, os.WUNTRACED)
        for _ in range(10_000):
            waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            try:
                waiting[-1].connect(str(path))
            except BlockingIOError:
                break
    named = "another program" if frozen else f"process {other.pid}"
    with pytest.raises(
        SinkError, match=f"{path}: {named} uses this socket; stop it, or set output"
    ):
        a_sink(path).start()
    for each in waiting:
        each.close()
    assert path.exists()


def test_a_sink_takes_the_place_of_an_earlier_one_of_this_process(path: Path) -> None:
    before, after = a_sink(path), a_sink(path, line_format="vision_msgs")
    before.start()
    after.start()
    before.close()
    reader = Reader(after, path)
    after.handle(a_result(1))
    assert "header" in json.loads(reader.file.readline())
    reader.close()
    after.close()
    assert not path.exists()


def test_its_group_may_read_and_others_may_not(sink: SocketSink, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file", "exists and is not a socket; delete it"),
        ("x" * 200, "longer than 107 bytes"),
        ("file/records.sock", "cannot write: "),
    ],
)
def test_paths_that_cannot_be_served(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SinkError, match=reason):
        a_sink(tmp_path / name).start()
    assert (tmp_path / "file").read_text() == "mine"


def test_nothing_stays_open(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        sink = a_sink(path)
        sink.start()
        reader = Reader(sink, path)
        sink.handle(a_result(0))
        reader.close()
        sink.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
