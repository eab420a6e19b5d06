"""Messages reach their service once, whatever that does; what is too old is counted."""

from __future__ import annotations

import json
import logging
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from notified import BOX_PX, Hook, a_hook, event, now, picture_of, view_of
from notifying import Notifier, numbers
from waiting import until

from pi_detector.sinks.notify import message as message_module
from pi_detector.sinks.notify.webhook import signature


@pytest.fixture
def hook() -> Iterator[Hook]:
    with a_hook() as one:
        yield one


def test_a_message_says_what_where_and_shows_it(hook: Hook, tmp_path: Path) -> None:
    notifier = Notifier(tmp_path, urls=[hook.url], image="frame")
    notifier.send(7, zones=("door",))
    message = until(lambda: hook.taken)[0]
    notifier.sink.close()
    assert message["title"] == "Person appeared in door"
    assert message["link"] == "http://pi:8080/events/20261124T120000Z-abcd-7"
    assert message["link"] in message["body"]
    assert (message["type"], message["version"], message["rule"], message["when"]) == (
        "notification",
        1,
        "phone",
        "new",
    )
    assert message["events"][0]["label"] == "person"
    picture = picture_of(message)
    assert picture.shape == (240, 320, 3)
    assert np.ptp(picture[130, :]) > 100  # the box is drawn


def test_a_crop_is_around_the_object_and_may_be_plain(hook: Hook, tmp_path: Path) -> None:
    notifier = Notifier(tmp_path, urls=[hook.url], image="crop", annotated=False)
    notifier.send(7)
    picture = picture_of(until(lambda: hook.taken)[0])
    notifier.sink.close()
    x1, y1, x2, y2 = BOX_PX
    assert x2 - x1 < picture.shape[1] < 320
    assert y2 - y1 < picture.shape[0] <= 240
    assert np.ptp(picture) < 10


def test_the_best_view_of_the_whole_visit_is_sent_at_its_end(hook: Hook, tmp_path: Path) -> None:
    notifier = Notifier(tmp_path, urls=[hook.url], when=["end"], annotated=False)
    notifier.send(1)
    notifier.sink.handle(view_of(1, 200))
    notifier.send(2)
    notifier.sink.handle(event(1, now=now(), phase="end", revision=1))
    message = until(lambda: hook.taken)[0]
    notifier.sink.close()
    assert picture_of(message).mean() == pytest.approx(200, abs=3)
    assert message["title"] == "Person left after 4 s"


def test_a_group_is_one_message(hook: Hook, tmp_path: Path) -> None:
    notifier = Notifier(tmp_path, urls=[hook.url], group_s=0.4)
    notifier.send(1, 2)
    notifier.send(3, label="car")
    until(lambda: hook.taken)
    notifier.send(4)
    notifier.sink.close()  # which does not wait for the group: nobody can join it any more
    assert [message["title"] for message in hook.taken] == [
        "Person ×2, car appeared",
        "Person appeared",
    ]
    assert numbers(hook) == [1, 2, 3, 4]
    assert len(set(hook.ids)) == 2


def test_requests_are_signed_and_say_who_they_are(hook: Hook, tmp_path: Path) -> None:
    url = hook.url.replace("//", "//me:p%40ss@")
    notifier = Notifier(tmp_path, urls=[url], secret="a secret of the rule")
    notifier.send(1)
    until(lambda: hook.taken)
    notifier.sink.close()
    headers, body = hook.asked[0]
    stamp = headers["X-Pi-Detector-Timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    expected = signature("a secret of the rule", stamp, body)
    assert headers["X-Pi-Detector-Signature"] == f"sha256={expected}"
    assert headers["Idempotency-Key"] == json.loads(body)["id"]
    assert headers["Authorization"] == "Basic bWU6cEBzcw=="


@pytest.mark.parametrize(
    "answers",
    [["slow"] * 10, [500] * 4, [429] * 3, ["drop"] * 3, ["hang"] * 2, [503, "hang", 429, "drop"]],
)
def test_200_events_at_a_server_that_fails_are_each_sent_once(
    hook: Hook, tmp_path: Path, answers: list[Any]
) -> None:
    hook.answers = list(answers)
    notifier = Notifier(tmp_path, urls=[hook.url], timeout_s=1, image="crop")
    for number in range(1, 201):
        notifier.send(number)
        if number % 50 == 0:
            hook.answers += answers
    until(lambda: len(hook.taken) >= 200)
    notifier.sink.close()
    assert numbers(hook) == list(range(1, 201))
    assert len(set(hook.ids)) == 200
    if answers[0] != "slow":
        assert notifier.states()[0] == "failed"
        assert notifier.states()[-1] == "live"
    assert not list(tmp_path.iterdir())


def test_200_events_while_the_server_is_away_wait_on_disk(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    notifier = Notifier(tmp_path, urls=[f"http://127.0.0.1:{port}/"])
    for number in range(1, 101):
        notifier.send(number)
    until(lambda: "failed" in notifier.states())
    notifier.sink.close()
    assert len([each for each in tmp_path.iterdir() if each.suffix == ".queue"]) == 1

    again = Notifier(tmp_path, urls=[f"http://127.0.0.1:{port}/"])
    for number in range(101, 201):
        again.send(number)
    with a_hook(port) as hook:
        until(lambda: len(hook.taken) >= 200)
        again.sink.close()
        assert numbers(hook) == list(range(1, 201))
    assert not list(tmp_path.iterdir())


def test_what_is_too_old_is_not_sent_but_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with a_hook() as hook:
        hook.answers = [500] * 1000
        notifier = Notifier(tmp_path, urls=[hook.url], expire_s=1, image="none")
        notifier.send(1, 2, 3, 4)
        until(lambda: notifier.delivery.expired == 4)
        hook.answers = []
        notifier.send(5)
        until(lambda: hook.taken)
        notifier.sink.close()
        assert numbers(hook) == [5]
    told = [each for each in notifier.reports if "expired" in (each.reason or "")]
    assert sum(each.lost for each in told) == 4
    assert "message" in told[0].reason  # type: ignore[operator]
    assert "expired" in caplog.text


def test_what_becomes_too_old_while_others_are_sent_is_counted_as_well(
    hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pi_detector.sinks.notify.delivery._MINUTE_S", 3.0)
    notifier = Notifier(tmp_path, urls=[hook.url], expire_s=2, max_per_minute=1, image="none")
    notifier.send(1, 2, 3, 4)
    until(lambda: notifier.delivery.expired == 3)
    notifier.send(5)
    until(lambda: len(hook.taken) == 2)
    notifier.sink.close()
    assert numbers(hook) == [1, 5]
    assert sum(each.lost for each in notifier.reports) == 3
    assert not list(tmp_path.iterdir())


def test_the_age_is_that_of_the_wall_clock_after_a_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Monotonic clocks of two boots have nothing to do with each other."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    notifier = Notifier(tmp_path, urls=[url], expire_s=60)
    notifier.send(1)
    notifier.sink.close()
    monkeypatch.setattr(message_module, "boot_id", lambda: "another")
    monkeypatch.setattr(message_module.time, "monotonic_ns", lambda: 5)
    with a_hook(port) as hook:
        again = Notifier(tmp_path, urls=[url], expire_s=60)
        until(lambda: hook.taken)
        again.sink.close()
        assert numbers(hook) == [1]


def test_what_a_server_never_takes_does_not_hold_up_the_rest(hook: Hook, tmp_path: Path) -> None:
    hook.answers = [413]
    notifier = Notifier(tmp_path, urls=[hook.url])
    notifier.send(1, 2)
    until(lambda: hook.taken)
    notifier.sink.close()
    assert numbers(hook) == [2]
    assert notifier.delivery.refused == 1
    assert next((each.state, each.reason) for each in notifier.reports) == (
        "refused",
        "HTTP 413 Request Entity Too Large"
        if sys.version_info < (3, 13)
        else "HTTP 413 Content Too Large",
    )


def test_a_service_that_hangs_holds_up_neither_the_sink_nor_the_others(
    hook: Hook, tmp_path: Path
) -> None:
    with a_hook() as other:
        hook.answers = ["hang"] * 100
        notifier = Notifier(tmp_path, urls=[hook.url, other.url], timeout_s=30)
        begun_s = time.monotonic()
        notifier.send(*range(1, 21))
        assert time.monotonic() - begun_s < 5
        until(lambda: len(other.taken) == 20)
        notifier.sink.close()
        assert time.monotonic() - begun_s < 15
        assert numbers(other) == list(range(1, 21))
    assert not hook.taken
    assert len(list(tmp_path.glob("*.queue"))) == 1


def test_at_most_so_many_per_minute(
    hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pi_detector.sinks.notify.delivery._MINUTE_S", 0.6)
    notifier = Notifier(tmp_path, urls=[hook.url], max_per_minute=3, image="none")
    begun_s = time.monotonic()
    notifier.send(*range(1, 8))
    until(lambda: len(hook.taken) == 7)
    assert time.monotonic() - begun_s >= 1.2
    notifier.sink.close()


def test_a_reload_hands_the_queue_over(hook: Hook, tmp_path: Path) -> None:
    hook.answers = [500] * 4
    old = Notifier(tmp_path, urls=[hook.url])
    old.send(1, 2)
    new = Notifier(tmp_path, urls=[hook.url], cooldown_s=5)
    new.send(3)
    old.sink.close()
    until(lambda: len(hook.taken) == 3)
    new.sink.close()
    assert sorted(numbers(hook)) == [1, 2, 3]
    assert len(set(hook.ids)) == 3


def test_a_queue_that_another_version_wrote_is_no_obstacle(hook: Hook, tmp_path: Path) -> None:
    hook.answers = [500] * 1000
    old = Notifier(tmp_path, urls=[hook.url])
    old.delivery._queue.add(msgspec.msgpack.encode({"of": "another version"}))
    old.delivery._queue.add(b"\xc1 damaged")
    old.send(1)
    old.sink.close()
    hook.answers = []
    new = Notifier(tmp_path, urls=[hook.url])
    until(lambda: hook.taken)
    new.sink.close()
    assert numbers(hook) == [1]


def test_a_disk_that_takes_nothing_costs_no_message(hook: Hook, tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    notifier = Notifier(folder, urls=[hook.url])
    notifier.send(1, 2, 3)
    until(lambda: len(hook.taken) == 3)
    notifier.sink.close()
    assert numbers(hook) == [1, 2, 3]
    assert "limited" in notifier.states()


def test_a_notifier_that_is_idle_sleeps(hook: Hook, tmp_path: Path) -> None:
    notifier = Notifier(tmp_path, urls=[hook.url])
    notifier.send(1)
    until(lambda: hook.taken)
    thread = notifier.delivery._worker._thread
    until(lambda: not notifier.delivery._new.is_set())
    stat = Path(f"/proc/self/task/{thread.native_id}/stat")

    def ticks_and_switches() -> tuple[str, ...]:
        status = stat.with_name("status").read_text().splitlines()
        return tuple(line for line in status if "ctxt_switches" in line)

    time.sleep(0.2)
    before = ticks_and_switches()
    time.sleep(1)
    assert ticks_and_switches() == before
    notifier.sink.close()


def test_an_event_that_was_queued_twice_is_in_the_message_once(hook: Hook, tmp_path: Path) -> None:
    hook.answers = [500]
    notifier = Notifier(tmp_path, urls=[hook.url])
    same = event(1, now=now())
    for _ in range(2):
        notifier.sink._ways[0].rule._events.clear()
        notifier.sink.handle(same)
    until(lambda: hook.taken)
    notifier.sink.close()
    assert {tuple(each["id"] for each in message["events"]) for message in hook.taken} == {
        (same.id,)
    }
    assert len(set(hook.ids)) == 1
