"""A sink of messages with one rule, and what a server got of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from notified import HEIGHT, WIDTH, Hook, a_rule, event, now, view_of

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.current import CurrentState
from pi_detector.core.records import StatusRecord
from pi_detector.sinks.files import jpeg_of
from pi_detector.sinks.notify.message import Message, Note, boot_id, message_of
from pi_detector.sinks.notify.sink import NotifySink

FAST = RecoverySettings(first_delay_s=0.02, longest_delay_s=0.1)


class Notifier:
    """A sink with one rule."""

    def __init__(self, folder: Path, **rule: Any) -> None:
        self.reports: list[StatusRecord] = []
        self.sink = NotifySink(
            {"phone": a_rule(**{"max_per_minute": 6000, **rule})},
            FAST,
            folder,
            page="http://pi:8080/",
            report=self.reports.append,
        )
        self.sink.start()
        self.sink.catch_up(CurrentState())

    @property
    def delivery(self) -> Any:
        return self.sink._ways[0].deliveries[0]

    def send(self, *numbers: int, **event_settings: Any) -> None:
        for number in numbers:
            self.sink.handle(view_of(number, number % 200))
            self.sink.handle(event(number, now=now(), **event_settings))

    def states(self) -> list[str]:
        return [each.state for each in list(self.reports)]


def numbers(hook: Hook) -> list[int]:
    """Numbers of the events of all messages that were taken."""
    return [int(e["id"].rpartition("-")[2]) for message in hook.taken for e in message["events"]]


def a_message() -> Message:
    """A message about a visitor who appeared just now, with a grey picture."""
    wall, now_ns = now()
    picture = jpeg_of(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "test")
    note = Note(
        when="new",
        event=event(1, now=(wall, now_ns)),
        change=None,
        group="g",
        due_ns=0,
        queued_ns=now_ns,
        queued_at=wall,
        boot=boot_id(),
        image=picture,
    )
    return message_of([note], "phone", a_rule(), "http://pi:8080")
