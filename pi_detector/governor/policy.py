"""The governor: how fast detection may be, so that heat and latency stay within their targets.

Decisions alone: no thread, no clock, no sensor; ``control`` has those.

Each target has a ladder of its own and a rung on it; the slower of both applies, in
each respect. Down is quick: heat by where its trend leads, several rungs at once where that is far
too hot. Up is slow, one rung after a wait; a rung that had to be taken back doubles the wait, so
that a load that just does not fit is tried ever less often instead of to and fro.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pi_detector.config.governor import GovernorSettings

RATE_STEP = 0.85
"""Of the rate of inference, from rung to rung."""
HEAT_DWELL_S = 5.0
"""Between two rungs down; the trend starts over after each."""
THROTTLED_DWELL_S = 2.0
LATENCY_DWELL_S = 15.0
FIRST_WAIT_S = 120.0
"""Before the first rung up."""
LONGEST_WAIT_S = 1800.0
PROBATION_S = 600.0
"""A rung up that is taken back within this time was too early."""
TREND_S = 15.0
"""The trend is that of so many seconds, and is followed so far ahead."""
_SHORTEST_TREND_S = 4.0
_DEGREES_A_RUNG = 4.0
_COOLER_CELSIUS = 5.0
"""Below the target, for a rung up."""
_QUICKER = 0.7
"""Of the latency's target, for a rung up."""
_LATENCY_RATES = 2
_FADE = 0.99
"""Of the full rate, from reading to reading: cameras get slower in the dark."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How it is now.

    Attributes:
        full_fps: frames per second inferred without a limit; 0 where none come, and
            nothing is decided.
        celsius: temperature of the processor; None without a sensor.
        latency_ms: the 90th percentile of the last seconds; None with too few frames.
        throttled: what the firmware slows the processor for, in words; empty for nothing.
        looks: of a frame at full speed; with fewer than two there is nothing to give up.
    """

    full_fps: float
    celsius: float | None = None
    latency_ms: float | None = None
    throttled: str = ""
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Level:
    """How fast detection may be.

    Attributes:
        rate_fps: highest inference rate in frames per second; None for no limit.
        threads: interpreter threads.
        small: the smaller model is to run.
        rungs: below full speed, of both targets together; 0 limits nothing.
        missed: the targets that are not held although nothing is left to lower.
        reason: of the last change, in words.
        looks: of a frame, at most; None for no limit.
    """

    rate_fps: float | None
    threads: int
    small: bool = False
    rungs: int = 0
    missed: tuple[str, ...] = ()
    reason: str = field(default="", compare=False)
    looks: int | None = None


class _Climber:
    """A place on a ladder, 0 at its top, and how soon the next rung up may be tried."""

    def __init__(self) -> None:
        self.rung = 0
        self.missed = False
        self._moved_s = float("-inf")
        self._raised_s: float | None = None
        self._wait_s = FIRST_WAIT_S

    def lower(self, rungs: int, lowest: int, now_s: float, dwell_s: float) -> bool:
        """Go down unless that was done just now. Returns whether it was done."""
        if now_s - self._moved_s < dwell_s:
            return False
        if self.rung >= lowest:
            self.missed = True
            return False
        if self._raised_s is not None and now_s - self._raised_s < PROBATION_S:
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        self._raised_s = None
        self.rung = min(lowest, self.rung + rungs)
        self._moved_s = now_s
        return True

    def lift(self, now_s: float) -> bool:
        """Go up a rung when the wait is over. Returns whether it was done."""
        self.missed = False
        if self.rung == 0 or now_s - self._moved_s < self._wait_s:
            return False
        if self._raised_s is not None and now_s - self._raised_s >= PROBATION_S:
            self._wait_s = FIRST_WAIT_S
        self.rung -= 1
        self._moved_s = self._raised_s = now_s
        return True


class Governor:
    """Decides on the level.

    Args:
        settings: section `governor`.
        threads: of the interpreter at full speed.

    Example:
        >>> governor = Governor(GovernorSettings(enabled=True), threads=4)
        >>> governor.decide(Reading(full_fps=12.0, celsius=78.0), now_s=0.0).rate_fps
        10.2
    """

    def __init__(self, settings: GovernorSettings, threads: int) -> None:
        self._settings = settings
        self._threads = threads
        self._full_fps = 0.0
        self._full_looks = 0
        self._heat, self._latency = _Climber(), _Climber()
        self._trend: deque[tuple[float, float]] = deque()
        self._reason = ""

    def apply(self, settings: GovernorSettings) -> None:
        """Continue with other settings, at the current level."""
        self._settings = settings

    def decide(self, reading: Reading, now_s: float) -> Level:
        """The level from now on.

        Args:
            reading: every second or two.
            now_s: monotonic.
        """
        if self._heat.rung == 0 and self._latency.rung == 0 and reading.full_fps > 0:
            self._full_fps = max(reading.full_fps, _FADE * self._full_fps)
            self._full_looks = reading.looks
        looks, rates = max(0, self._full_looks - 1), self._rate_rungs()
        few_rates = min(_LATENCY_RATES, rates)
        if reading.full_fps > 0:
            self._watch_heat(reading, looks + rates, now_s)
            self._watch_latency(reading, looks + few_rates, now_s)
        fewer = min(max(self._heat.rung, self._latency.rung), looks)
        # The rungs of each ladder below its looks.
        heat, latency = max(0, self._heat.rung - looks), max(0, self._latency.rung - looks)
        slower = max(min(heat, rates), min(latency, few_rates))
        fps = max(self._settings.min_fps, self._full_fps * RATE_STEP**slower)
        missed = {"temperature": self._heat.missed, "latency": self._latency.missed}
        return Level(
            # Else a processor with fewer looks would see more frames, and be as hot.
            rate_fps=round(fps, 2) if slower or self._heat.rung else None,
            threads=max(1, self._threads - max(0, heat - rates)),
            small=heat >= rates + self._threads or latency > few_rates,
            rungs=self._heat.rung + self._latency.rung,
            missed=tuple(name for name, is_missed in missed.items() if is_missed),
            reason=self._reason,
            looks=self._full_looks - fewer if fewer else None,
        )

    def _watch_heat(self, reading: Reading, first: int, now_s: float) -> None:
        """Rungs: looks and rates, which are the first, threads down to one, the smaller model."""
        lowest = first + self._threads - 1 + bool(self._settings.model)
        self._heat.rung = min(self._heat.rung, lowest)  # settings may have changed
        target, now, ahead = self._settings.temperature_celsius, reading.celsius, None
        if target > 0 and now is not None:
            self._trend.append((now_s, now))
            while now_s - self._trend[0][0] > TREND_S:
                self._trend.popleft()
            now, ahead = foreseen(self._trend)
        excess = 0.0 if ahead is None else ahead - target
        words = "" if ahead is None else f"{now:.1f} °C, target {target:g} °C"
        if reading.throttled:
            moved = self._heat.lower(2, lowest, now_s, THROTTLED_DWELL_S)
            words = f"the firmware: {reading.throttled}"
        elif excess > 0:
            rungs = 1 + int(excess / _DEGREES_A_RUNG)
            moved = self._heat.lower(rungs, lowest, now_s, HEAT_DWELL_S)
        elif now is None or ahead is None or max(now, ahead) < target - _COOLER_CELSIUS:
            moved = self._heat.lift(now_s)
            words = words or "no longer throttled"
        else:
            moved = False
        if moved:
            self._trend.clear()
            self._reason = words

    def _watch_latency(self, reading: Reading, first: int, now_s: float) -> None:
        """Rungs: looks and a few rates, which are the first, the smaller model.

        A lower rate shortens the wait for the detector alone, and two rungs end that; fewer
        threads shorten nothing.
        """
        lowest = first + bool(self._settings.model)
        self._latency.rung = min(self._latency.rung, lowest)
        target = self._settings.latency_ms
        if target == 0:
            moved = self._latency.lift(now_s)
        elif reading.latency_ms is None:
            return
        elif reading.latency_ms > target:
            moved = self._latency.lower(1, lowest, now_s, LATENCY_DWELL_S)
        elif reading.latency_ms < _QUICKER * target:
            moved = self._latency.lift(now_s)
        else:
            return
        if moved:
            words = "" if reading.latency_ms is None else f"{reading.latency_ms:.0f} ms, "
            self._reason = f"latency {words}target {target:g} ms"

    def _rate_rungs(self) -> int:
        """How many rungs there are from the full rate to the lowest."""
        lowest, full = self._settings.min_fps, self._full_fps
        return 0 if full <= lowest else math.ceil(math.log(lowest / full) / math.log(RATE_STEP))


def foreseen(trend: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The temperature now and ``TREND_S`` ahead, by a straight line through the last seconds.

    Args:
        trend: seconds and degrees Celsius, oldest first, at least one.
    """
    times, degrees = [at for at, _ in trend], [value for _, value in trend]
    span_s = times[-1] - times[0]
    if span_s < _SHORTEST_TREND_S:
        return degrees[-1], degrees[-1]
    mean_s, mean = sum(times) / len(times), sum(degrees) / len(degrees)
    spread = sum((at - mean_s) ** 2 for at in times)
    slope = sum((at - mean_s) * (value - mean) for at, value in trend) / spread
    now = mean + slope * (times[-1] - mean_s)
    return now, now + slope * TREND_S
