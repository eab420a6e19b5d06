"""A clip that is drawn here, through the bundled model, to its events."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import valid
from drawn_clip import FAR, FPS, draw, draw_far

COMMAND = [sys.executable, "-m", "pi_detector", "replay"]
SETTINGS = """
detection.labels = ["person"]
events = { stationary_after_s = 1.5, update_interval_s = 1, position_interval_s = 0 }

[zones.right]
polygon = [[0.5, 0.5], [1, 0.5], [1, 1], [0.5, 1]]

[lines.gate]
points = [[0.4, 1.0], [0.4, 0.0]]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    draw(folder / "visitor.avi")
    (folder / "settings.toml").write_text(SETTINGS)
    return folder


def replay(
    folder: Path, *options: str, clip: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    environ = {name: value for name, value in os.environ.items() if "PI_DETECTOR" not in name}
    return subprocess.run(
        [
            *COMMAND,
            str(clip or folder / "visitor.avi"),
            "--config",
            str(folder / "settings.toml"),
            *options,
        ],
        capture_output=True,
        timeout=110,
        check=False,
        env=environ,
    )


def records_of(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return valid.records(done.stdout)


@pytest.fixture(scope="module")
def told(folder: Path) -> subprocess.CompletedProcess[bytes]:
    return replay(folder, "--start", "2026-11-24T10:00:00")


def test_the_visitor_is_one_event_with_all_that_it_did(
    told: subprocess.CompletedProcess[bytes],
) -> None:
    records = records_of(told)
    assert {record["id"] for record in records} == {"20261124T100002Z-replay-1"}
    golden = [
        ("new", False, []),
        ("update", False, ["in gate"]),
        ("update", False, ["entered right"]),
        ("update", True, []),
        ("update", False, []),
        ("end", False, []),
    ]
    assert [
        (r["phase"], r["stationary"], [f"{t['kind']} {t['name']}" for t in r["transitions"]])
        for r in records
    ] == golden
    end = records[-1]
    assert (end["label"], end["reason"], end["zones"]) == ("person", "gone", ["right"])
    assert end["started"].startswith("2026-11-24T10:00:02")
    assert end["duration_s"] == pytest.approx(9.4, abs=0.5)
    assert end["hits"] > 85
    assert not end["clock_synchronized"]
    best = end["best"]
    assert best["score"] > 0.55
    assert best["box_px"][0] > 5  # whole: neither coming in
    assert best["box_px"][2] < 635  # nor leaving


def test_a_second_run_gives_the_same_bytes_also_in_a_file(
    folder: Path, told: subprocess.CompletedProcess[bytes]
) -> None:
    file = folder / "events.jsonl"
    again = replay(folder, "--start", "2026-11-24T11:00:00+01:00", "--output", str(file))
    assert (again.returncode, again.stdout) == (0, b"")
    assert file.read_bytes() == told.stdout
    assert b"180 frames, 180 inferred, 1 events" in again.stderr


def test_the_motion_gate_saves_work_and_loses_nothing(
    folder: Path, told: subprocess.CompletedProcess[bytes]
) -> None:
    gated = replay(
        folder, "--start", "2026-11-24T10:00:00", "--set", "motion.enabled=true", "--detections"
    )
    records = records_of(gated)
    frames = [record for record in records if record["type"] == "detections"]
    assert len(frames) == 180
    quiet = [r for r in frames if r["timings_ms"]["invoke"] == 0]
    assert len(quiet) > 30  # two seconds before the visitor, three after it is given up
    assert all(not r["detections"] for r in quiet)
    steps = {
        name: [(r["phase"], r["stationary"]) for r in rows if r["type"] == "event"]
        for name, rows in (("gated", records), ("all", records_of(told)))
    }
    assert steps["gated"] == steps["all"]


def test_detections_have_the_times_of_the_file_and_the_number_of_the_object(folder: Path) -> None:
    records = records_of(replay(folder, "--detections"))
    frames = [record for record in records if record["type"] == "detections"]
    assert [round(r["monotonic_ns"] / 1e9 * FPS) for r in frames] == list(range(180))
    assert frames[15]["time"] == "1970-01-01T00:00:01.500000Z"
    ids = {d.get("track_id") for r in frames[40:110] for d in r["detections"]}
    ids.discard(None)
    (event,) = {r["track_id"] for r in records if r["type"] == "event"}
    assert event in ids
    assert len(ids) <= 3


@pytest.fixture(scope="module")
def far(folder: Path) -> Path:
    return draw_far(folder / "far.avi")


@pytest.mark.timeout(330)
def test_looks_find_a_visitor_whom_the_whole_frame_does_not_show(folder: Path, far: Path) -> None:
    one_thread = ("--set", "model.threads=1")
    settings = (*one_thread, "--set", "detection.looks=2", "--detections")
    whole = records_of(replay(folder, *one_thread, clip=far))
    assert whole == []
    first, second = (records_of(replay(folder, *settings, clip=far)) for _ in range(2))
    for record in (*first, *second):
        record.pop("timings_ms", None)
    assert first == second  # where was looked, what was found, what became of it

    events = [record for record in first if record["type"] == "event"]
    assert [(e["phase"], e["label"], e.get("reason")) for e in (events[0], events[-1])] == [
        ("new", "person", None),
        ("end", "person", "gone"),
    ]
    assert len({event["id"] for event in events}) == 1
    assert events[-1]["hits"] > 20
    frames = [record["looks"] for record in first if record["type"] == "detections"]
    reasons = [[look["reason"] for look in looks] for looks in frames]
    assert all(1 <= len(each) <= 2 for each in reasons)
    assert all("whole" in one or "whole" in other for one, other in pairwise(reasons))
    assert sum("motion" in each for each in reasons) > 25
    boxes = [look["box_px"] for looks in frames for look in looks if look["reason"] == "whole"]
    assert all(box == [0, 0, *FAR] for box in boxes)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["/nothing.mp4"], 66, "/nothing.mp4: cannot be read"),
        ([__file__], 65, "cannot decode the video"),
        (["x.mp4", "--start", "noon"], 64, "'noon' is not a time"),
        (["x.mp4", "--set", "zones.a.polygon=[[0,0],[1,1]]"], 78, "at least 3 points"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], code: int, message: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=60, check=False)
    assert done.returncode == code
    assert message in done.stderr.decode()
