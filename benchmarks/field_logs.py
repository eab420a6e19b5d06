"""Synthetic logs of a fleet in the field, for trying and measuring `pi-detector report`.

    python benchmarks/field_logs.py OUT --devices 20 --days 7 --seed 1

Each device is a folder of OUT, written by the sink that writes the logs of a run. What is in them
is made up, from models that are simple but not arbitrary:

- Heat: the board is a body of one heat capacity. It warms towards the ambient temperature (night
  and day, weather) plus its power times a thermal resistance; power depends on the clock. At 80 °C
  the firmware slows the clock until 77 °C.
- Latency goes with the inverse of the clock, with noise and a tail. A camera gives 15 frames a
  second; what the model has no time for is replaced.
- A reboot costs a minute. Boards without a clock of their own wake up in the past and are not
  synchronized for a while; the monotonic clock begins anew.
- Of five devices, the second has a weak power supply: under-voltage in the hours when its load is
  high, and brown-outs. The third has no sensors at all. The fourth never reaches a time server.
  The fifth lies in the sun.

OUT/truth.json holds what happened, by device, for comparison with a report.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from pi_detector.core.readings import (
    FrameFlow,
    HostReadings,
    ProcessReadings,
    StageLatencies,
    ThrottlingFlags,
)
from pi_detector.core.records import (
    BestView,
    EventRecord,
    FrameSize,
    PerformanceRecord,
    StatusRecord,
)
from pi_detector.sinks.log import RecordLogSink
from pi_detector.telemetry.histogram import GAMMA, Histogram
from pi_detector.telemetry.meter import summary_of
from pi_detector.telemetry.monitor import either

START = datetime(2026, 10, 5, tzinfo=UTC)
STEP_S = 10.0
INTERVAL_S = 60.0
CAMERA_FPS = 15.0
THROTTLE_C, RELEASE_C = 80.0, 77.0
HEAT_CAPACITY_J = 60.0
SIZE = FrameSize(1280, 720)


@dataclasses.dataclass(frozen=True)
class Board:
    """A board: its clocks, what it costs in watts, and how fast the model is at full clock."""

    mhz: float
    slow_mhz: float
    idle_w: float
    busy_w: float
    kelvin_per_w: float
    invoke_ms: float
    has_clock: bool


PI_4 = Board(1800, 1000, 2.6, 2.6, 7.0, 58.0, has_clock=False)
PI_5 = Board(2400, 1500, 2.9, 4.2, 4.6, 24.0, has_clock=True)
ZERO_2 = Board(1000, 700, 0.7, 1.4, 16.0, 170.0, has_clock=False)
BOARDS = (PI_4, PI_5, PI_4, PI_4, PI_5, ZERO_2, PI_4)


@dataclasses.dataclass
class Truth:
    """What happened to a device.

    Attributes:
        reboots: moments when records began again after one, seconds since the start.
        restarts: the same, of the program alone.
        episodes: condition, begin and end in seconds since the start.
        outages: times without records, begin and end, longer than two intervals.
        frames: captured, processed, replaced and unseen, in all.
    """

    reboots: list[float] = dataclasses.field(default_factory=list)
    restarts: list[float] = dataclasses.field(default_factory=list)
    episodes: list[tuple[str, float, float]] = dataclasses.field(default_factory=list)
    outages: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    frames: dict[str, int] = dataclasses.field(default_factory=dict)

    def count(self, **frames: int) -> None:
        """Add frames of an interval."""
        for name, number in frames.items():
            self.frames[name] = self.frames.get(name, 0) + number


class Device:
    """One device; time is in seconds since the start of the logs."""

    def __init__(self, number: int, seed: int) -> None:
        self.name = f"pi-{number + 1:02d}"
        self.truth = Truth()
        self._rng = np.random.default_rng((seed, number))
        self._board = BOARDS[number % len(BOARDS)]
        kind = number % 5
        self._is_weak, self._has_sensors = kind == 1, kind != 2
        self._reaches_time_server, self._is_in_sun = kind != 3, kind == 4
        self._ambient_c = self._rng.normal(21, 2) + (9 if self._is_in_sun else 0)
        self._weather_c = 0.0
        self._board_c = self._ambient_c + 20
        self._is_slow = False
        self._open: dict[str, float] = {}
        self._boot(-3600.0 * self._rng.uniform(1, 200), boot_s=30.0)
        self._now_s = 0.0
        self._synchronized_s = 0.0

    def records(self, days: float) -> Iterator[PerformanceRecord | StatusRecord | EventRecord]:
        """The records of so many days, in the order in which they were written."""
        yield self._status("source", "picamera:0", "live")
        begin_s, known, told_s = 0.0, None, -60.0
        while self._now_s < days * 86400:
            self._now_s += STEP_S
            flags = self._live(STEP_S)
            changed = known not in (None, flags) and self._now_s - told_s >= 10
            if changed or self._now_s - begin_s >= INTERVAL_S:
                if changed:
                    told_s = self._now_s
                yield self._performance(begin_s, flags, "throttling" if changed else "interval")
                self._follow(flags)
                begin_s, known = self._now_s, flags
                yield from self._events()
            fate = self._rng.random()
            if fate < (2.0 if self._is_weak else 0.25) * STEP_S / 86400:
                self._end_episodes()
                yield from self._reboot()
                begin_s, known = self._now_s, None
            elif fate > 1 - 0.3 * STEP_S / 86400:
                yield from self._restart()
                begin_s, known = self._now_s, None
            elif 0.5 < fate < 0.5 + 0.08 * STEP_S / 86400:
                self._end_episodes()
                yield from self._full_disk()
                begin_s, known = self._now_s, None
        self._end_episodes()

    def _boot(self, booted_s: float, boot_s: float) -> None:
        """Begin anew; the program runs ``boot_s`` after the kernel."""
        self._booted_s = booted_s
        self._started_s = booted_s + boot_s
        self._ever = ThrottlingFlags()
        self._last_s = self._started_s

    def _live(self, seconds: float) -> ThrottlingFlags:
        """Warm up or cool down; what slows the processor afterwards."""
        day = self._now_s / 86400
        self._weather_c += 0.002 * -self._weather_c + self._rng.normal(0, 0.05)
        sun = max(0.0, math.sin(2 * math.pi * (day - 0.28)))
        outside_c = self._ambient_c + self._weather_c + (14 if self._is_in_sun else 5) * sun
        board = self._board
        share = self._mhz / board.mhz
        power_w = board.idle_w + board.busy_w * share**2.2
        settled_c = outside_c + power_w * board.kelvin_per_w
        tau_s = HEAT_CAPACITY_J * board.kelvin_per_w
        self._board_c += (settled_c - self._board_c) * (1 - math.exp(-seconds / tau_s))
        self._board_c += self._rng.normal(0, 0.15)
        self._is_slow = self._board_c > (RELEASE_C if self._is_slow else THROTTLE_C)
        if not self._has_sensors:
            return ThrottlingFlags()
        is_low = self._is_weak and sun > 0.5 and math.sin(self._now_s / 900) > 0.6
        return ThrottlingFlags(
            under_voltage=is_low,
            frequency_capped=self._is_slow or is_low,
            throttled=self._is_slow,
            soft_temperature_limit=False,
        )

    @property
    def _mhz(self) -> float:
        return self._board.slow_mhz if self._is_slow else self._board.mhz

    def _follow(self, flags: ThrottlingFlags) -> None:
        """Note which conditions began and which ended."""
        self._last_s = self._now_s
        for name in ("under_voltage", "frequency_capped", "throttled"):
            if not getattr(flags, name):
                if name in self._open:
                    self.truth.episodes.append((name, self._open.pop(name), self._now_s))
            elif name not in self._open:
                self._open[name] = self._now_s

    def _end_episodes(self) -> None:
        """Nobody knows more of them than the last record did."""
        for name, begin_s in self._open.items():
            self.truth.episodes.append((name, begin_s, self._last_s))
        self._open = {}

    def _performance(
        self, begin_s: float, flags: ThrottlingFlags, reason: str
    ) -> PerformanceRecord:
        seconds = self._now_s - begin_s
        board, rng = self._board, self._rng
        typical_ms = board.invoke_ms * board.mhz / self._mhz
        fps = min(CAMERA_FPS, 950 / typical_ms) * rng.normal(1, 0.004)
        captured = round(CAMERA_FPS * seconds)
        count = min(captured, max(1, round(fps * seconds)))
        invoke = typical_ms * rng.lognormal(0, 0.035, count)
        invoke *= 1 + (rng.random(count) < 0.02) * rng.uniform(0.5, 2.5, count)
        decode = typical_ms * 0.05 * rng.lognormal(0, 0.15, count)
        prepare = typical_ms * 0.04 * rng.lognormal(0, 0.1, count)
        waiting = rng.uniform(0, 1000 / CAMERA_FPS, count) * (fps < CAMERA_FPS * 0.98)
        unseen = {"log": 0, "mqtt": 0}
        if rng.random() < 0.01:
            unseen["mqtt"] = int(rng.integers(1, 60))
        self.truth.count(
            captured=captured, processed=count, replaced=captured - count, unseen=unseen["mqtt"]
        )
        self._ever = either(self._ever, flags)
        sensed = self._has_sensors
        rss_mb = 96 + 12 * (1 - math.exp(-(self._now_s - self._started_s) / 7200))
        return PerformanceRecord(
            reason=reason,  # type: ignore[arg-type]
            source="picamera:0",
            interval_s=round(seconds, 3),
            fps_in=round(captured / seconds, 2),
            fps_out=round(count / seconds, 2),
            frames=FrameFlow(captured, count, count, captured - count, unseen),
            stages_ms=StageLatencies(
                preprocess=summary_of(histogram_of(prepare)),
                invoke=summary_of(histogram_of(invoke)),
                decode=summary_of(histogram_of(decode)),
                latency=summary_of(histogram_of(prepare + invoke + decode + waiting)),
            ),
            host=HostReadings(
                temperature_celsius=round(self._board_c, 1) if sensed else None,
                cpu_mhz=self._mhz if sensed else None,
                cpu_governor="ondemand" if sensed else None,
                throttling=flags,
                throttling_ever=self._ever,
                load_1m=round(rng.normal(2.6, 0.2), 2),
                memory_available_mb=round(rng.normal(2900, 20), 1),
                disk_free_mb=21_000 - round(self._now_s / 3000),
                wifi_dbm=round(rng.normal(-58, 3)),
                uptime_s=round(self._now_s - self._booted_s, 2),
            ),
            process=ProcessReadings(
                cpu_percent=round(min(390.0, 3.4 * fps * typical_ms / 10), 1),
                threads_cpu_percent={"detect": 92.0, "other": 210.0},
                rss_mb=round(rss_mb, 1),
                children_rss_mb=0.0,
                uptime_s=round(self._now_s - self._started_s, 2),
            ),
            **self._clocks(),
        )

    def _clocks(self) -> dict[str, object]:
        """The wall clock as the device believes it to be, and the monotonic one."""
        synchronized = self._reaches_time_server and self._now_s >= self._synchronized_s
        wrong_s = 0.0
        if not synchronized:
            wrong_s = 0.00002 * self._now_s if self._board.has_clock else self._behind_s
        return {
            "time": START + timedelta(seconds=round(self._now_s - wrong_s, 6)),
            "clock_synchronized": synchronized,
            "monotonic_ns": round((self._now_s - self._booted_s) * 1e9),
        }

    _behind_s = 0.0

    def _reboot(self) -> Iterator[StatusRecord]:
        """Power goes, and comes back after a minute or, seldom, hours."""
        hours = self._rng.uniform(0.5, 6) if self._rng.random() < 0.15 else 0.0
        off_s = self._rng.uniform(15, 40) + 3600 * hours
        boot_s = self._rng.uniform(18, 45)
        begin_s = self._last_s
        # The last time that was saved, which the next start of the system goes on from.
        self._behind_s += off_s + self._rng.uniform(0, 300)
        self._board_c = self._ambient_c + (self._board_c - self._ambient_c) * math.exp(-off_s / 400)
        self._is_slow = False
        self._boot(self._now_s + off_s, boot_s)
        self._now_s = self._started_s
        self._synchronized_s = self._now_s + self._rng.uniform(5, 180)
        if self._reaches_time_server:
            self._behind_s = off_s + self._rng.uniform(0, 300)
        self._note_outage(begin_s)
        self.truth.reboots.append(self._now_s)
        yield self._status("source", "picamera:0", "live")

    def _restart(self) -> Iterator[StatusRecord]:
        """Someone installs a new version, or changes what needs a restart."""
        begin_s = self._last_s
        self._now_s += self._rng.uniform(4, 9)
        self._boot(self._booted_s, self._now_s - self._booted_s)
        self._note_outage(begin_s)
        self.truth.restarts.append(self._now_s)
        yield self._status("source", "picamera:0", "live")

    def _full_disk(self) -> Iterator[StatusRecord]:
        """Nothing is written for an hour or more; the program goes on."""
        begin_s = self._last_s
        self._now_s += self._rng.uniform(3600, 4 * 3600)
        self._note_outage(begin_s)
        yield self._status("sink", "log", "live", lost=int(self._rng.integers(1, 400)))

    def _note_outage(self, begin_s: float) -> None:
        if self._now_s - begin_s > 2 * INTERVAL_S:
            self.truth.outages.append((begin_s, self._now_s))
        self._last_s = self._now_s

    def _status(self, part: str, name: str, state: str, lost: int = 0) -> StatusRecord:
        return StatusRecord(part=part, name=name, state=state, lost=lost, **self._clocks())  # type: ignore[arg-type]

    def _events(self) -> Iterator[EventRecord]:
        """People and cars come by day."""
        daylight = max(0.05, math.sin(2 * math.pi * (self._now_s / 86400 - 0.25)))
        for number in range(self._rng.poisson(0.25 * daylight)):
            label, class_id = (("person", 1), ("car", 3))[int(self._rng.random() < 0.4)]
            clocks = self._clocks()
            moment = clocks["time"]
            box = (0.1, 0.2, 0.3, 0.6)
            box_px = (128.0, 144.0, 384.0, 432.0)
            for revision, phase in enumerate(("new", "end")):
                yield EventRecord(
                    id=f"{self.name}-{self._now_s:.0f}-{number}",
                    revision=revision,
                    phase=phase,  # type: ignore[arg-type]
                    label=label,
                    class_id=class_id,
                    track_id=number + 1,
                    score=0.71,
                    hits=12,
                    best=BestView(1, moment, 0.8, box_px, box),  # type: ignore[arg-type]
                    source="picamera:0",
                    sequence=1,
                    started=moment,  # type: ignore[arg-type]
                    last_seen=moment,  # type: ignore[arg-type]
                    duration_s=2.0,
                    frame=SIZE,
                    box_px=box_px,
                    box=box,
                    reason="gone" if phase == "end" else None,
                    **clocks,  # type: ignore[arg-type]
                )


def histogram_of(values_ms: np.ndarray) -> Histogram:
    """The histogram of many values at once."""
    indices = np.ceil(np.log(values_ms) / math.log(GAMMA)).astype(int)
    found, counts = np.unique(indices, return_counts=True)
    return Histogram.from_buckets(
        zip(found.tolist(), counts.tolist(), strict=True),
        float(values_ms.mean()),
        float(values_ms.max()),
    )


def write_device(folder: Path, number: int, days: float, seed: int) -> tuple[str, Truth]:
    """Write the logs of one device. Returns its name and what happened to it."""
    device = Device(number, seed)
    sink = RecordLogSink(folder / device.name, most_bytes=1 << 40)
    sink.start()
    for record in device.records(days):
        sink.handle(record)
    sink.close()
    return device.name, device.truth


def write_fleet(folder: Path, devices: int, days: float, seed: int) -> dict[str, Truth]:
    """Write the logs of a fleet, and what happened to it. Returns the latter."""
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(write_device, folder, i, days, seed) for i in range(devices)]
        truths = dict(job.result() for job in jobs)
    plain = {name: dataclasses.asdict(truth) for name, truth in truths.items()}
    (folder / "truth.json").write_text(json.dumps(plain, indent=1))
    return truths


def main() -> None:
    """Write the logs that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    write_fleet(args.out, args.devices, args.days, args.seed)


if __name__ == "__main__":
    main()
