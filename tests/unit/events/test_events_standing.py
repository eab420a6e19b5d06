"""Objects that stand there: parked cars, and a scene in which nothing moves."""

from __future__ import annotations

import pytest
from staged import CAR, Scene, car, linear, person


def test_a_parked_car_is_one_quiet_event_until_it_moves() -> None:
    scene = Scene(fps=5)
    for x in linear(100, 400, 15):
        scene.step(car(x))
    scene.steps(600, car(400))
    told = [(r.phase, r.stationary) for r in scene.records]
    assert told.count(("update", True)) == 1
    assert told[-1] == ("update", True)
    assert len(told) <= 5
    assert not scene.stage.busy
    before = len(scene.records)
    for x in linear(400, 540, 15):
        scene.step(car(x))
    assert [r.stationary for r in scene.records[before:]] == [False]
    assert scene.stage.busy
    scene.steps(5)
    assert scene.records[-1].phase == "end"
    assert len({record.id for record in scene.records}) == 1


def test_a_parked_car_that_is_missed_for_a_while_is_the_same_event() -> None:
    scene = Scene(fps=5)
    scene.steps(20, car(300))
    for _ in range(5):
        scene.steps(50)
        scene.steps(1, car(302))
    assert len(scene.of("new")) == 1
    assert scene.of("end") == []


def test_a_parked_car_behind_which_somebody_walks_stays_parked() -> None:
    scene = Scene()
    scene.steps(15, car(300))
    before = len(scene.of("update"))
    for x in linear(100, 500, 60):  # half hidden for a moment: a smaller box
        hidden = (CAR, 265.0, 400.0, 90.0, 90.0, 0.6) if 290 < x < 310 else car(300)
        scene.step(hidden, person(x, y=440))
    parked = scene.of("new")[0].id
    assert not [r for r in scene.of("update")[before:] if r.id == parked]
    assert len(scene.of("new")) == 2


def test_a_standing_object_waits_for_the_heartbeats_of_a_still_scene() -> None:
    scene = Scene(fps=10)
    scene.steps(12, car(300))
    for _ in range(30):  # five minutes, inferred once in ten seconds
        scene.step(car(300))
        scene.steps(9.9, inferred=False)
    assert len(scene.of("new")) == 1
    assert scene.of("end") == []
    for _ in range(10):  # it went unseen
        scene.step()
        scene.steps(9.9, inferred=False)
    assert [r.reason for r in scene.of("end")] == ["gone"]
    assert scene.of("end")[0].duration_s == pytest.approx(302, abs=1)


def test_a_car_that_still_stands_there_after_the_source_came_back_names_its_event() -> None:
    scene = Scene()
    scene.steps(12, car(300))
    first = scene.of("new")[0]
    scene.interrupt("source_lost")
    scene.steps(1, car(303), person(500))
    continued, stranger = scene.of("new")[1:]
    assert {continued.label: continued.continues, stranger.label: stranger.continues} == {
        "car": first.id,
        "person": None,
    }
    scene.interrupt("source_lost")
    scene.step(dt_s=3600)
    scene.steps(1, car(303))
    assert scene.of("new")[-1].continues is None
