"""Lines that libraries print, as log messages."""

import logging

import pytest

from pi_detector.util import raw_lines
from pi_detector.util.raw_lines import RawLines, redact_text

log = logging.getLogger("pi_detector.test")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> RawLines:
    caplog.set_level(logging.DEBUG)
    return RawLines(log, "cam")


def test_lines_in_pieces(lines: RawLines, caplog: pytest.LogCaptureFixture) -> None:
    for piece in (b"one\ntw", b"o\r\n", b"\n", b"rtsp://me:hun", b"ter2@cam/live\n", b"the end"):
        lines.feed(piece)
    assert caplog.messages == ["cam: one", "cam: two", "cam: rtsp://cam/live"]
    lines.flush()
    assert lines.last == "the end"
    assert caplog.messages[-1] == "cam: the end"


def test_only_a_few_in_ten_seconds(
    lines: RawLines, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(raw_lines.time, "monotonic", lambda: now_s)
    lines.feed(b"x\n" * 50)
    assert len(caplog.messages) == 20
    now_s += 11
    lines.feed(b"y\n")
    assert caplog.messages[20:] == ["cam: 30 further lines", "cam: y"]


def test_a_line_without_end(lines: RawLines, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        lines.feed(bytes([65]) * 4096)
    assert all(len(message) < 600 for message in caplog.messages)
    assert caplog.messages


def test_errors_of_a_runtime_are_seen(lines: RawLines, caplog: pytest.LogCaptureFixture) -> None:
    lines.feed(b"ERROR: Node 3 failed to prepare\nINFO: Created a delegate\n")
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.DEBUG]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("open 'http://bob:secret@h:1/x.ts' failed", "open 'http://h:1/x.ts' failed"),
        ("rtsp://h/x?token=abc: 404", "rtsp://h/x?token=***"),
        ("a\x1b[31m\u202eb\x00", "a [31m b "),
        ("no address", "no address"),
    ],
)
def test_secrets_and_control_characters(text: str, shown: str) -> None:
    assert redact_text(text).startswith(shown)
