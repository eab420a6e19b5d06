"""Queues of services that no rule has any more go, once nothing in them could be sent."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from failing import free_port
from notified import Hook, a_hook
from notifying import Notifier, numbers
from waiting import until

from pi_detector.config.settings import Settings
from pi_detector.sinks.registry import make_notify_sink

HOUR_S = 3600.0


def left_behind(folder: Path, age_s: float) -> Path:
    """The queue of a service that is away, with two messages, that old."""
    notifier = Notifier(folder, urls=[f"http://127.0.0.1:{free_port()}/"])
    notifier.send(1, 2)
    until(lambda: "failed" in notifier.states())
    notifier.sink.close()
    (path,) = folder.glob("*.queue")
    for file in folder.iterdir():
        os.utime(file, (time.time() - age_s, time.time() - age_s))
    return path


@pytest.mark.parametrize(
    ("age_s", "expire_s", "stays"),
    [(1.9 * HOUR_S, 2 * HOUR_S, True), (2.1 * HOUR_S, 2 * HOUR_S, False)],
)
def test_a_changed_url_leaves_nothing_for_good(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    age_s: float,
    expire_s: float,
    stays: bool,
) -> None:
    caplog.set_level(logging.WARNING)
    path = left_behind(tmp_path, age_s)
    with a_hook() as hook:
        again = Notifier(tmp_path, urls=[hook.url], expire_s=expire_s)
        again.send(3)
        until(lambda: hook.taken)
        again.sink.close()
        assert numbers(hook) == [3]
    assert path.exists() == stays
    assert ("2 expired messages for a service that no rule has any more" in caplog.text) != stays
    assert bool(list(tmp_path.iterdir())) == stays


def test_a_service_that_runs_for_ever_looks_again(tmp_path: Path) -> None:
    with a_hook() as hook:
        path = left_behind(tmp_path, 0)
        again = Notifier(tmp_path, urls=[hook.url])
        os.utime(path, (1, 1))
        again.send(1)
        assert path.exists()
        again.sink._tidied_s -= HOUR_S
        again.send(2)
        assert not path.exists()
        again.sink.close()


def test_the_queue_of_another_process_stays(tmp_path: Path) -> None:
    with a_hook() as hook:
        hook.answers = [500] * 1000
        busy = Notifier(tmp_path, urls=[hook.url])
        busy.send(1)
        until(lambda: hook.asked)
        (path,) = tmp_path.glob("*.queue")
        for file in tmp_path.iterdir():
            os.utime(file, (1, 1))
        other = Notifier(tmp_path, urls=[f"{hook.url}/other"])
        assert path.exists()
        other.sink.close()
        hook.answers = []
        until(lambda: hook.taken)
        busy.sink.close()


def test_without_a_rule_they_go_after_a_week(tmp_path: Path) -> None:
    path = left_behind(tmp_path, 2 * HOUR_S)
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    assert make_notify_sink(Settings(), environ, print) is None
    assert path.exists()
    os.utime(path, (1, 1))
    assert make_notify_sink(Settings(), environ, print) is None
    assert not path.exists()


def test_what_no_rule_reads_is_no_reason_to_fail(hook: Hook, tmp_path: Path) -> None:
    folder = tmp_path / "none" / "yet"
    notifier = Notifier(folder, urls=[hook.url])
    notifier.send(1)
    until(lambda: hook.taken)
    notifier.sink.close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with a_hook() as one:
        yield one
