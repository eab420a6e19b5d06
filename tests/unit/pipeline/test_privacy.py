"""Privacy masks: what is behind one is black for detection, page, recordings and images."""

from __future__ import annotations

import threading
import time

import msgspec
import numpy as np

from pi_detector import Detector
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
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.pipeline.privacy import PrivacyMasks
from pi_detector.sources.demo import load_photograph, render_view

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


class Seen:
    """A sink that keeps the brightness of the left half, and status records."""

    name, lossless = "seen", False

    def __init__(self) -> None:
        self.left: list[float] = []
        self.inferred: list[bool] = []
        self.states: list[StatusRecord] = []

    def start(self) -> None:
        """Nothing to do."""

    def handle(self, item: object) -> bool:
        if isinstance(item, Result):
            self.left.append(float(item.frame.image[:, :320].mean()))
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
