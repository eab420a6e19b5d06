"""Broker and daemon are killed while events flow: nothing is lost, the order stays."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import EVENTS, PREFIX, Broker, Program, Reader

Feed = Callable[..., Program]
SettingsFile = Callable[..., Path]


def keys(reader: Reader) -> Counter[tuple[str, int]]:
    return Counter((each["id"], each["revision"]) for each in reader.events())


def queue_files(path: Path) -> list[Path]:
    return list((path.parent / "state").glob("mqtt-*.queue*"))


def test_a_healthy_broker_costs_no_writes(
    broker: Broker, reader: Reader, settings: SettingsFile, feed: Feed
) -> None:
    path = settings(broker)
    feeder = feed(path, 0, 200)
    feeder.waits_for(lambda: len(reader.events()) == 200)
    assert reader.numbers() == list(range(200))
    assert not queue_files(path)
    feeder.end()
    assert not queue_files(path)


@pytest.mark.parametrize(("qos", "version"), [(1, "5"), (2, "5"), (1, "3.1.1")])
def test_a_broker_that_is_killed_again_and_again(
    broker: Broker, reader: Reader, settings: SettingsFile, feed: Feed, qos: int, version: str
) -> None:
    path = settings(broker, qos=qos, version=version)
    feeder = feed(path, 0, 600, 0.01)
    feeder.waits_for(lambda: keys(reader))
    for _ in range(4):
        time.sleep(0.7)
        broker.stop()
        time.sleep(0.8)
        broker.start()
        # What the broker keeps for a reader that is not there goes with it.
        feeder.waits_for(reader.client.is_connected)
    feeder.waits_for(lambda: len(keys(reader)) == 600)
    assert reader.numbers() == list(range(600))
    feeder.waits_for(lambda: not queue_files(path))
    states = [record["state"] for record in feeder.status()]
    assert states[0] == "live"
    assert states[-1] == "live"
    assert states.count("failed") >= 4
    assert all(record["lost"] == 0 for record in feeder.status())
    twice = sum(keys(reader).values()) - 600
    print(f"MEASURED broker killed 4 times, QoS {qos}, MQTT {version}: {twice} of 600 sent twice")


def test_a_daemon_that_is_killed_while_the_broker_is_away(
    broker: Broker, reader: Reader, settings: SettingsFile, feed: Feed
) -> None:
    path = settings(broker)
    feeder = feed(path, 0, 100)
    feeder.waits_for(lambda: len(keys(reader)) >= 20)
    broker.stop()
    feeder.waits_for(lambda: feeder.said("done"))
    time.sleep(0.1)
    feeder.kill()
    second = feed(path, 100, 50)
    second.waits_for(lambda: second.said("done"))
    time.sleep(0.1)
    second.kill()
    broker.start()
    third = feed(path, 150, 50)
    third.waits_for(lambda: len(keys(reader)) == 200)
    assert reader.numbers() == list(range(200))
    third.waits_for(lambda: not queue_files(path))
    print(f"MEASURED daemon killed twice: {sum(keys(reader).values()) - 200} of 200 sent twice")


def test_a_stop_while_the_broker_is_away_keeps_the_events(
    broker: Broker, reader: Reader, settings: SettingsFile, feed: Feed
) -> None:
    path = settings(broker)
    broker.stop()
    feeder = feed(path, 0, 30, 0)
    feeder.waits_for(lambda: feeder.said("done"))
    started = time.monotonic()
    feeder.end()
    assert time.monotonic() - started < 5
    broker.start()
    again = feed(path, 30, 1)
    again.waits_for(lambda: len(keys(reader)) == 31)
    assert reader.numbers() == list(range(31))


def test_a_broker_that_freezes(
    broker: Broker, reader: Reader, settings: SettingsFile, feed: Feed
) -> None:
    path = settings(broker)
    feeder = feed(path, 0, 100, 0.01)
    feeder.waits_for(lambda: len(keys(reader)) >= 20)
    broker.send(signal.SIGSTOP)
    feeder.waits_for(lambda: feeder.said("done"))
    feeder.waits_for(lambda: queue_files(path))
    time.sleep(3)
    feeder.kill()
    broker.send(signal.SIGCONT)
    again = feed(path, 100, 20)
    again.waits_for(lambda: len(keys(reader)) == 120)
    assert reader.numbers() == list(range(120))


def test_a_queue_that_is_full_gives_up_the_oldest_and_says_how_many(
    broker: Broker, reader: Reader, settings: SettingsFile, feed: Feed
) -> None:
    path = settings(broker, queue_mb=1)
    broker.stop()
    count = 3000
    feeder = feed(path, 0, count, 0.001)
    feeder.waits_for(lambda: feeder.said("done"))
    size = sum(file.stat().st_size for file in queue_files(path))
    assert size < 2.5 * 1024 * 1024
    broker.start()
    feeder.waits_for(lambda: reader.numbers()[-1:] == [count - 1])
    feeder.waits_for(lambda: feeder.status()[-1]["state"] == "live")
    lost = feeder.status()[-1]["lost"]
    assert lost > 0
    assert reader.numbers() == list(range(lost, count))
    feeder.waits_for(lambda: not queue_files(path))
    print(f"MEASURED queue of 1 MiB: {count - lost} of {count} events kept, {size} bytes on disk")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_is_told_and_memory_holds_the_events(
    broker: Broker, reader: Reader, settings: SettingsFile, feed: Feed, small_disk: Path
) -> None:
    path = settings(broker, queue=str(small_disk))
    broker.stop()
    feeder = feed(path, 0, 500, 0.001)
    feeder.waits_for(lambda: feeder.said("done"))
    feeder.waits_for(lambda: any("full" in each["reason"] for each in feeder.status()))
    broker.start()
    feeder.waits_for(lambda: len(keys(reader)) == 500)
    assert reader.numbers() == list(range(500))
    feeder.waits_for(lambda: not list(small_disk.glob("*.queue*")))
    assert feeder.status()[-1]["lost"] == 0


def test_a_queue_that_is_damaged_is_put_aside(
    broker: Broker, reader: Reader, settings: SettingsFile, feed: Feed
) -> None:
    path = settings(broker)
    state = path.parent / "state"
    state.mkdir()
    queue = state / "mqtt-pi-detector-camera.queue"
    queue.write_bytes(b"no database at all " * 1000)
    feeder = feed(path, 0, 10)
    feeder.waits_for(lambda: len(keys(reader)) == 10)
    feeder.end()
    assert [file.name for file in state.glob("*.queue*")] == [f"{queue.name}.damaged"]


def test_a_broker_that_refuses_a_topic_keeps_nothing_from_arriving_later(
    make_broker: Callable[..., Broker], tmp_path: Path, settings: SettingsFile, feed: Feed
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic read #\ntopic write {PREFIX}/status\ntopic write {PREFIX}/state/#\n")
    rules.chmod(0o600)
    broker = make_broker("allow_anonymous true", f"acl_file {rules}")
    reader = Reader(broker)
    feeder = feed(settings(broker), 0, 20)
    feeder.waits_for(
        lambda: any(
            EVENTS in each["reason"] and "uthori" in each["reason"]
            for each in feeder.status()
            if each["state"] == "failed"
        )
    )
    assert any(each["state"] == "refused" for each in feeder.status())
    rules.write_text("topic readwrite #\n")
    broker.send(signal.SIGHUP)
    feeder.waits_for(lambda: len(keys(reader)) == 20)
    assert reader.numbers() == list(range(20))
    reader.close()
