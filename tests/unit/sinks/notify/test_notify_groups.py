"""Groups of events become one message each, also where several are collected at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from notified import Hook, a_hook, a_rule, event, now
from notifying import Notifier, numbers
from waiting import until

from pi_detector.core.records import EventRecord
from pi_detector.sinks.notify import delivery as delivery_module
from pi_detector.sinks.notify.message import Message, Note, boot_id, message_of
from pi_detector.sinks.notify.rules import Rule


@pytest.fixture
def hook() -> Iterator[Hook]:
    with a_hook() as one:
        yield one


def notes_of(rule: dict[str, Any], *records: EventRecord) -> list[Note]:
    """What a rule queues about records."""
    judge = Rule("phone", a_rule(**rule))
    wall, now_ns = now()
    return [
        Note(
            when=each.when,
            event=each.event,
            change=each.change,
            group=each.group,
            due_ns=each.due_ns,
            queued_ns=now_ns,
            queued_at=wall,
            boot=boot_id(),
            image=None,
        )
        for record in records
        for each in judge.occasions(record)
    ]


def messages_of(rule: dict[str, Any], *records: EventRecord) -> list[Message]:
    """What becomes of the records, group by group."""
    groups: dict[str, list[Note]] = {}
    for note in notes_of(rule, *records):
        groups.setdefault(note.group, []).append(note)
    return [message_of(notes, "phone", a_rule(**rule), "") for notes in groups.values()]


def test_groups_of_two_kinds_that_grow_in_turn_are_one_message_each(tmp_path: Path) -> None:
    with a_hook() as hook:
        notifier = Notifier(tmp_path, urls=[hook.url], group_s=1, when=["new", "end"])
        for number in (1, 2, 3):  # appeared, left, appeared, left ...
            notifier.send(number)
            notifier.sink.handle(event(number, phase="end", revision=1, now=now()))
        until(lambda: len(hook.taken) == 2)
        notifier.send(4)
        notifier.sink.close()
    assert [message["when"] for message in hook.taken] == ["new", "end", "new"]
    assert numbers(hook) == [1, 2, 3, 1, 2, 3, 4]
    assert len(set(hook.ids)) == 3


def test_a_note_that_comes_while_the_queue_is_read_is_not_overlooked(tmp_path: Path) -> None:
    """It comes between the last look into the queue and the wait for the end of the group."""
    with a_hook() as hook:
        notifier = Notifier(tmp_path, urls=[hook.url], group_s=1)
        take, added = notifier.delivery._queue.take, threading.Event()

        def taking() -> Any:
            entry = take()
            if entry is None and notifier.delivery._ahead and not added.is_set():
                added.set()
                notifier.send(2)
            return entry

        notifier.delivery._queue.take = taking
        notifier.send(1)
        until(lambda: hook.taken)
        notifier.sink.close()
    assert numbers(hook) == [1, 2]
    assert len(hook.taken) == 1


def test_a_crowd_is_several_messages_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_MOST_TOGETHER", 4)
    monkeypatch.setattr(delivery_module, "_MOST_AHEAD", 6)
    with a_hook() as hook:
        notifier = Notifier(tmp_path, urls=[hook.url], group_s=0.5, when=["new", "end"])
        notifier.send(*range(1, 11))
        for number in range(1, 11):
            notifier.sink.handle(event(number, phase="end", revision=1, now=now()))
        until(lambda: len(numbers(hook)) == 20)
        notifier.sink.close()
    assert max(len(message["events"]) for message in hook.taken) == 4
    assert sorted(numbers(hook)) == sorted([*range(1, 11)] * 2)
    assert len(set(hook.ids)) == len(hook.taken)


def test_notes_that_wait_for_their_group_are_bounded_in_memory(tmp_path: Path) -> None:
    with a_hook() as hook:
        notifier = Notifier(tmp_path, urls=[hook.url], group_s=600)
        notifier.send(*range(1, 301))
        until(lambda: len(numbers(hook)) == 300)  # each time a hundred
        notifier.send(*range(301, 351))
        (batch,) = until(lambda: list(notifier.delivery._ahead.values()))
        until(lambda: len(batch) == 50)
        assert sum(len(entry.payload) for entry, _ in batch) == 0
        assert sum(note.image is not None for _, note in batch) == 1
        notifier.sink.close()


def test_two_lines_crossed_in_one_record_are_two_messages() -> None:
    both = event(1, phase="update", revision=3, changes=(("in", "gate"), ("out", "road")))
    messages = messages_of({"when": ["crossing"]}, both)
    assert [message.title for message in messages] == [
        "Person crossed gate (in)",
        "Person crossed road (out)",
    ]
    assert len({message.id for message in messages}) == 2
    zones = event(1, phase="update", revision=4, changes=(("loitering", "a"), ("loitering", "b")))
    messages = messages_of({"when": ["loitering"]}, zones)
    assert [message.title for message in messages] == [
        "Person loitering in a",
        "Person loitering in b",
    ]


def test_a_group_names_every_line_and_counts_each_object_once() -> None:
    rule = {"when": ["crossing"], "group_s": 60, "body": "{count}/{line}/{direction}"}
    (message,) = messages_of(
        rule,
        event(1, 0, "update", revision=3, changes=(("in", "gate"), ("in", "road"))),
        event(1, 2, "update", revision=4, changes=(("out", "gate"),)),
        event(2, 3, "update", revision=2, label="car", changes=(("out", "road"),)),
    )
    assert message.title == "Person, car crossed gate (in, out), road (in, out)"
    assert message.body == "2/gate, road/in, out"
    assert [(each.id[-1], each.revision) for each in message.events] == [
        ("1", 3),
        ("1", 4),
        ("2", 2),
    ]


def test_a_crossing_counts_in_the_zones_of_the_rule_alone() -> None:
    rule = {"when": ["crossing"], "zones": ["door"]}
    crossing = {"phase": "update", "revision": 1, "changes": (("in", "gate"),)}
    assert not messages_of(rule, event(1, **crossing))
    assert not messages_of(rule, event(1, zones=("street",), **crossing))
    assert len(messages_of(rule, event(1, zones=("door",), **crossing))) == 1
    assert len(messages_of(rule, event(1, entered=("door",), **crossing))) == 1


def test_a_service_that_hangs_over_two_reloads_loses_nothing(hook: Hook, tmp_path: Path) -> None:
    """The second delivery never has its turn, and what it was given waits for the third."""
    hook.answers = ["hang"]
    urls = [hook.url]
    first = Notifier(tmp_path, urls=urls, timeout_s=30)
    first.send(1)
    until(lambda: hook.asked)
    second = Notifier(tmp_path, urls=urls, timeout_s=30, cooldown_s=1)
    first.sink.close()
    second.send(2)
    third = Notifier(tmp_path, urls=urls, timeout_s=30, cooldown_s=2)
    second.sink.close()
    third.send(3)
    hook.released.set()  # the first fails, and its message is for the third
    until(lambda: len(hook.taken) == 3)
    third.sink.close()
    assert numbers(hook) == [1, 2, 3]
    assert not list(tmp_path.iterdir())


def test_a_service_that_hangs_until_the_end_leaves_all_on_disk(hook: Hook, tmp_path: Path) -> None:
    hook.answers = ["hang"]
    for number in (1, 2, 3):
        notifier = Notifier(tmp_path, urls=[hook.url], timeout_s=30, cooldown_s=number)
        notifier.send(number)
        until(lambda: hook.asked)
        notifier.sink.close()
    assert notifier.delivery._queue._store.count == 3
