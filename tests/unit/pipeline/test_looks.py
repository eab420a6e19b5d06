from __future__ import annotations

import threading

import numpy as np
import pytest

from pi_detector.config.settings import (
    DetectionSettings,
    MotionSettings,
    Settings,
    SourceSettings,
)
from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.core.looks import Look, TrackedBox
from pi_detector.core.records import detections_record, encode
from pi_detector.core.result import Result
from pi_detector.detector.detector import Detector
from pi_detector.events.motion import Motion, MotionGate
from pi_detector.pipeline.build import make_looking
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.pipeline.looks import (
    DEFAULT_FPS,
    MOST_AUTO,
    OFFLINE_AUTO,
    LookBudget,
    PlannedLooks,
    Tiling,
)
from pi_detector.pipeline.pipeline import Pipeline

SIZE = (1280, 720)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector("street-small", threads=1)


def frame(number: int = 0, box: tuple[int, int, int, int] | None = None) -> Frame:
    image = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    if box is not None:
        image[box[1] : box[3], box[0] : box[2]] = 20
    return Frame(image, number, number * 100_000_000, utc_now(), "test")


def planned(looks: int | str, **settings: object) -> PlannedLooks:
    budget = LookBudget(live=False)
    budget.want(looks)
    return PlannedLooks(DetectionSettings(looks=looks, **settings), budget)  # type: ignore[arg-type]


def gate(**settings: object) -> MotionGate:
    return MotionGate(MotionSettings(**settings), wants_regions=True)  # type: ignore[arg-type]


def test_what_moves_gets_a_look_and_the_result_says_so(detector: Detector) -> None:
    step = InferenceStep(detector, gate(), looking=planned(2))
    for number in range(10):
        step.run(frame(number))
    result = step.run(frame(10, (1000, 400, 1030, 460)))
    (crop,) = (look for look in result.looks if look.reason == "motion")
    assert crop.x <= 1000
    assert crop.x + crop.width >= 1030
    record = detections_record(result)
    assert [look.reason for look in record.looks] == [look.reason for look in result.looks]
    assert b'"looks":[{"reason":' in encode(record)


def test_an_object_that_is_tracked_gets_a_look(detector: Detector) -> None:
    step = InferenceStep(detector, gate(), looking=planned(2))
    track = TrackedBox((100, 100, 120, 150), unseen=True, stationary=False)
    for number in range(4):
        result = step.run(frame(number), tracks=[track])
    assert "track" in [look.reason for look in result.looks]


def test_without_looks_nothing_is_different(detector: Detector) -> None:
    """Neither gate nor planner is there, and the record has no field more."""
    plain = InferenceStep(detector).run(frame())
    assert plain.looks == ()
    assert b"looks" not in encode(detections_record(plain))


def test_a_gate_that_spares_still_frames_spares_their_looks_too(detector: Detector) -> None:
    step = InferenceStep(detector, gate(enabled=True, open_s=0.0), looking=planned(4))
    results = [step.run(frame(number)) for number in range(40)]
    inferred = [result for result in results if result.inferred]
    assert len(inferred) == 1
    # A heartbeat looks at the whole frame alone: a still scene costs what it did.
    assert [look.reason for look in inferred[0].looks] == ["whole"]


def test_a_gate_that_is_off_watches_motion_and_lets_all_frames_through(detector: Detector) -> None:
    step = InferenceStep(detector, gate(enabled=False), looking=planned(1))
    assert all(step.run(frame(number)).inferred for number in range(6))


def test_a_governor_that_takes_all_looks_leaves_the_whole_frame(detector: Detector) -> None:
    looking = planned(4)
    looking._budget.limit = 0
    assert InferenceStep(detector, gate(), looking=looking).run(frame()).looks == ()


def test_another_input_size_has_a_planner_of_its_own(detector: Detector) -> None:
    looking = planned(4)
    moving = np.array([[0.5, 0.5, 0.51, 0.53]], np.float32)
    motion = Motion(True, 0.0, 0.0, "motion", moving)
    small = looking.choose(detector.prepare(frame()), motion, ())
    other = Detector("street", threads=1)
    large = looking.choose(other.prepare(frame()), motion, ())
    assert small[1].height < large[1].height


@pytest.mark.parametrize(
    ("looks", "live", "each_ms", "expected"),
    [
        (0, True, 20, 0),
        (3, True, 500, 3),
        ("auto", False, 500, OFFLINE_AUTO),
        ("auto", True, 0, 1),
        ("auto", True, 500, 1),
        ("auto", True, 50, 3),
        ("auto", True, 1, MOST_AUTO),
    ],
)
def test_the_budget(looks: int | str, live: bool, each_ms: float, expected: int) -> None:
    budget = LookBudget(live=live)
    budget.want(looks)
    if each_ms:
        budget.note(2, 2 * each_ms)
    assert budget.looks == expected
    budget.limit = 2
    assert budget.looks == min(expected, 2)
    assert budget.full == expected


def test_auto_leaves_time_for_the_rate_that_is_wanted() -> None:
    budget = LookBudget()
    budget.want("auto", fps=10)
    for _ in range(100):
        budget.note(3, 3 * 20)
    assert budget.looks == 4
    assert budget.looks * 20 <= 1000 / 10
    budget.want("auto")
    assert budget.looks == MOST_AUTO
    assert MOST_AUTO * 20 <= 1000 / DEFAULT_FPS


@pytest.mark.parametrize(("max_fps", "fps", "looks"), [(10, 0, 4), (10, 25, 4), (None, 10, 4)])
def test_the_rate_that_is_wanted_is_that_of_detection(
    max_fps: float | None, fps: float, looks: int
) -> None:
    budget = LookBudget()
    detection = DetectionSettings(looks="auto", max_fps=max_fps)
    make_looking(Settings(source=SourceSettings(fps=fps), detection=detection), budget)
    for _ in range(100):
        budget.note(3, 3 * 20)
    assert budget.looks == looks


def test_the_pipeline_hands_regions_and_tracks_to_the_planner(detector: Detector) -> None:
    class Moving:
        name, live = "moving", False

        def __init__(self) -> None:
            self.next = 0

        def open(self, model_size: tuple[int, int] | None = None) -> None:
            pass

        def read(self) -> Frame | None:
            self.next += 1
            x = 300 + 6 * self.next
            return frame(self.next, (x, 300, x + 20, 350)) if self.next <= 20 else None

        def close(self) -> None:
            pass

    class Keeper:
        name, lossless = "keeper", True

        def __init__(self) -> None:
            self.results: list[Result] = []

        def start(self) -> None:
            pass

        def handle(self, item: object) -> bool:
            if isinstance(item, Result):
                self.results.append(item)
            return True

        def close(self) -> None:
            pass

    keeper = Keeper()
    Pipeline(Moving(), detector, [keeper], gate=gate(), looking=planned(2)).run(threading.Event())
    assert len(keeper.results) == 20
    reasons = [[look.reason for look in result.looks] for result in keeper.results]
    assert sum("motion" in each for each in reasons) >= 15
    assert all(len(each) <= 2 for each in reasons)


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (288, 288)])
def test_frames_of_any_size_can_be_looked_at(detector: Detector, size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    tiny = Frame(image, 0, 0, utc_now(), "test")
    for looking in (planned(4), Tiling("3x3"), Tiling("auto")):
        result = InferenceStep(detector, gate(), looking=looking).run(tiny)
        assert result.inferred
    assert len(detector.detect(image, tiles="2x2")) == 0


def test_tiles_of_a_still(detector: Detector) -> None:
    step = InferenceStep(detector, looking=Tiling("2x2"))
    looks = step.run(frame()).looks
    assert looks[0] == Look.whole(*SIZE)
    assert [look.reason for look in looks[1:]] == ["tile"] * 4
    with pytest.raises(ValueError, match="give 'auto', '2x2' or '3x3'"):
        detector.detect(frame().image, tiles="5x5")  # type: ignore[arg-type]
