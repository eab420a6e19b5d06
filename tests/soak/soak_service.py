"""The daemon as its owner runs it, for hours: does it grow, and does anything get lost?

    PYTHONPATH=tests/support python tests/soak/soak_service.py --seconds 14400 --results DIR

A network camera sends 10 frames per second; ``pi-detector run`` records events into a folder that
tidies itself, serves the page with a token, publishes to a real mosquitto, and writes a rotated log
and metrics. A viewer looks at the page for half of each minute. ``DIR/samples.jsonl`` gets a line
every five seconds, and can be read meanwhile; ``DIR/verdict.json`` comes at the end.

Fails where memory grows after the first hour (of less than two hours after the first quarter),
descriptors or threads grow, a frame is unaccounted for, an event does not reach the broker, a
limit of size is exceeded, or any part fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from camera import Camera
from draw import draw_clip
from growth import peaks, settled_after_s, trend
from page_client import free_port
from processes import family_takes
from readers import Records, Subscriber, Viewer
from real_broker import Broker, wait_for

FPS = 10.0
SAMPLE_S = 5.0
STOP_S = 60.0
LEAST_S = 120.0
TOKEN = "long-enough-for-the-page"
NAME = "soak"
MOST_GROWTH_KB = 2048
MOST_GROWTH = 4  # descriptors and threads: what comes and goes with clips and viewers
MOST_UNSEEN = 0.01  # share of the camera's frames
LIMITS_MB = {"recordings": 100, "log": 8}

SETTINGS = """\
[source]
uri = "{camera}"

[model]
threads = 1

[zones]
left = {{ polygon = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]] }}

[output]
stdout = "jsonl"
log = "{folder}/log"
log_mb = {log}
log_mb_per_day = 0
log_detections = true

[recording]
enabled = true
path = "{folder}/recordings"
max_gb = {recordings_gb}
max_kbps = 1000
longest_event_s = 60
longest_clip_s = 30
min_free_mb = 100

[web]
enabled = true
port = {page}
token = "{token}"

[mqtt]
host = "127.0.0.1"
port = {broker}
name = "{name}"
commands = true

[metrics]
textfile = "{folder}/metrics.prom"

[telemetry]
interval_s = 10
"""


class Service:
    """A daemon, all that is around it, and what was seen of it.

    Args:
        folder: for its files, and the broker's.
        video: what its camera sees.
        log: takes its log messages.
    """

    def __init__(self, folder: Path, video: Path, log: Any) -> None:
        self.folder = folder
        self.camera = Camera(video, FPS)
        (folder / "broker").mkdir()
        self.broker = Broker(folder / "broker")
        self.broker.start()
        self.subscriber = Subscriber(self.broker.port, f"pi-detector/{NAME}/events")
        page = free_port()
        settings = folder / "config.toml"
        settings.write_text(
            SETTINGS.format(
                camera=self.camera.uri, folder=folder, page=page, token=TOKEN, name=NAME,
                broker=self.broker.port, log=LIMITS_MB["log"],
                recordings_gb=LIMITS_MB["recordings"] / 1000,
            )
        )  # fmt: skip
        settings.chmod(0o600)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pi_detector", "run", "--config", settings],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "STATE_DIRECTORY": str(folder)},
        )
        self.records = Records()
        self._reader = threading.Thread(target=self.records.read, args=[self.process.stdout])
        self._reader.start()
        self.viewer = Viewer(page, TOKEN)

    def sample(self, at_s: float) -> dict[str, Any]:
        """Everything that is counted, now."""
        return {
            "at_s": round(at_s, 1),
            "load": os.getloadavg()[0],
            "processes": [asdict(each) for each in family_takes(self.process.pid)],
            "sent": self.camera.sent,
            "connections": self.camera.connections,
            "detections": self.records.detections,
            "skipped": self.records.skipped,
            "events": len(self.records.events),
            "events_by_mqtt": len(self.subscriber.events),
            "viewer": self.viewer.counts(),
            **{f"{name}_mb": _size_mb(self.folder / name) for name in LIMITS_MB},
        }

    def stop(self) -> int:
        """End the viewer, then the daemon as systemd does; the exit code."""
        self.viewer.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_S)
        self._reader.join()
        end_s = time.monotonic() + STOP_S
        while not self.records.events <= self.subscriber.events and time.monotonic() < end_s:
            time.sleep(0.1)
        return code

    def close(self) -> None:
        """End whatever is left."""
        self.viewer.close()
        self.process.kill()
        self._reader.join()
        self.subscriber.close()
        self.broker.stop()
        self.camera.close()


def _size_mb(folder: Path) -> float:
    """The size of the files in a folder; those that are deleted meanwhile do not count."""
    size = 0
    for path in folder.glob("**/*"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
    return round(size / 1e6, 2)


def growing(samples: Sequence[dict[str, Any]], seconds: float) -> list[str]:
    """What grew after the start, by process: the daemon itself, and its children together."""
    start_s = settled_after_s(seconds)
    at_s = [each["at_s"] for each in samples]
    found = []
    for who, part in (("daemon", slice(0, 1)), ("children", slice(1, None))):
        for kind in ("rss_kb", "pss_kb", "descriptors", "threads"):
            values = [sum(p[kind] for p in each["processes"][part]) for each in samples]
            change = trend(at_s, values, start_s)
            early, late = peaks(at_s, values, start_s)
            print(f"{who}, {kind}: {change}; at most {early} in the first half, then {late}")
            if kind.endswith("_kb"):
                if change.growth > MOST_GROWTH_KB:
                    found.append(f"{kind} of {who} grew by {change.growth:.0f}: {change}")
            elif late > early + MOST_GROWTH:
                found.append(f"{kind} of {who} grew from {early} to {late}")
    return found


def lost(service: Service, code: int, log: str) -> list[str]:
    """What is missing after the end, and what failed."""
    records, found = service.records, []
    counts = re.search(r"(\d+) frames captured, (\d+) processed, (\d+) dropped, (\d+) in fl", log)
    if counts is None or code:
        return [f"exit code {code}, no summary"]
    captured, processed, dropped, in_flight = map(int, counts.groups())
    print(
        f"{service.camera.sent} frames sent, {counts[0]}ight; {records.detections} records, "
        f"{records.skipped} numbers skipped"
    )
    if captured != processed + dropped + in_flight or records.detections != processed:
        found.append(f"frames are not accounted for: {records.detections} records; {counts[0]}ight")
    # What the decoder's process replaced by newer frames is not captured, but has a number.
    if records.detections + records.skipped < (1 - MOST_UNSEEN) * service.camera.sent:
        found.append(f"of {service.camera.sent} frames that were sent some have no number")
    missing = records.events - service.subscriber.events
    print(f"{len(records.events)} event records, {len(missing)} of them not at the broker")
    if missing or not records.events:
        found.append(f"{len(missing)} of {len(records.events)} event records not at the broker")
    print(f"states: {dict(records.states)}; the viewer: {service.viewer.counts()}")
    found += [f"a part failed: {state}" for state in records.states if state.endswith(" failed")]
    found += sorted(set(service.viewer.errors))[:5]
    bad = [line for line in log.splitlines() if "Traceback" in line or " not seen by " in line]
    return found + bad[:5]


def too_large(samples: Sequence[dict[str, Any]]) -> list[str]:
    """The folders that exceeded their limits."""
    largest = {name: max(each[f"{name}_mb"] for each in samples) for name in LIMITS_MB}
    print(f"largest sizes in MB: {largest}")
    # The limit of the log counts 2**20 bytes; an index comes to the recordings.
    return [
        f"{name}: {size} MB, the limit is {LIMITS_MB[name]} MB"
        for name, size in largest.items()
        if size > 1.1 * LIMITS_MB[name]
    ]


def watch(service: Service, seconds: float, path: Path) -> list[dict[str, Any]]:
    """Sample until the time is up; every line can be read at once."""
    wait_for(lambda: service.records.detections or service.process.poll() is not None, "no frame")
    started_s = time.monotonic()
    samples: list[dict[str, Any]] = []
    with path.open("w", buffering=1) as file:
        while (at_s := time.monotonic() - started_s) < seconds:
            if service.process.poll() is not None:
                print("the daemon ended by itself")
                break
            samples.append(service.sample(at_s))
            file.write(json.dumps(samples[-1]) + "\n")
            time.sleep(max(0.0, started_s + len(samples) * SAMPLE_S - time.monotonic()))
    return samples


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=14400.0)
    parser.add_argument("--clip", type=Path, help="what the camera sees (default: a drawn clip)")
    parser.add_argument("--results", type=Path, help="folder for samples, log and verdict")
    args = parser.parse_args()
    if args.seconds < LEAST_S:
        parser.error(f"--seconds: {args.seconds:g} is too short to see growth; take {LEAST_S:g}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results = args.results or folder
        results.mkdir(parents=True, exist_ok=True)
        video = args.clip or draw_clip(folder / "clip.mp4")
        log = results / "daemon.log"
        with log.open("w") as messages:
            service = Service(folder, video.resolve(), messages)
            try:
                samples = watch(service, args.seconds, results / "samples.jsonl")
                code = service.stop()
            finally:
                service.close()
        found = lost(service, code, log.read_text())
        found += growing(samples, args.seconds) + too_large(samples)
        verdict = {"passed": not found, "found": found, "states": dict(service.records.states)}
        (results / "verdict.json").write_text(json.dumps(verdict, indent=1) + "\n")
    for complaint in found:
        print(f"FAIL: {complaint}")
    print("failed" if found else "passed")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
