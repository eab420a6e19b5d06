"""A program that is run for each message: what it gets, and what becomes of it."""

from __future__ import annotations

import json
import os
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from notifying import a_message

from pi_detector.sinks.notify.command import Command
from pi_detector.sinks.notify.masking import masked
from pi_detector.sinks.notify.message import Message
from pi_detector.sinks.notify.services import NotSentError, RefusedError


@pytest.fixture
def message() -> Message:
    return a_message()


def test_a_command_gets_the_record(tmp_path: Path, message: Message) -> None:
    script = tmp_path / "door bell"
    script.write_text(
        '#!/bin/sh\ncat > "$1"; echo "$PI_DETECTOR_RULE $PI_DETECTOR_WHEN" > "$1.env"\n'
    )
    script.chmod(0o755)
    out = tmp_path / "out; rm -rf $HOME"
    Command([str(script), str(out)], 5).send(message)
    given = json.loads(out.read_bytes())
    assert given["id"] == message.id
    assert given["image"]["content_type"] == "image/jpeg"
    assert Path(f"{out}.env").read_text() == "phone new\n"


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("echo the bell is broken >&2; exit 3", NotSentError, "exit code 3: the bell is broken"),
        ("exit 65", RefusedError, "exit code 65"),
        ("kill -9 $$", NotSentError, "killed by signal 9"),
        ("sleep 60", NotSentError, r"did not end within 0\.3 s"),
    ],
)
def test_a_command_that_fails(
    message: Message, script: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Command(["sh", "-c", script], 0.3).send(message)


def test_a_command_that_is_missing_or_reads_nothing(message: Message) -> None:
    with pytest.raises(NotSentError, match="cannot be started: No such file or directory"):
        Command(["/nowhere/bell"], 1).send(message)
    Command(["true"], 1).send(message)


def test_nothing_is_left_of_a_command(tmp_path: Path, message: Message) -> None:
    mark = tmp_path / "mark"
    script = f"(sleep 0.6; touch {mark}) & sleep 60"
    with pytest.raises(NotSentError):
        Command(["sh", "-c", script], 0.2).send(message)
    time.sleep(1)
    assert not mark.exists()


def test_a_command_that_ended_well_may_leave_somebody_who_holds_its_output(
    tmp_path: Path, message: Message
) -> None:
    pid = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {pid}; exec sleep 20' & while ! test -s {pid}; do :; done"
    begun_s = time.monotonic()
    Command(["sh", "-c", script], 10).send(message)
    assert time.monotonic() - begun_s < 8
    os.kill(int(pid.read_text()), 9)


def test_a_command_that_complains_without_end_costs_no_memory(message: Message) -> None:
    script = (
        "import sys; [sys.stderr.write('x' * 99999 + chr(10)) for _ in range(2000)]; sys.exit(7)"
    )
    tracemalloc.start()
    try:
        with pytest.raises(NotSentError, match="exit code 7: x") as error:
            Command([sys.executable, "-c", script], 60).send(message)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(error.value)) < 300
    assert peak_bytes < 1_000_000  # of 200 MB


def test_what_a_command_complains_of_is_without_its_secrets(message: Message) -> None:
    script = 'echo "no reply from $1 as $2 with $3 by $0" >&2; exit 1'
    url = "https://me:pa55word@bell.example/hook/t0kenOfMine"
    with pytest.raises(NotSentError) as error:
        Command(["sh", "-c", script, "ring", url, "--key=s3cretKey", "b0tT0ken"], 5).send(message)
    for secret in ("pa55word", "t0kenOfMine", "s3cretKey", "b0tT0ken"):
        assert secret not in str(error.value)
    assert "no reply from" in str(error.value)


def test_options_are_shown_and_what_they_carry_is_not() -> None:
    given = ["--loud", "--key=hush", "PASS=word", "plain"]
    shown = masked("bad --loud --key=hush PASS=word plain", given)
    assert shown == "bad --loud --key=*** *** ***"
