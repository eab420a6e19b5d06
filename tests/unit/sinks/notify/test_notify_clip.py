"""The message of an event's end has its clip, once that is finished."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from notified import Hook, a_hook, a_rule, event, now
from notifying import FAST, a_message, numbers
from waiting import until

from pi_detector.core.records import EventRecord
from pi_detector.sinks.notify import clips as clips_module
from pi_detector.sinks.notify.by_apprise import ByApprise
from pi_detector.sinks.notify.sink import NotifySink
from pi_detector.sinks.recordings.layout import Entry, Media, day_folder, write_sidecar

CLIP = b"not really an MP4" * 1000


@pytest.fixture
def hook() -> Iterator[Hook]:
    with a_hook() as one:
        yield one


class Recorded:
    """A sink whose rule wants clips, and the folder in which they are recorded."""

    def __init__(self, folder: Path, hook: Hook, **rule: Any) -> None:
        self.folder = folder / "recordings"
        settings = {"urls": [hook.url], "when": ["new", "end"], "clip": True, "image": "none"}
        self.sink = NotifySink(
            {"phone": a_rule(**{**settings, **rule})},
            FAST,
            folder / "state",
            page="",
            report=lambda _: None,
            recordings=self.folder,
        )
        self.sink.start()

    def record(self, of: EventRecord, *, complete: bool, clip: bytes = CLIP) -> None:
        path = f"{day_folder(of.started)}/{of.id}"
        media = Media(f"{path}.mp4", "clip", of.started, 4.0 if complete else None)
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / media.path).write_bytes(clip)
        entry = Entry(event=of, number=1, path=path, files=(media,), complete=complete)
        write_sidecar(self.folder, entry, durable=False)

    def visit(self, number: int) -> EventRecord:
        """An event that began and ended."""
        self.sink.handle(event(number, now=now()))
        end = event(number, now=now(), phase="end", revision=1)
        self.sink.handle(end)
        return end


def kinds(hook: Hook) -> list[tuple[str, int]]:
    return [(message["when"], int(message["events"][0]["id"][-1])) for message in hook.taken]


def clip_of(message: dict[str, Any]) -> bytes:
    assert message["clip"]["content_type"] == "video/mp4"
    return base64.b64decode(message["clip"]["base64"])


def test_a_message_waits_for_its_clip_and_holds_up_no_other(hook: Hook, tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, hook)
    first = event(1, now=now())
    recorded.record(first, complete=False)
    end = recorded.visit(1)
    recorded.sink.handle(event(2, now=now()))
    until(lambda: kinds(hook) == [("new", 1), ("new", 2)])
    recorded.record(msgspec.structs.replace(end, started=first.started), complete=True)
    until(lambda: len(hook.taken) == 3)
    recorded.sink.close()
    assert kinds(hook)[2] == ("end", 1)
    assert clip_of(hook.taken[2]) == CLIP
    assert [message["clip"] for message in hook.taken[:2]] == [None, None]
    assert not list((tmp_path / "state").iterdir())


def test_a_message_whose_clip_is_not_finished_at_the_end_waits_for_the_next_start(
    hook: Hook, tmp_path: Path
) -> None:
    recorded = Recorded(tmp_path, hook, when=["end"])
    first = event(1, now=now())
    recorded.record(first, complete=False)
    recorded.visit(1)
    recorded.sink.close()
    assert not hook.taken
    recorded.record(first, complete=True)
    again = Recorded(tmp_path, hook, when=["end"])
    until(lambda: hook.taken)
    again.sink.close()
    assert numbers(hook) == [1]
    assert clip_of(hook.taken[0]) == CLIP


def test_a_message_without_a_clip_is_sent_at_once(hook: Hook, tmp_path: Path) -> None:
    """Nothing was recorded, or too much."""
    recorded = Recorded(tmp_path, hook, when=["end"], clip_mb=1)
    recorded.record(event(2, now=now()), complete=True, clip=bytes(1024 * 1024 + 1))
    for number in (1, 2):
        recorded.visit(number)
    until(lambda: len(hook.taken) == 2)
    recorded.sink.close()
    assert [message["clip"] for message in hook.taken] == [None, None]


def test_a_clip_that_is_never_finished_costs_no_message(
    hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips_module, "_LONGEST_WAIT_S", 1.0)
    recorded = Recorded(tmp_path, hook, when=["end"])
    recorded.record(event(1, now=now()), complete=False)
    recorded.visit(1)
    until(lambda: hook.taken)
    recorded.sink.close()
    assert numbers(hook) == [1]


def test_a_service_of_apprise_gets_picture_and_clip(hook: Hook) -> None:
    service = ByApprise(f"json://127.0.0.1:{hook.port}/")
    service.send(replace(a_message(), clip=CLIP))
    found = json.loads(hook.asked[0][1])["attachments"]
    assert [each["mimetype"] for each in found] == ["image/jpeg", "video/mp4"]
    assert base64.b64decode(found[1]["base64"]) == CLIP


def test_a_service_that_refuses_clips_gets_messages_without(hook: Hook) -> None:
    service = ByApprise(f"json://127.0.0.1:{hook.port}/")
    hook.answers = [413]
    for _ in range(2):
        service.send(replace(a_message(), clip=CLIP))
    attached = [len(json.loads(body)["attachments"]) for _, body in hook.asked]
    assert attached == [2, 1, 1]
