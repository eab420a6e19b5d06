"""``pi-detector events mark``: what an owner says stays with the event, wherever it is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recorded import DAY, Camera, everything, rows, short_event, started_sink

from pi_detector.sinks.recordings.layout import INDEX_NAME
from pi_detector.sinks.recordings.marks import read_mark
from pi_detector.sinks.web.events import Query, recorded_page


def events(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pi_detector", "events", *map(str, args)]
    environment = {k: v for k, v in os.environ.items() if "PI_DETECTOR" not in k}
    environment |= {"XDG_CONFIG_HOME": "/nonexistent", "TZ": "UTC"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "recordings"
    sink = started_sink(root)
    camera = Camera(sink)
    short_event(camera, "a")
    camera.frames(20)
    short_event(camera, "b")
    sink.close()
    return root


def listed(folder: Path) -> dict[str, dict[str, object]]:
    lines = events("list", "--folder", folder, "--json").stdout.splitlines()
    return {event["event"]["id"]: event for event in map(json.loads, lines)}


def test_what_is_said_is_kept_with_the_event_and_shown_everywhere(folder: Path) -> None:
    done = events("mark", "--folder", folder, "a", "wrong", "--label", "bush")
    assert (done.returncode, done.stdout) == (0, "a: marked wrong, and kept\n")
    found = listed(folder)
    assert found["a"]["keep"] is True
    mark = found["a"]["mark"]
    assert isinstance(mark, dict)
    assert (mark["verdict"], mark["label"]) == ("wrong", "bush")
    assert (found["b"]["keep"], found["b"]["mark"]) == (False, None)
    assert "complete, kept, wrong (bush)" in events("list", "--folder", folder).stdout
    cards = {card.id: card for card in recorded_page(folder, Query()).events}
    assert cards["a"].mark is not None
    assert cards["a"].mark.label == "bush"
    assert cards["b"].mark is None


def test_a_mark_replaces_the_one_before_and_can_be_removed(folder: Path) -> None:
    events("mark", "--folder", folder, "a", "wrong", "--label", "bush")
    assert events("mark", "--folder", folder, "a", "right").returncode == 0
    assert listed(folder)["a"]["state"] == "complete, kept, right"
    assert events("mark", "--folder", folder, "a", "none").stdout == "a: no longer marked\n"
    assert listed(folder)["a"]["state"] == "complete"


def test_the_index_is_rebuilt_with_it_and_a_deleted_event_leaves_nothing(folder: Path) -> None:
    events("mark", "--folder", folder, "a", "right")
    for name in (INDEX_NAME, f"{INDEX_NAME}-wal", f"{INDEX_NAME}-shm"):
        (folder / name).unlink(missing_ok=True)
    started_sink(folder).close()
    (row,) = rows(folder, keys=("a",))
    assert row.keep
    assert row.mark is not None
    assert row.mark.verdict == "right"
    assert events("delete", "--folder", folder, "--force", "a", "b").returncode == 0
    assert [name for name in everything(folder) if "2026" in name] == []


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["zzz", "right"], 66, "no such event"),
        (["a", "right", "--label", "cat"], 64, "leave it out"),
        (["a", "wrong", "--label", " "], 64, "is not a label"),
        (["a", "wrong", "--label", "x" * 65], 64, "is not a label"),
        (["a", "wrong", "--label", "c\x1bat"], 64, "is not a label"),
        (["a", "perhaps"], 64, "right"),
    ],
)
def test_refusals(folder: Path, args: list[str], code: int, message: str) -> None:
    done = events("mark", "--folder", folder, *args)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "\x1b" not in done.stderr
    assert listed(folder)["a"]["mark"] is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"verdict":"perhaps","at":"2026-11-30T00:00:00Z"}',
        b'{"verdict":"wrong","at":"2026-11-30T00:00:00Z","label":"a\\nb"}',
        b'{"verdict":"wrong","at":"2026-11-30T00:00:00Z","label":"' + b"x" * 70 + b'"}',
    ],
)
def test_a_mark_of_somebody_else_is_not_trusted(folder: Path, content: bytes) -> None:
    (folder / f"{DAY}/a.mark").write_bytes(content)
    assert read_mark(folder, f"{DAY}/a") is None
    assert listed(folder)["a"]["mark"] is None


def test_a_mark_follows_no_link(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (folder / f"{DAY}/a.mark").symlink_to(outside)
    assert events("mark", "--folder", folder, "a", "right").returncode == 0
    assert outside.read_text() == "mine"
    assert not (folder / f"{DAY}/a.mark").is_symlink()
    assert (folder / f"{DAY}/a.mark").stat().st_mode & 0o777 == 0o640
