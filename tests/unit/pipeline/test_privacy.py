"""Privacy masks: what is behind one is black for detection, page, recordings and images."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pi_detector import Detector
from pi_detector.config.load import load_settings
from pi_detector.config.settings import (
    DetectionSettings,
    ModelSettings,
    PrivacySettings,
    Settings,
    SourceSettings,
)
from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.core.records import Result, StatusRecord
from pi_detector.core.schedule import ScheduleSettings
from pi_detector.daemon.service import Service
from pi_detector.errors import ConfigError
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.pipeline.privacy import PrivacyMasks
from pi_detector.sources.demo import load_photograph, render_view

RIGHT = PrivacySettings(polygon=((0.7, 0), (1, 0), (1, 1), (0.7, 1)))
LEFT = PrivacySettings(polygon=((0, 0), (0.7, 0), (0.7, 1), (0, 1)))


def frame(model_input: np.ndarray | None = None) -> Frame:
    image = render_view(load_photograph(), (640, 480), 0.0)
    image.setflags(write=False)
    return Frame(image, 0, 0, utc_now(), "camera", model_input)


def test_the_model_does_not_see_what_is_private() -> None:
    detector = Detector("street")
    shown = InferenceStep(detector).run(frame())
    hidden = InferenceStep(detector, privacy=PrivacyMasks({"man": LEFT})).run(frame())
    people = [box for box in shown.detections.xyxy if box[2] < 0.7 * 640]
    assert people
    assert not [box for box in hidden.detections.xyxy if box[2] < 0.7 * 640]
    image = hidden.frame.image
    assert not image[:, : round(0.7 * 640)].any()
    assert np.array_equal(image[:, 452:], frame().image[:, 452:])
    assert not image.flags.writeable


def test_what_the_camera_scaled_is_black_too() -> None:
    bright = np.full((288, 288, 3), 200, np.uint8)
    covered = PrivacyMasks({"man": LEFT}).cover(frame(bright))
    assert not covered.model_input[:, :202].any()
    assert (covered.model_input[:, 205:] == 200).all()
    assert (bright == 200).all()


def test_a_polygon_is_black_to_its_border_at_any_size() -> None:
    triangle = PrivacySettings(polygon=((0.1, 0.1), (0.9, 0.1), (0.1, 0.9)))
    masks = PrivacyMasks({"triangle": triangle})
    for height, width in ((48, 64), (1080, 1920), (7, 5)):
        white = Frame(np.full((height, width, 3), 255, np.uint8), 0, 0, utc_now(), "camera")
        image = masks.cover(white).image
        y, x = np.mgrid[:height, :width]
        inside = ((x + 0.5) / width > 0.1) & ((y + 0.5) / height > 0.1)
        inside &= (x + 0.5) / width + (y + 0.5) / height < 1
        assert not image[inside].any()
        assert image[-1, -1].all()


@pytest.mark.parametrize(
    ("polygon", "problem"),
    [
        # A bow tie and a pentagram: filled by the even-odd rule, their middles would stay visible.
        (((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9)), "side 1 meets side 3"),
        (((0.5, 0), (0.8, 1), (0, 0.4), (1, 0.4), (0.2, 1)), "meets side"),
        ((), "at least 3 points"),
    ],
)
def test_a_mask_that_would_stay_open_in_parts_is_refused(
    polygon: tuple, problem: str, tmp_path: Path
) -> None:
    masks = {"window": PrivacySettings(polygon=polygon)}
    with pytest.raises(ConfigError, match=rf"privacy\.window\.polygon: .*{problem}"):
        PrivacyMasks(masks)
    if polygon:
        config = tmp_path / "config.toml"
        config.write_bytes(msgspec.toml.encode({"privacy": masks}))
        with pytest.raises(ConfigError, match=rf"privacy\.window\.polygon: .*{problem}"):
            load_settings(config, {}, [])


class Seen:
    """A sink that keeps the brightness of left half and right edge, and status records."""

    name, lossless = "seen", False

    def __init__(self) -> None:
        self.left: list[float] = []
        self.right: list[float] = []
        self.inferred: list[bool] = []
        self.states: list[StatusRecord] = []

    def start(self) -> None:
        """Nothing to do."""

    def handle(self, item: object) -> bool:
        if isinstance(item, Result):
            self.left.append(float(item.frame.image[:, :320].mean()))
            self.right.append(float(item.frame.image[:, -100:].mean()))
            self.inferred.append(item.inferred)
        elif isinstance(item, StatusRecord):
            self.states.append(item)
        return True

    def close(self) -> None:
        """Nothing to do."""


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_service_obeys_masks_and_hours_at_a_reload() -> None:
    wanted = [Settings(source=SourceSettings(uri="demo:"), model=ModelSettings(threads=1))]
    service = Service(lambda: wanted[0], {})
    seen = Seen()
    service._pipeline._publishing.sinks.replace([seen], time.monotonic() + 5)
    service._sink_set.apply = lambda *arguments: None
    stop = threading.Event()
    runner = threading.Thread(target=service.run, args=(stop,))
    runner.start()
    try:
        wait_for(lambda: len(seen.left) > 2)
        assert min(seen.left) > 20
        assert all(seen.inferred)
        masked = msgspec.structs.replace(wanted[0], privacy={"man": LEFT})
        wanted[0] = masked
        service.reload()
        wait_for(lambda: seen.left[-1] == 0)
        # Hours of a minute that is not this one.
        other = time.strftime("%H:%M", time.localtime(time.time() + 12 * 3600))
        ends = time.strftime("%H:%M", time.localtime(time.time() + 12 * 3600 + 60))
        never = {"never": ScheduleSettings(start=other, end=ends)}
        detection = DetectionSettings(schedules=("never",))
        wanted[0] = msgspec.structs.replace(masked, schedule=never, detection=detection)
        service.reload()
        wait_for(lambda: not seen.inferred[-1])
        service.resume()
        off = ("detection", "paused", "outside the hours of detection.schedules")
        wait_for(lambda: off in [(s.part, s.state, s.reason) for s in seen.states])
        assert ("schedule", "never", "paused") in [(s.part, s.name, s.state) for s in seen.states]
        wanted[0] = masked
        service.reload()
        wait_for(lambda: seen.inferred[-1])
    finally:
        stop.set()
        runner.join(30)
    assert not runner.is_alive()


def test_masks_of_a_new_view_are_black_beside_the_old_ones_until_it_comes() -> None:
    start = Settings(
        source=SourceSettings(uri="demo:"), model=ModelSettings(threads=1), privacy={"man": LEFT}
    )
    wanted = [start]
    service = Service(lambda: wanted[0], {})
    seen = Seen()
    service._pipeline._publishing.sinks.replace([seen], time.monotonic() + 5)
    service._sink_set.apply = lambda *arguments: None
    stop = threading.Event()
    runner = threading.Thread(target=service.run, args=(stop,))
    runner.start()
    try:
        wait_for(lambda: len(seen.left) > 2)
        assert max(seen.left) == 0 < min(seen.right)
        turned = SourceSettings(uri="demo:", rotate=180)
        wanted[0] = msgspec.structs.replace(start, source=turned, privacy={"man": RIGHT})
        service.reload()
        wait_for(lambda: seen.right[-1] == 0)
        waits = "at the next restart: source.rotate, privacy.man"
        wait_for(lambda: ("limited", waits) in [(s.state, s.reason) for s in seen.states])
        assert max(seen.left) == 0, "of the old view nothing is shown that was hidden"
        wanted[0] = msgspec.structs.replace(start, privacy={"man": RIGHT})
        service.reload()
        wait_for(lambda: seen.left[-1] > 0 == seen.right[-1])
    finally:
        stop.set()
        runner.join(30)
    assert not runner.is_alive()
