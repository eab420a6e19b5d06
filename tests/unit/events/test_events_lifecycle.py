"""One visitor, one event."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from staged import CAR, HEIGHT, LABELS, START, TRUCK, WIDTH, Scene, car, linear, person

from pi_detector.core.records import EventRecord, Record, encode
from pi_detector.events.stage import EventStage

# A loaded machine is no failure.
unhurried = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_a_visitor_who_comes_and_goes_is_one_event() -> None:
    scene = Scene()
    scene.walk(4, 50, 590)
    scene.steps(5)
    new, end = scene.of("new")[0], scene.of("end")[0]
    assert scene.phases() == ["new", *["update"] * (len(scene.records) - 2), "end"]
    assert len({record.id for record in scene.records}) == 1
    assert (new.label, new.class_id, new.reason) == ("person", 1, None)
    assert new.started == START
    assert new.time - new.started == timedelta(seconds=0.5)
    assert new.frame.width == WIDTH
    assert end.reason == "gone"
    assert end.duration_s == pytest.approx(3.9)
    assert end.last_seen - end.started == timedelta(seconds=3.9)
    assert end.hits == 40
    assert end.box_px[0] == pytest.approx(570)
    assert not scene.stage.busy


def test_records_are_valid_and_decode() -> None:
    scene = Scene()
    scene.walk(2, 100, 300)
    scene.interrupt("shutdown")
    for record in scene.records:
        assert msgspec.json.decode(encode(record), type=Record) == record


@pytest.mark.parametrize("frames", [1, 2])
def test_a_flash_of_a_detection_is_no_event(frames: int) -> None:
    scene = Scene()
    for _ in range(10):
        for _ in range(frames):
            scene.step(person(300))
        scene.steps(1)
    assert scene.records == []
    assert not scene.stage._objects


def test_flashes_on_a_still_scene_do_not_keep_the_gate_open() -> None:
    scene = Scene()
    busy = []
    for _ in range(200):
        scene.step(person(300))
        scene.steps(0.4)
        busy.append(scene.stage.busy)
    assert scene.records == []
    assert 0 < sum(busy) < 40
    scene.interrupt("source_lost")
    assert not scene.stage.busy


def test_who_stands_there_at_the_start_gets_a_second_look() -> None:
    scene = Scene()
    scene.step(person(300))
    assert scene.stage.busy
    for _ in range(20):
        scene.step(*[person(300)] * scene.stage.busy, inferred=scene.stage.busy)
    assert scene.phases() == ["new"]


def test_a_flickering_object_is_one_event() -> None:
    scene = Scene()
    rng = np.random.default_rng(1)
    for x in linear(100, 500, 200):
        scene.step(*[person(x)] * (rng.random() < 0.5))
    scene.steps(5)
    assert Counter(scene.phases())["new"] == 1
    assert Counter(scene.phases())["end"] == 1
    assert scene.of("new")[0].track_id == scene.of("end")[0].track_id


def test_weak_detections_keep_an_event_alive_but_are_not_published() -> None:
    scene = Scene()
    scene.walk(1, 100, 150)
    for x in linear(151, 350, 60):  # twice the patience
        result = scene.step(person(x, score=0.4))
        assert len(result.detections) == 0
    scene.walk(1, 351, 400)
    assert len({record.id for record in scene.records}) == 1
    assert scene.of("end") == []


def test_weak_detections_alone_start_nothing() -> None:
    scene = Scene()
    scene.steps(5, person(300, score=0.49))
    assert scene.records == []
    assert not scene.stage._objects


def test_an_object_is_not_gone_while_nobody_looks() -> None:
    scene = Scene()
    scene.walk(1, 100, 150)
    scene.steps(60, inferred=False)
    assert scene.of("end") == []
    scene.step(person(152))
    assert len(scene.of("new")) == 1
    assert scene.of("end") == []


def test_two_visitors_who_cross_are_two_events_with_their_own_ids() -> None:
    scene = Scene(fps=10)
    ways = list(zip(linear(100, 500, 50), linear(500, 100, 50), strict=True))
    for a, b in ways:
        rows = [person(a, y=300), person(b, y=310, score=0.7)]
        scene.step(*(rows[:1] if abs(a - b) < 25 else rows))  # one hides the other
    right, left = scene.results[-1].detections.track_id.tolist()
    first = scene.results[0].detections.track_id.tolist()
    assert [right, left] == first
    scene.steps(5)
    assert Counter(scene.phases())["new"] == 2
    ends = {r.track_id: r.box_px[0] for r in scene.of("end")}
    assert ends[right] > 400
    assert ends[left] < 150


def test_a_lost_source_and_the_shutdown_end_events_with_their_reason() -> None:
    scene = Scene()
    scene.walk(1, 100, 150)
    (record,) = scene.interrupt("source_lost")
    assert (record.phase, record.reason, record.time) == ("end", "source_lost", scene.at)
    assert scene.interrupt("source_lost") == []
    assert not scene.stage.busy
    scene.walk(1, 150, 200)
    (record,) = scene.interrupt("shutdown")
    assert record.reason == "shutdown"
    assert len(scene.of("new")) == 2
    assert len({r.id for r in scene.records}) == 2


def test_an_interrupt_before_the_first_frame_tells_nothing() -> None:
    assert Scene().interrupt("shutdown") == []


def test_a_wall_clock_that_jumps_back_makes_no_duplicate_and_no_negative_time() -> None:
    scene = Scene()
    for _ in range(3):
        scene.at = START
        scene.walk(2, 100, 300)
        scene.at = START - timedelta(hours=1)  # in the middle of the event
        scene.walk(2, 300, 500)
        scene.steps(5)
    ids = [r.id for r in scene.of("new")]
    assert len(ids) == len(set(ids)) == 3
    for end in scene.of("end"):
        assert end.duration_s == pytest.approx(3.9)
    assert Counter(scene.phases())["end"] == 3


def test_ids_begin_with_the_time_and_need_no_quoting() -> None:
    scene = Scene()
    scene.walk(1, 100, 150)
    assert scene.records[0].id == "20261124T100000Z-token-1"


def test_two_runs_at_the_same_moment_have_different_ids() -> None:
    ids = set()
    for _ in range(2):
        scene = Scene()
        scene.stage = EventStage(scene.settings, LABELS, {})
        scene.walk(1, 100, 150)
        ids.add(scene.records[0].id)
    assert len(ids) == 2


def test_the_same_frames_give_the_same_records() -> None:
    def records() -> list[EventRecord]:
        scene = Scene()
        rng = np.random.default_rng(5)
        for x in linear(50, 600, 150):
            rows = [person(x + rng.normal(0, 3)), car(300 + rng.normal(0, 2))]
            scene.step(*[row for row in rows if rng.random() < 0.8])
        scene.interrupt("source_ended")
        return scene.records

    assert records() == records()


def test_a_model_that_confuses_truck_and_car_makes_one_event_of_the_likelier() -> None:
    scene = Scene(events={"position_interval_s": 0})
    for number, x in enumerate(linear(100, 500, 60)):
        scene.step(car(x, kind=TRUCK if number % 3 == 0 else CAR))
    scene.steps(5)
    assert scene.phases()[0] == "new"
    assert len(scene.of("new")) == 1
    assert scene.of("end")[0].label == "car"


def test_two_boxes_of_one_truck_are_one_object() -> None:
    scene = Scene()
    for x in linear(100, 500, 60):
        result = scene.step(car(x, score=0.6), car(x + 4, score=0.7, kind=TRUCK))
        assert sorted(result.detections.track_id.tolist()) == [0, 1]
    assert len(scene.of("new")) == 1


def test_the_best_view_is_whole_large_and_certain() -> None:
    scene = Scene()
    rng = np.random.default_rng(3)
    scene._image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    ways = [(x, 0.95 if number == 20 else 0.8) for number, x in enumerate(linear(15, 415, 41))]
    viewed = [scene.step(person(x, score=score)).views for x, score in ways]
    scene.interrupt("shutdown")
    (end,) = scene.of("end")
    assert end.best.sequence == 20
    assert end.best.score == pytest.approx(0.95)
    assert end.best.box_px == (195, 200, 235, 300)
    assert end.best.time == START + timedelta(seconds=2)
    (view,) = viewed[20]
    assert view.event_id == end.id
    assert view.box_px == end.best.box_px
    assert not any(viewed[:2])  # before the event
    assert not any(viewed[21:])


def test_frames_of_another_size_are_another_scene() -> None:
    scene = Scene()
    scene.steps(2, person(300))
    scene._image = np.zeros((240, 320, 3), np.uint8)
    scene.steps(2, person(150, 150))
    assert [(r.phase, r.reason) for r in scene.records if r.phase != "update"] == [
        ("new", None),
        ("end", "source_lost"),
        ("new", None),
    ]


rows = st.lists(
    st.tuples(
        st.sampled_from(list(LABELS)),
        st.floats(0, WIDTH),
        st.floats(0, HEIGHT),
        st.floats(0, 300),
        st.floats(0, 300),
        st.floats(0.35, 1),
    ),
    max_size=5,
)


@unhurried
@given(
    st.lists(
        st.tuples(rows, st.booleans(), st.sampled_from([0.0, 0.04, 0.5, 30.0]), st.booleans()),
        max_size=25,
    )
)
def test_whatever_is_detected_every_event_begins_once_and_ends_once(frames: list[Any]) -> None:
    scene = Scene(
        zones={"door": {"polygon": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], "loiter_s": 1}},
        lines={"gate": {"points": [[0.3, 0], [0.3, 1]]}},
        events={"update_interval_s": 0.1, "min_hits": 1, "window": 2, "cooldown_s": 1},
    )
    for found, inferred, dt_s, lost in frames:
        result = scene.step(*(found if inferred else []), inferred=inferred, dt_s=dt_s)
        given_ids = [] if not inferred else result.detections.track_id.tolist()
        assert len({i for i in given_ids if i}) == sum(i > 0 for i in given_ids)
        if lost:
            scene.interrupt("source_lost")
    scene.interrupt("shutdown")
    for event_id in {record.id for record in scene.records}:
        phases = scene.phases(event_id)
        assert phases == ["new", *["update"] * (len(phases) - 2), "end"]
        revisions = [record.revision for record in scene.records if record.id == event_id]
        assert revisions == list(range(len(phases)))
    for record in scene.records:
        assert msgspec.json.decode(encode(record), type=Record) == record
    counts = scene.stage.counts
    assert counts.started == counts.ended == len(scene.of("new"))
