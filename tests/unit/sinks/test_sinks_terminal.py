"""The status line at a terminal: what it says, and when records take its place."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from recorded_rows import a_result, found

from pi_detector.cli.common import set_up_logging
from pi_detector.config.load import load_settings
from pi_detector.config.outputs import OutputSettings
from pi_detector.core.records import status_record
from pi_detector.sinks.registry import make_sinks, page_address
from pi_detector.sinks.stdout import JsonLinesSink
from pi_detector.sinks.terminal import TerminalSink
from pi_detector.util.status_line import StatusLine

PAGE = "http://127.0.0.1:8080/"


def shown(stream: io.BytesIO) -> list[str]:
    """What was on the line, one after the other."""
    return stream.getvalue().decode().split("\r\x1b[K")[1:]


def test_what_the_line_says() -> None:
    stream = io.BytesIO()
    sink = TerminalSink(PAGE, stream)
    sink.start()
    sink.handle(status_record("model", "street", "live"))
    sink.handle(status_record("source", "porch", "live"))
    person, car = (64, 48, 320, 240, 0.876, 1), (64, 48, 320, 240, 0.9, 3)
    sink.handle(a_result(found(car, person, person)))
    sink.handle(status_record("detection", "detection", "paused"))
    sink.handle(status_record("detection", "detection", "live"))
    sink.handle(status_record("source", "a\x1b[31m\n", "reopening"))
    sink.close()
    starting, live, paused, resumed, reopening, erased = shown(stream)
    assert starting == "starting"
    assert live == f"{PAGE}  porch live, nothing detected yet"
    assert "detection paused" in paused
    assert resumed == f"{PAGE}  demo live, person 2, 3"
    assert reopening.startswith(rf"{PAGE}  a\x1b[31m\n reopening")
    assert erased == ""


def test_frames_refresh_it_a_few_times_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("pi_detector.sinks.terminal.time.monotonic", lambda: now_s)
    stream = io.BytesIO()
    sink = TerminalSink("", stream)
    sink.start()
    for _ in range(100):
        sink.handle(a_result())
        now_s += 0.02
    assert 7 <= len(shown(stream)) <= 9
    assert "50.0 frames/s" in shown(stream)[-1]


def test_it_says_how_long_ago_something_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("pi_detector.sinks.terminal.time.monotonic", lambda: now_s)
    stream = io.BytesIO()
    sink = TerminalSink("", stream)
    sink.start()
    sink.handle(a_result(found((64, 48, 320, 240, 0.876, 1))))
    now_s += 7
    sink.handle(a_result())
    assert shown(stream)[-1].endswith("person 7 s ago")


def test_log_messages_go_above_it(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info")
    stream = io.BytesIO()
    line = StatusLine(stream)
    line.show("porch live")
    logging.getLogger("pi_detector.x").info("a message")
    assert shown(stream) == ["porch live", "", "porch live"]
    line.end()
    logging.getLogger("pi_detector.x").info("another")
    assert shown(stream) == ["porch live", "", "porch live", ""]
    assert capsys.readouterr().err == "pi-detector: info: a message\npi-detector: info: another\n"


def test_it_is_cut_to_the_width_of_the_terminal() -> None:
    stream = io.BytesIO()
    StatusLine(stream).show("x" * 200)
    assert len(shown(stream)[0]) == 79
    StatusLine(stream).end()


@pytest.mark.parametrize(
    ("term", "setting", "kind"),
    [
        ("xterm", "auto", TerminalSink),
        ("dumb", "auto", JsonLinesSink),
        ("xterm", "jsonl", JsonLinesSink),
        ("dumb", "status", TerminalSink),
    ],
)
def test_a_setting_wins_over_the_terminal(
    monkeypatch: pytest.MonkeyPatch, term: str, setting: str, kind: type
) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", term)
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        settings = load_settings(None, {}, [f"output.stdout={setting}"])
        (sink,) = make_sinks(settings.output)
    os.close(ours)
    assert isinstance(sink, kind)


def test_a_pipe_gets_records() -> None:
    assert isinstance(make_sinks(OutputSettings())[0], JsonLinesSink)


@pytest.mark.parametrize(
    ("overrides", "address"),
    [
        ([], ""),
        (["web.enabled=true"], PAGE),
        (["web.enabled=true", "web.host=::1"], "http://[::1]:8080/"),
    ],
)
def test_address_of_the_page(overrides: list[str], address: str) -> None:
    assert page_address(load_settings(None, {}, overrides).web) == address


@contextmanager
def at_a_terminal(*options: str) -> Iterator[Callable[[bytes], bytes]]:
    """A run at a terminal; what it shows until that holds a text, or to its end."""
    ours, theirs = pty.openpty()
    environ = {k: v for k, v in os.environ.items() if "PI_DETECTOR" not in k} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pi_detector", "run", "--source", "demo:", *options],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environ,
    )  # fmt: skip
    os.close(theirs)
    seen = b""

    def shown_until(text: bytes) -> bytes:
        nonlocal seen
        try:
            while text not in seen and (data := os.read(ours, 65536)):
                seen += data
        except OSError:  # so a terminal ends
            assert process.wait(60) == 0
        return seen

    try:
        yield shown_until
    finally:
        process.send_signal(signal.SIGINT)
        shown_until(b"to the end")
        assert process.wait(60) == 0
        os.close(ours)


def test_run_at_a_terminal() -> None:
    with at_a_terminal("--frames", "3") as shown_until:
        seen = shown_until(b"to the end")
    assert b"demo live" in seen
    assert b"--format jsonl" in seen
    assert b'"type"' not in seen


def test_a_checkout_serves_the_page_to_this_device() -> None:
    with at_a_terminal() as shown_until:
        seen = shown_until(b"  demo live")
        address = re.search(rb"\x1b\[K(http://127\.0\.0\.1:\d+/)  ", seen)
        assert address is not None, seen
        with urllib.request.urlopen(address[1].decode(), timeout=30) as answer:
            assert b"<title>" in answer.read()


@pytest.mark.parametrize("options", [("--set", "web.enabled=false"), ("--set", "web.view_fps=9")])
def test_settings_of_the_page_decide(options: tuple[str, ...]) -> None:
    with at_a_terminal("--frames", "3", *options) as shown_until:
        assert b"http://" not in shown_until(b"to the end")


def test_the_format_wins_over_the_terminal() -> None:
    with at_a_terminal("--frames", "3", "--format", "jsonl") as shown_until:
        assert shown_until(b"to the end").count(b'"type":"detections"') == 3
