"""Hands events to the MQTT sink as the pipeline does, and says which.

usage: python feeder.py SETTINGS.toml FIRST COUNT INTERVAL_S

Prints ``status RECORD`` for each status record, ``event NUMBER`` after each event was handed over,
then ``done``; ends at the end of its standard input.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from pi_detector.config.load import load_settings
from pi_detector.core.records import BestView, EventRecord, FrameSize, StatusRecord, encode
from pi_detector.pipeline.sink_runner import SinkRunner
from pi_detector.sinks.registry import make_mqtt_sink
from pi_detector.sinks.supervised import SupervisedSink

PHASES = ("new", "update", "update", "end")
BOX_PX = (10.0, 20.0, 30.0, 40.0)
BOX = (0.1, 0.2, 0.3, 0.4)


def an_event(number: int) -> EventRecord:
    now = datetime.now(UTC)
    return EventRecord(
        id=f"20261125T040000Z-{number // len(PHASES):06d}",
        revision=number % len(PHASES),
        phase=PHASES[number % len(PHASES)],  # type: ignore[arg-type]
        label="person",
        class_id=1,
        track_id=1 + number // len(PHASES),
        score=0.8,
        hits=5,
        best=BestView(number, now, 0.9, BOX_PX, BOX),
        source="feeder",
        sequence=number,
        time=now,
        started=now,
        last_seen=now,
        clock_synchronized=True,
        monotonic_ns=time.monotonic_ns(),
        duration_s=1.0,
        frame=FrameSize(100, 100),
        box_px=BOX_PX,
        box=BOX,
        zones=("garden",),
    )


def say(words: str) -> None:
    """Print a line in one piece, from any thread."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main() -> None:
    path, first, count, interval_s = sys.argv[1:]
    settings = load_settings(path, {}, [])

    def report(record: StatusRecord) -> None:
        say(f"status {encode(record).decode().strip()}")
        runner.put(record)

    sink = make_mqtt_sink(
        settings,
        {},
        model="street",
        labels=["person", "car"],
        report=report,
        command=lambda command: say(f"command {command}"),
    )
    assert sink is not None
    runner = SinkRunner(SupervisedSink(sink, settings.recovery, report), lossless=True)
    runner.start()
    runner.run()
    for number in range(int(first), int(first) + int(count)):
        runner.put(an_event(number))
        say(f"event {number}")
        time.sleep(float(interval_s))
    say("done")
    sys.stdin.read()
    runner.finish(time.monotonic() + 4)
    if runner.error is not None:
        raise runner.error
    say("closed")


if __name__ == "__main__":
    main()
