"""A command's short connection to the broker ends, whatever the broker sends."""

from __future__ import annotations

import threading
import time

import msgspec
from fake_broker import FakeBroker, wait_for

from pi_detector.config.outputs import MqttSettings
from pi_detector.sinks.mqtt.topics import Topics
from pi_detector.sinks.mqtt.visit import Visit


def test_a_busy_detector_does_not_keep_a_command_waiting() -> None:
    broker = FakeBroker("5")
    mqtt = msgspec.convert(
        {"host": "127.0.0.1", "port": broker.port, "name": "busy", "version": "5"}, MqttSettings
    )
    heard: list[str] = []
    visit = Visit(mqtt, Topics.of(mqtt), "test", lambda topic, _, __: heard.append(topic))
    visit.connect()
    visit.link.subscribe("pi-detector/busy/#")
    wait_for(lambda: broker.filters)
    over = threading.Event()

    def publish() -> None:
        while not over.wait(0.1):
            broker.send(b"pi-detector/busy/detections", b"{}")

    busy = threading.Thread(target=publish)
    busy.start()
    waiting = threading.Thread(target=visit.wait_for_quiet, daemon=True)
    begun_s = time.monotonic()
    waiting.start()
    waiting.join(20)
    waited_s = time.monotonic() - begun_s
    over.set()
    busy.join()
    assert not waiting.is_alive()
    assert 4 < waited_s < 20
    assert len(heard) > 5
    visit.close()
    broker.close()
