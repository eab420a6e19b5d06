"""Settings of events: what holds objects back, how often is told, and what a reload ends."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from staged import LABELS, Scene, car, person

from pi_detector.config.settings import Settings
from pi_detector.errors import ConfigError
from pi_detector.events.stage import EventStage


def test_updates_are_rate_limited() -> None:
    scene = Scene(events={"update_interval_s": 2, "position_interval_s": 0.1})
    scene.walk(20, 50, 600)
    times = [r.time for r in scene.records if r.phase != "end"]
    assert 9 <= len(times) <= 11
    assert all((b - a).total_seconds() >= 2 for a, b in pairwise(times))


def test_without_changes_there_are_no_updates() -> None:
    scene = Scene(events={"position_interval_s": 0})
    scene.walk(20, 50, 600)
    assert scene.phases() == ["new"]


def test_an_object_below_the_median_score_gives_no_event_but_ids() -> None:
    scene = Scene(events={"min_score": 0.7})
    scene.steps(5, person(300, score=0.65))
    assert scene.records == []
    assert scene.results[-1].detections.track_id.tolist() == [1]
    scene.steps(10, person(300, score=0.75))
    assert scene.phases()[0] == "new"


@pytest.mark.parametrize(
    ("limits", "passes"),
    [
        ({"min_area": 0.01}, True),
        ({"min_area": 0.02}, False),
        ({"max_area": 0.01}, False),
        ({"min_aspect": 0.3, "max_aspect": 0.5}, True),
        ({"min_aspect": 0.5}, False),
        ({"max_aspect": 0.3}, False),
        ({"min_score": 0.9}, False),
    ],
)
def test_filters_hold_objects_back(limits: dict[str, float], passes: bool) -> None:
    scene = Scene(filters={"person": limits})  # its box is 40 x 100 of 640 x 480: 0.013
    scene.steps(2, person(300), car(100))
    assert [r.label for r in scene.of("new")] == (["person", "car"] if passes else ["car"])


def test_a_cooldown_holds_the_next_visitor_back_not_the_one_who_is_there() -> None:
    scene = Scene(events={"cooldowns_s": {"person": 30}})
    scene.steps(2, person(100), person(300))
    assert len(scene.of("new")) == 2
    scene.steps(5)
    scene.steps(5, person(500))
    scene.steps(5)
    assert len(scene.of("new")) == 2
    assert scene.stage.counts.held_back == 1
    scene.steps(40, person(200))  # who stays until the cooldown is over is told then
    assert len(scene.of("new")) == 3
    assert scene.of("new")[-1].time - scene.of("new")[-1].started > timedelta(seconds=10)
    scene.steps(2, car(400), person(200))
    assert len(scene.of("new")) == 4


def test_without_events_there_are_track_ids_and_without_tracking_neither() -> None:
    scene = Scene(events={"enabled": False})
    scene.steps(3, person(300))
    assert scene.records == []
    assert scene.results[-1].detections.track_id.tolist() == [1]
    scene = Scene(tracking={"enabled": False})
    scene.steps(3, person(300), person(100, score=0.4))
    assert scene.records == []
    assert scene.results[-1].detections.track_id is None
    assert len(scene.results[-1].detections) == 1


def reload(scene: Scene, labels: dict[int, str] = LABELS, **tree: Any) -> None:
    settings = msgspec.convert(tree, Settings)
    stage = EventStage(settings, labels, dict.fromkeys(labels, 0.5))
    scene.records += stage.take_over(scene.stage)
    scene.stage = stage


def test_other_settings_go_on_with_what_is_there() -> None:
    scene = Scene()
    scene.steps(15, car(300))
    zone = {"right": {"polygon": [[0.3, 0.5], [1, 0.5], [1, 1], [0.3, 1]]}}
    reload(scene, zones=zone, lines={"gate": {"points": [[0, 0], [0, 1]]}})
    scene.steps(15, car(300))
    assert len(scene.of("new")) == 1
    assert scene.of("end") == []
    assert [t.kind for r in scene.records for t in r.transitions] == ["entered"]
    assert scene.stage.counts.lines == {"gate": {"in": 0, "out": 0}}
    reload(scene, zones=zone)
    scene.walk(2, 100, 200)
    scene.interrupt("shutdown")
    assert [t.kind for r in scene.records for t in r.transitions] == ["entered"]
    assert len({r.id for r in scene.records}) == len(scene.of("new")) == 2
    parked = [r.revision for r in scene.records if r.label == "car"]
    assert parked == list(range(len(parked))), "counted on over a reload"
    assert {r.id.split("-")[1] for r in scene.records} == {"token"}
    assert sorted(r.track_id for r in scene.of("end")) == [1, 2]


@pytest.mark.parametrize(
    ("labels", "tree"),
    [
        ({3: "car"}, {}),
        (LABELS, {"tracking": {"alike": []}}),
        (LABELS, {"events": {"enabled": False}}),
    ],
)
def test_settings_that_cannot_go_on_end_the_events(
    labels: dict[int, str], tree: dict[str, Any]
) -> None:
    scene = Scene()
    scene.steps(2, car(300))
    reload(scene, labels, **tree)
    assert [(r.phase, r.reason) for r in scene.records] == [("new", None), ("end", "reload")]
    scene.steps(2, car(300))
    assert scene.results[-1].detections.track_id.tolist() == [2]
    assert len(scene.of("new")) == (1 if "events" in tree else 2)


@pytest.mark.parametrize(
    ("tree", "key"),
    [
        ({"filters": {"persn": {}}}, "filters.persn: the model has no label 'persn'; did you mean"),
        (
            {"events": {"cooldowns_s": {"dog": 3}}},
            "events.cooldowns_s: .* the model's labels: person",
        ),
        (
            {"zones": {"a": {"polygon": [[0, 0], [1, 0], [1, 1]], "labels": ["dog"]}}},
            "zones.a.labels",
        ),
        ({"lines": {"b": {"points": [[0, 0], [1, 0]], "labels": ["dog"]}}}, "lines.b.labels"),
    ],
)
def test_a_label_that_the_model_does_not_know_is_an_error(tree: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Scene(**tree)


LEFT = {"polygon": [[0, 0], [0.4, 0], [0.4, 1], [0, 1]]}
RIGHT = {"polygon": [[0.3, 0], [1, 0], [1, 1], [0.3, 1]]}


def test_another_zone_leaves_the_others_as_they_are() -> None:
    scene = Scene(zones={"right": RIGHT | {"loiter_s": 8}})
    scene.steps(5, car(400))
    told = len(scene.records)
    reload(scene, zones={"left": LEFT, "right": RIGHT | {"loiter_s": 8}})
    scene.steps(2, car(400))
    assert len(scene.records) == told, "nothing happened"
    scene.steps(3, car(400))
    (loitering,) = [t for r in scene.records for t in r.transitions if t.kind == "loitering"]
    assert loitering.dwell_s == pytest.approx(8, abs=0.3)


def test_a_zone_that_is_moved_away_is_told() -> None:
    scene = Scene(zones={"here": RIGHT})
    scene.steps(5, car(400))
    assert scene.records[-1].zones == ("here",)
    reload(scene, zones={"here": LEFT})
    scene.steps(1, inferred=False)
    assert scene.records[-1].zones == ("here",), "not looked at yet"
    scene.steps(2, car(400))
    assert [scene.records[-1].zones, scene.records[-1].phase] == [(), "update"]
    assert len(scene.records) == 2
    reload(scene, zones={"here": RIGHT})
    scene.steps(2, car(400))
    assert scene.records[-1].zones == ("here",)
