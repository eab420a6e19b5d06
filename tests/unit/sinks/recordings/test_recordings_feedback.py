"""A recorded event that is to be kept, by a command from elsewhere."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import pytest
from recorded import Camera, short_event, started_sink
from waiting import until

from pi_detector.sinks.mqtt.commands import CommandLimit, command_of
from pi_detector.sinks.recordings.feedback import keep_by_id
from pi_detector.sinks.recordings.filters import Filter
from pi_detector.sinks.recordings.index import Index


def kept(folder: Path) -> list[str]:
    with closing(Index(folder)) as index:
        return [row.entry.event.id for row in index.select(Filter(kept=True))]


def test_an_event_is_kept_also_while_another_is_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    camera = Camera(started_sink(tmp_path))
    short_event(camera, "20261124T020304Z-ab-1")
    short_event(camera, "20261124T020304Z-ab-2", 2)
    camera.frames(5)
    camera.tell("20261124T020304Z-ab-3", "new", 3)
    until(lambda: keep_by_id(tmp_path, "20261124T020304Z-ab-1"))  # recorded by a thread
    assert kept(tmp_path) == ["20261124T020304Z-ab-1"]
    assert "event 20261124T020304Z-ab-1 is kept" in caplog.text
    camera.sink.close()
    assert kept(tmp_path) == ["20261124T020304Z-ab-1"]


def test_what_is_not_there_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not keep_by_id(tmp_path / "none", "x-1")
    camera = Camera(started_sink(tmp_path))
    camera.sink.close()
    assert not keep_by_id(tmp_path, "x-1")
    assert "keep x-1: no such recorded event" in caplog.text


def test_the_command_takes_an_id_and_nothing_else() -> None:
    topic = "x/command/keep"
    assert command_of(topic, b"20261124T020304Z-ab-1", retained=False) == (
        "keep=20261124T020304Z-ab-1"
    )
    for payload in (b"", b"PRESS ME", b"../../x", b"a" * 65, b"a\n\xff"):
        with pytest.raises(ValueError, match="keep: the message must be the id of an event"):
            command_of(topic, payload, retained=False)


def test_several_events_in_a_second_are_all_kept() -> None:
    limit = CommandLimit(1.0)
    wanted = [f"keep=a-{number}" for number in range(5)]
    for command in wanted:
        limit.add(command)
    assert limit.due(0.0) == wanted
    for number in range(100):
        limit.add(f"keep=b-{number}")
    assert len(limit.due(10.0)) == 16
    assert not limit._obeyed_s
