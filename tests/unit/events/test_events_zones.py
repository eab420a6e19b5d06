from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from staged import START, Scene, car, linear, person

from pi_detector.config.settings import LineSettings, ZoneSettings
from pi_detector.events.zones import Borders, Change, Route

RIGHT_HALF = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
UPWARDS = ((0.5, 1.0), (0.5, 0.0))  # its right is the picture's right


class Way:
    """A path, and the time."""

    def __init__(self, **borders: Any) -> None:
        zones = {n: p for n, p in borders.items() if isinstance(p, ZoneSettings)}
        lines = {n: p for n, p in borders.items() if isinstance(p, LineSettings)}
        self.path = Route(Borders(zones, lines))
        self.ns = 0

    def go(self, x: float, y: float = 0.5, label: str = "person") -> list[str]:
        self.ns += 100_000_000
        return self._told(self.path.step(label, (x, y), self.ns, START))

    def linger(self, seconds: float) -> list[str]:
        self.ns += round(seconds * 1e9)
        return self._told(self.path.linger(self.ns, START))

    def _told(self, changes: list[Change]) -> list[str]:
        return [f"{change.kind} {change.name}" for change in changes]


def test_a_zone_is_entered_and_left() -> None:
    way = Way(right=ZoneSettings(polygon=RIGHT_HALF))
    told = [change for x in linear(0, 1, 21) for change in way.go(x)]
    assert told == ["entered right"]
    assert way.path.inside == ("right",)
    told = [change for x in linear(1, 0, 21) for change in way.go(x)]
    assert told == ["left right"]
    assert way.path.inside == ()
    assert way.path.ever == ["right"]


def test_who_appears_inside_has_entered() -> None:
    way = Way(right=ZoneSettings(polygon=RIGHT_HALF))
    assert way.go(0.501) == ["entered right"]


def test_who_stands_on_the_border_does_not_enter_and_leave_all_the_time() -> None:
    way = Way(right=ZoneSettings(polygon=RIGHT_HALF), gate=LineSettings(points=UPWARDS))
    rng = np.random.default_rng(0)
    way.go(0.45)
    told = [change for _ in range(500) for change in way.go(0.5 + rng.normal(0, 0.003))]
    assert len(told) <= 2


def test_one_wild_box_is_no_visit() -> None:
    way = Way(right=ZoneSettings(polygon=RIGHT_HALF))
    assert [way.go(x) for x in (0.2, 0.2, 0.8, 0.2, 0.2)] == [[]] * 5


@pytest.mark.parametrize(("label", "told"), [("person", []), ("car", ["in gate", "entered right"])])
def test_only_the_labels_of_a_place_count(label: str, told: list[str]) -> None:
    way = Way(
        right=ZoneSettings(polygon=RIGHT_HALF, labels=("car",)),
        gate=LineSettings(points=UPWARDS, labels=("car",)),
    )
    assert sorted(c for x in linear(0, 1, 11) for c in way.go(x, label=label)) == sorted(told)


def test_a_large_box_that_jitters_stays_where_it_is() -> None:
    scene = Scene(zones={"right": {"polygon": RIGHT_HALF}}, lines={"gate": {"points": UPWARDS}})
    rng = np.random.default_rng(0)
    for _ in range(300):
        scene.step((1, 316 + rng.normal(0, 4), 450, 150, 400, 0.8))
    assert len([t for r in scene.records for t in r.transitions]) <= 1


def test_loitering_is_told_once_a_visit() -> None:
    way = Way(right=ZoneSettings(polygon=RIGHT_HALF, loiter_s=10))
    way.go(0.8)
    assert way.linger(9) == []
    assert way.linger(1) == ["loitering right"]
    assert way.linger(100) == []
    for x in (0.1, 0.1, 0.1):
        way.go(x)
    for x in (0.9, 0.9):
        way.go(x)
    assert way.linger(10) == ["loitering right"]


@pytest.mark.parametrize(
    ("points", "kind"),
    [(UPWARDS, "in"), (UPWARDS[::-1], "out"), (((0.5, 1), (0.5, 0.5), (0.5, 0)), "in")],
)
def test_a_crossing_has_a_direction(points: Any, kind: str) -> None:
    way = Way(gate=LineSettings(points=points))
    assert [c for x in linear(0, 1, 21) for c in way.go(x)] == [f"{kind} gate"]
    back = {"in": "out", "out": "in"}[kind]
    assert [c for x in linear(1, 0, 21) for c in way.go(x)] == [f"{back} gate"]


def test_a_fast_one_crosses_between_two_frames() -> None:
    way = Way(gate=LineSettings(points=UPWARDS))
    assert [way.go(0.1), way.go(0.9)] == [[], ["in gate"]]


def test_who_goes_round_the_end_of_a_line_does_not_cross_it() -> None:
    way = Way(gate=LineSettings(points=((0.5, 0.6), (0.5, 0.0))))
    told = [way.go(x, y) for x, y in [(0.3, 0.3), (0.4, 0.9), (0.6, 0.9), (0.7, 0.3)]]
    assert told == [[]] * 4


def test_a_bent_line_is_crossed_once() -> None:
    way = Way(gate=LineSettings(points=((0.2, 0.8), (0.5, 0.5), (0.8, 0.8))))
    assert [c for y in linear(1, 0, 21) for c in way.go(0.5, y)] in (["in gate"], ["out gate"])
    way = Way(gate=LineSettings(points=((0.2, 0.8), (0.5, 0.5), (0.8, 0.8))))
    cut = [c for x in linear(0.2, 0.8, 61) for c in way.go(x, 0.6)]  # in through one, out again
    assert sorted(cut) == ["in gate", "out gate"]


def test_events_tell_zones_lines_and_dwell_times() -> None:
    scene = Scene(
        zones={"right": {"polygon": RIGHT_HALF, "loiter_s": 2}},
        lines={"gate": {"points": UPWARDS}},
    )
    scene.walk(3, 100, 560)
    scene.steps(3, person(560))
    scene.walk(3, 560, 100)
    assert [thing.route.inside for thing in scene.stage._objects.values()] == [()]
    scene.steps(5)
    done = [(t.kind, t.name, t.total) for r in scene.records for t in r.transitions]
    assert sorted(done[:2]) == [("entered", "right", None), ("in", "gate", 1)]
    assert done[2] == ("loitering", "right", None)
    assert sorted(done[3:]) == [("left", "right", None), ("out", "gate", 1)]
    (left,) = [t for r in scene.records for t in r.transitions if t.kind == "left"]
    assert left.dwell_s == pytest.approx(6, abs=0.3)
    assert (left.time - START).total_seconds() == pytest.approx(7.5, abs=0.3)
    end = scene.of("end")[0]
    assert (end.zones, end.entered) == ((), ("right",))
    assert scene.stage.counts.lines == {"gate": {"in": 1, "out": 1}}


def test_every_object_that_crosses_a_line_is_counted() -> None:
    scene = Scene(lines={"gate": {"points": UPWARDS}}, events={"update_interval_s": 0})
    for _ in range(3):
        for x in linear(100, 540, 30):
            scene.step(person(x), person(x - 60, y=200))
        scene.steps(4)
    totals = [t.total for r in scene.records for t in r.transitions]
    assert totals == [1, 2, 3, 4, 5, 6]


def test_events_can_be_limited_to_a_zone() -> None:
    scene = Scene(zones={"right": {"polygon": RIGHT_HALF}}, events={"zones": ["right"]})
    scene.walk(3, 50, 300)
    assert scene.records == []
    scene.walk(2, 300, 500)
    assert [r.zones for r in scene.of("new")] == [("right",)]
    assert scene.of("new")[0].started == START


def test_a_zone_has_its_own_cooldown() -> None:
    scene = Scene(
        zones={"right": {"polygon": RIGHT_HALF, "cooldown_s": 60}}, events={"cooldown_s": 0}
    )
    for _ in range(2):
        scene.steps(2, person(500), car(150))
        scene.steps(5)
    assert [r.label for r in scene.of("new")].count("person") == 1
    assert [r.label for r in scene.of("new")].count("car") == 2
