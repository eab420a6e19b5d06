"""Sinks that begin in the middle of a run know what holds, and miss nothing that comes."""

from __future__ import annotations

import threading
import time

import msgspec
from doubles import CountingSource, ListSink, SleepingDetector
from staged import Scene, person

from pi_detector.core.current import CurrentState
from pi_detector.core.records import EventRecord, Publication, status_record
from pi_detector.pipeline.pipeline import Pipeline
from pi_detector.sinks.web.sink import WebSink


def records() -> list[EventRecord]:
    """A person that crosses a line, and stays."""
    scene = Scene(lines={"gate": {"points": [[0.5, 0], [0.5, 1]]}})
    scene.walk(3, 100, 500)
    scene.steps(2, person(500))
    return scene.records


def test_what_holds_is_what_was_published_last() -> None:
    now = CurrentState()
    began = records()
    for record in began:
        now.note(record)
    now.note(status_record("sink", "log", "failed", reason="full"))
    now.note(status_record("model", "one", "live"))
    before = now.copy()
    now.note(msgspec.structs.replace(began[-1], phase="end"))
    now.note(status_record("sink", "log", "stopped"))
    now.note(status_record("model", "two", "live"))
    now.note(status_record("model", "one", "live"))
    assert list(before.events.values()) == [began[-1]]
    assert list(before.statuses) == [("sink", "log"), ("model", "one")]
    assert now.events == {}
    assert list(now.statuses) == [("model", "two"), ("model", "one")]
    assert sum(now.lines["gate"].values()) == 1


class Ledger(ListSink):
    """Adds up what it is given at first and what comes."""

    name = "ledger"

    def __init__(self) -> None:
        super().__init__()
        self.at_first = CurrentState()
        self.items: list[Publication] = []

    def catch_up(self, now: CurrentState) -> None:
        assert not self.items
        self.at_first = now

    def handle(self, item: Publication) -> None:
        self.items.append(item)


def test_sinks_that_follow_each_other_are_given_each_event_once() -> None:
    (first, *_) = records()
    ledgers = [Ledger() for _ in range(8)]
    stop = threading.Event()
    source = CountingSource(live=True, interval_s=0.002)
    pipeline = Pipeline(source, SleepingDetector(), [ledgers[0]])
    runner = threading.Thread(target=pipeline.run, args=[stop])
    runner.start()
    count = 900  # a queue never drops so few events

    def publish() -> None:
        for number in range(count):
            pipeline.publish(msgspec.structs.replace(first, id=str(number)))
            time.sleep(0.0002)

    publisher = threading.Thread(target=publish)
    publisher.start()
    for ledger in ledgers[1:]:
        time.sleep(0.02)
        pipeline.replace_sinks([ledger])
    publisher.join()
    stop.set()
    runner.join()
    assert ledgers[0].at_first.events == {}
    published: list[int] = []
    for ledger in ledgers:
        assert list(ledger.at_first.events) == [str(number) for number in published]
        published += [int(item.id) for item in ledger.items if isinstance(item, EventRecord)]
    assert published == list(range(count))


def test_a_page_that_a_reload_switches_on_shows_who_is_there() -> None:
    now = CurrentState()
    for record in records():
        now.note(record)
    now.note(status_record("model", "street", "live"))
    settings = Scene(web={"enabled": True}).settings
    page = WebSink(
        settings,
        labels=[],
        recordings=None,
        drawn=None,
        command=lambda _: None,
        healthy=lambda: True,
        check=None,
    )
    page.catch_up(now)
    shown = page._watch.overview(name="", viewers=0, max_viewers=1, places="", login=False)
    assert shown.model == "street"
    assert page._run.since(0)[1] == list(now.events.values())
