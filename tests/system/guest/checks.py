"""Running commands and making checks in a guest, one line of result for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

PI_DETECTOR = [sys.executable, "-m", "pi_detector"]
# The emulated processor takes its time to import OpenCV and LiteRT.
START_S = 180.0
# A frame is in the emulated detector for two seconds, and for much longer beside other load.
FRAME_S = 20.0

Record = dict[str, Any]


class Ended:
    """How a command ended: exit code, standard output and error, and how long that took."""

    def __init__(self, process: subprocess.Popen[str], timeout_s: float) -> None:
        started = time.monotonic()
        try:
            self.out, self.err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"did not end in {timeout_s:.0f} s: {out}{err}") from None
        self.seconds = time.monotonic() - started
        self.code = process.returncode

    def must_be(self, code: int) -> None:
        """Fail unless the command ended with this exit code."""
        assert self.code == code, f"exit code {self.code}, not {code}: {self.err}"

    def error_line(self, *parts: str) -> str:
        """The only line about an error, which must have ``parts``; no traceback may be there."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("pi-detector: error: ")]
        assert len(lines) == 1, self.err
        for part in parts:
            assert part in lines[0], f"no {part!r} in: {lines[0]}"
        return lines[0]

    def frames(self) -> list[Record]:
        """The records of frames on standard output."""
        records = [json.loads(line) for line in self.out.splitlines()]
        return [record for record in records if is_of_a_frame(record)]


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    """Start a command with its output in pipes."""
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def pi_detector(*arguments: str, prefix: Sequence[str] = ()) -> Ended:
    """Run a command of pi-detector to its end."""
    return Ended(start([*prefix, *PI_DETECTOR, *arguments]), START_S)


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``pi-detector run``, after its first record of a frame."""
    process = start([*PI_DETECTOR, "run", *arguments])
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if is_of_a_frame(json.loads(line)):
                break
        else:
            raise AssertionError(f"ended without a frame: {process.communicate()[1]}")
        yield process
    finally:
        process.kill()
        process.wait()


class Watched:
    """``pi-detector run``, whose records are read as they come.

    Args:
        arguments: of the command.
        prefix: command that starts it.
        environment: variables besides the inherited ones.
    """

    def __init__(
        self,
        *arguments: str,
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [*prefix, *PI_DETECTOR, "run", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | (environment or {}),
        )
        self.records: list[Record] = []
        self.log: list[str] = []
        self._news = threading.Condition()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._reads(self.process.stdout, lambda line: self.records.append(json.loads(line)))
        self._reads(self.process.stderr, self.log.append)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def _reads(self, pipe: IO[str], take: Callable[[str], None]) -> None:
        def read() -> None:
            for line in pipe:
                with self._news:
                    take(line)
                    self._news.notify_all()
            with self._news:
                self._news.notify_all()

        threading.Thread(target=read, daemon=True).start()

    def wait_for(
        self, what: str, wanted: Callable[[Record], bool], timeout_s: float, after: int = 0
    ) -> int:
        """Wait for a record that is wanted, of those that come after the first ``after`` ones.

        Fails when it does not come in time, or when the command ends.

        Returns:
            How many records there are up to it.
        """
        deadline = time.monotonic() + timeout_s
        seen = after
        with self._news:
            while True:
                while seen < len(self.records):
                    seen += 1
                    if wanted(self.records[seen - 1]):
                        return seen
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self.process.poll() is not None:
                    ending = f"exit code {self.process.poll()}; log: {''.join(self.log[-20:])}"
                    raise AssertionError(f"no {what} in {timeout_s:.0f} s; {ending}")
                self._news.wait(min(left_s, 1))

    def more_frames(self, count: int, timeout_s: float) -> list[Record]:
        """Wait for the records of ``count`` further frames, and return them."""
        first = seen = len(self.records)
        for _ in range(count):
            seen = self.wait_for("record of a frame", is_of_a_frame, timeout_s, seen)
        return [record for record in self.records[first:seen] if is_of_a_frame(record)]

    def state(self, state: str, timeout_s: float, after: int = 0) -> int:
        """Wait for the record that says that the source is in this state; see wait_for."""
        return self.wait_for(
            f"status record: {state}",
            lambda record: is_of_the_source(record) and record["state"] == state,
            timeout_s,
            after,
        )

    def wait(self, timeout_s: float) -> int:
        """Wait until it ends; the exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            log = "".join(self.log[-20:])
            raise AssertionError(f"did not end in {timeout_s:.0f} s; log: {log}") from None


def is_of_a_frame(record: Record) -> bool:
    """The record of a processed frame."""
    return bool(record["type"] == "detections")


def is_of_the_source(record: Record) -> bool:
    """A record of how the source is."""
    return bool(record["type"] == "status" and record["part"] == "source")


def labels(records: Sequence[Record]) -> set[str]:
    """What was found in the frames."""
    return {
        detection["label"]
        for record in records
        if is_of_a_frame(record)
        for detection in record["detections"]
    }


def wait_until(
    condition: Callable[[], bool], what: str, timeout_s: float = 30.0, pause_s: float = 0.05
) -> None:
    """Wait for something; fail when it takes too long."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(pause_s)


def make(checks: Sequence[Callable[[], str | None]]) -> None:
    """Make all checks, a line for each, and one with the sum, which the host reads.

    A check fails by an exception; what it returns is added to its line. The variable CHECKS names
    those to make; without it all are made.
    """
    failed = 0
    if wanted := os.environ.get("CHECKS", "").split():
        by_name = {check.__name__: check for check in checks}
        checks = [by_name[name] for name in wanted]
    for check in checks:
        started = time.monotonic()
        try:
            note = check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next check is made
            failed += 1
            print(f"FAIL {check.__name__}: {type(error).__name__}: {error}")
        else:
            after = f": {note}" if note else ""
            print(f"PASS {check.__name__} ({time.monotonic() - started:.1f} s){after}")
    print(f"{len(checks) - failed} passed, {failed} failed")
