"""Which frames are collected: the doubtful ones, spread over the hours."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from recorded_rows import a_result, found

from pi_detector.config.collect import CollectSettings
from pi_detector.core.geometry import Detections
from pi_detector.core.result import Result
from pi_detector.sinks.collect.choosing import Chooser

SECOND_NS = 1_000_000_000
HOUR_S = 3600
SURE = found((10, 10, 100, 200, 0.9, 1))
DOUBTFUL = found((10, 10, 100, 200, 0.5, 1))
OTHER_CLASS = found((12, 10, 101, 200, 0.9, 2))
NOTHING = Detections()


def at(second: float, detections: Detections) -> Result:
    return a_result(detections, captured_ns=round(second * SECOND_NS))


def reasons(chooser: Chooser, *steps: tuple[float, Detections]) -> list[str | None]:
    return [chooser.choose(at(second, detections)) for second, detections in steps]


def settings(**changes: float) -> CollectSettings:
    return CollectSettings(enabled=True, random_per_hour=0, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([SURE, SURE, SURE], [None, None, None]),
        ([NOTHING, NOTHING], [None, None]),
        ([SURE, DOUBTFUL], [None, "doubtful"]),
        ([SURE, OTHER_CLASS], [None, "label-change"]),
        ([SURE, NOTHING, SURE], [None, None, "flicker"]),
        ([NOTHING, SURE, NOTHING], [None, None, "flicker"]),
        ([NOTHING, SURE, SURE], [None, None, None]),
    ],
)
def test_what_is_worth_labelling(steps: list[Detections], expected: list[str | None]) -> None:
    chooser = Chooser(settings(per_hour=3600))
    assert reasons(chooser, *((n, step) for n, step in enumerate(steps))) == expected


def test_a_frame_that_the_model_did_not_see_says_nothing() -> None:
    result = a_result(DOUBTFUL)
    skipped = Result(result.frame, DOUBTFUL, result.labels, result.timings, inferred=False)
    assert Chooser(settings()).choose(skipped) is None


def test_no_hour_and_no_reason_takes_it_all() -> None:
    chooser = Chooser(settings(per_hour=8))
    taken = [
        second
        for second in range(0, 3 * HOUR_S, 2)
        if chooser.choose(at(second, DOUBTFUL)) is not None
    ]
    hours = Counter(second // HOUR_S for second in taken)
    assert set(hours) == {0, 1, 2}
    assert max(hours.values()) <= 4, "half is left for other reasons"
    gaps = [b - a for a, b in pairwise(taken)]
    assert min(gaps) >= HOUR_S / 8 / 2


def test_frames_at_random_come_evenly_whatever_they_show() -> None:
    chooser = Chooser(CollectSettings(enabled=True, random_per_hour=2))
    taken = [s for s in range(0, 4 * HOUR_S, 10) if chooser.choose(at(s, SURE)) == "random"]
    assert taken == [1800 * n for n in range(1, 8)]
