"""Frames are collected by a run, and exported with what the owner said of events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
from recorded import Camera, short_event, started_sink

MASK = "[privacy.left]\npolygon = [[0.0, 0.0], [0.3, 0.0], [0.3, 1.0], [0.0, 1.0]]\n"


def pi_detector(*args: object) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if "PI_DETECTOR" not in k}
    environment |= {"XDG_CONFIG_HOME": "/nonexistent"}
    return subprocess.run(
        [sys.executable, "-m", "pi_detector", *map(str, args)],
        capture_output=True, text=True, timeout=110, check=False, env=environment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run on the demonstration collects, of which the left is private."""
    root = tmp_path_factory.mktemp("collect")
    file = root / "settings.toml"
    file.write_text(
        f'[source]\nuri = "demo:"\n[output]\nstdout = "none"\n{MASK}'
        f'[collect]\nenabled = true\npath = "{root}/frames"\nper_hour = 3600\nbelow_score = 0.99\n'
    )
    done = pi_detector("run", "--config", file, "--frames", 40)
    assert done.returncode == 0, done.stderr
    return root / "frames"


def exported(target: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[int, str]]:
    content = json.loads((target / "collected.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    return content["images"], content["annotations"], names


def test_frames_are_whole_and_masked_and_their_detections_are_proposals(
    collected: Path, tmp_path: Path
) -> None:
    target = tmp_path / "yard"
    done = pi_detector("collect", "export", "--folder", collected, "--recordings", tmp_path / "no",
                       "--to", target)  # fmt: skip
    assert done.returncode == 0, done.stderr
    images, boxes, names = exported(target)
    assert images
    assert f"{len(images)} images, 0 of them with your answers" in done.stdout
    for image in images:
        picture = cv2.imread(str(target / "collected" / image["file_name"]))
        assert picture.shape == (480, 640, 3)
        assert picture[:, :180].max() < 16, "the mask is black in it"
        assert picture[:, 220:].max() > 100
        assert image["labelled"] == []
    assert boxes
    assert {names[box["category_id"]] for box in boxes} >= {"person"}
    assert all(box["ignore"] == 1 and 0 < box["score"] <= 1 for box in boxes)


def test_the_list_counts_by_reason(collected: Path) -> None:
    text = pi_detector("collect", "list", "--folder", collected).stdout
    assert "doubtful" in text
    assert f"frames in {collected}" in text


def test_what_the_owner_said_becomes_labels(tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    sink = started_sink(recordings)
    camera = Camera(sink)
    for name in ("a", "b", "c", "d"):
        short_event(camera, name)
        camera.frames(20)
    sink.close()
    for name, *said in (("a", "right"), ("b", "wrong"), ("c", "wrong", "--label", "fox")):
        assert pi_detector("events", "mark", "--folder", recordings, name, *said).returncode == 0
    target = tmp_path / "yard"
    done = pi_detector("collect", "export", "--folder", tmp_path / "none", "--recordings",
                       recordings, "--to", target)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 images, 3 of them with your answers" in done.stdout
    images, boxes, names = exported(target)
    by_name = {image["file_name"]: image for image in images}
    said = {
        image["file_name"]: [names[b["category_id"]] for b in boxes if b["image_id"] == image["id"]]
        for image in images
    }
    assert said == {"event-a.jpg": ["person"], "event-b.jpg": [], "event-c.jpg": ["fox"]}
    assert all(box["ignore"] == 0 for box in boxes)
    wrong = [names[n] for n in by_name["event-b.jpg"]["labelled"]]
    assert wrong == ["person"], "known not to be there"
    assert by_name["event-a.jpg"]["labelled"] == []
    assert (target / "collected" / "event-a.jpg").stat().st_size > 0


def test_nothing_to_export_and_a_folder_in_the_way(tmp_path: Path) -> None:
    command = ["collect", "export", "--folder", tmp_path / "no", "--recordings", tmp_path / "no"]
    done = pi_detector(*command, "--to", tmp_path / "yard")
    assert (done.returncode, done.stdout) == (64, "")
    assert "set collect.enabled = true" in done.stderr
    assert not (tmp_path / "yard").exists()
    assert pi_detector(*command, "--to", tmp_path).returncode == 64
