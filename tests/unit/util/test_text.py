"""Names with control characters: in log messages, on standard output, in records on a terminal."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tomli_w
from command import pi_detector
from hypothesis import given
from hypothesis import strategies as st

from pi_detector.cli.common import SafeText, set_up_logging
from pi_detector.core.records import status_record
from pi_detector.sinks.stdout import JsonLinesSink
from pi_detector.util.text import one_line, several_lines

EVIL = "a\x1b[31m\nb\u202ec\x9bd\u2028e"
TAME = r"a\x1b[31m\nb\u202ec\u009bd\u2028e"


@given(st.text())
def test_one_line_is_printable_and_stays_so(text: str) -> None:
    assert one_line(text).isprintable()
    assert one_line(one_line(text)) == one_line(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_and_toml_mean_the_same(text: str) -> None:
    assert json.loads(several_lines(json.dumps(text, ensure_ascii=False))) == text
    assert tomllib.loads(several_lines(tomli_w.dumps({"a": text}))) == {"a": text}


def test_log_messages(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info")
    try:
        raise ValueError(EVIL)
    except ValueError:
        logging.getLogger("pi_detector.x").exception("%s: failed", EVIL)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"pi-detector: error: {TAME}: failed"
    # What an exception says cannot pass for a message of its own.
    assert all(line.startswith("  ") for line in lines[1:])
    assert all(map(str.isprintable, lines))


def test_a_picture_with_such_a_name(tmp_path: Path) -> None:
    name = "\x1b[31m\u202ex.jpg"
    cv2.imwrite(str(tmp_path / "x.jpg"), np.full((48, 64, 3), 128, np.uint8))
    (tmp_path / "x.jpg").rename(tmp_path / name)
    (tmp_path / f"bad{name}").write_bytes(b"x")
    done = pi_detector("detect", tmp_path, "--format", "table")
    assert done.returncode == os.EX_DATAERR
    assert all(map(str.isprintable, (done.stdout + done.stderr).splitlines()))
    assert r"\x1b[31m\u202ex.jpg  64x48" in done.stdout
    assert r"bad\x1b[31m\u202ex.jpg" in done.stderr


def test_a_command_line_with_such_a_word() -> None:
    done = pi_detector("run", EVIL)
    assert done.returncode == os.EX_USAGE
    assert TAME in done.stderr


def test_a_file_with_such_a_name_is_one_error(tmp_path: Path) -> None:
    done = pi_detector("detect", tmp_path / "a\npi-detector: error: b")
    assert done.returncode == os.EX_NOINPUT
    assert len(done.stderr.splitlines()) == 1


def test_text_on_standard_output() -> None:
    buffer = io.BytesIO()
    with SafeText(buffer, "utf-8") as out:
        print("a\x1b[31m\u202e", "caf\u00e9", sep="\t", file=out)
        out.flush()
        assert buffer.getvalue().decode() == "a\\x1b[31m\\u202e\tcaf\u00e9\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_records(terminal: bool) -> None:
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with open(ours, "rb", buffering=0) as reader, open(theirs, "wb") as stream:  # noqa: PTH123
        sink = JsonLinesSink(stream)
        sink.start()
        sink.handle(status_record("sink", EVIL, "live"))
        line = reader.read(4096).decode()
    assert json.loads(line)["name"] == EVIL
    assert line.strip().isprintable() is terminal
