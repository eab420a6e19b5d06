"""The governor on a thermal model of a Raspberry Pi, with and without; draws docs/governor.png.

    python benchmarks/governor.py [--draw docs/governor.png]

The model is of first order: what heats is an idle board and the cores that are busy, by the square
of the clock; what cools is the difference to the air around, through one resistance, into one heat
capacity. The firmware lowers the clock above 80 degrees Celsius. Its constants are of the size that
is known of a Pi 4 with a small heat sink; nothing here was measured on one. --draw needs
matplotlib.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from pi_detector.config.governor import GovernorSettings
from pi_detector.governor.policy import Governor, Level, Reading

THROTTLING_CELSIUS = 80.0
STEP_S = 1.0
HOUR_S = 3600.0


@dataclass
class Board:
    """A Raspberry Pi that detects.

    Attributes:
        tau_s: time constant of heating and cooling.
        full_rise: degrees above the air after hours at full load, all cores busy.
        idle_rise: the same of the idle board.
        invoke_s: of the model, on one thread at full clock.
        noise: standard deviation of the sensor, in degrees.
    """

    tau_s: float = 180.0
    full_rise: float = 45.0
    idle_rise: float = 12.0
    invoke_s: float = 0.12
    camera_fps: float = 30.0
    cores: int = 4
    noise: float = 0.3
    celsius: float = 40.0
    clock: float = 1.0
    random: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def throttled(self) -> bool:
        """Whether the firmware slows the processor."""
        return self.clock < 1.0

    def step(self, level: Level, ambient: float, cooling: float = 1.0) -> tuple[Reading, float]:
        """A second goes by. ``cooling`` is 1 as it was built, less with a fan that failed.

        Returns:
            What the sensors tell; the frames that were inferred in this second.
        """
        speedup = 1 / (0.2 + 0.8 / level.threads)
        invoke_s = self.invoke_s * (0.4 if level.small else 1.0) / speedup / self.clock
        most = min(self.camera_fps, 1 / invoke_s)
        fps = most if level.rate_fps is None else min(most, level.rate_fps)
        busy = fps * invoke_s * level.threads / self.cores * self.clock**2
        rise = (self.idle_rise + (self.full_rise - self.idle_rise) * busy) / cooling
        share = 1 - math.exp(-STEP_S * cooling / self.tau_s)
        self.celsius += (ambient + rise - self.celsius) * share
        if self.celsius >= THROTTLING_CELSIUS:
            self.clock = max(0.4, self.clock - 0.05)
        elif self.celsius < THROTTLING_CELSIUS - 1:
            self.clock = min(1.0, self.clock + 0.05)
        # A frame that comes while the detector is busy waits for it, up to the next one.
        wait_s = 0.9 / self.camera_fps if fps * invoke_s > 0.98 else 0.0
        reading = Reading(
            full_fps=most,
            celsius=self.celsius + self.random.gauss(0, self.noise),
            latency_ms=(invoke_s + wait_s) * 1000,
            throttled="clock capped" if self.throttled else "",
        )
        return reading, fps


Weather = Callable[[float], tuple[float, float]]
"""Seconds to the air's temperature and the cooling."""


@dataclass
class Course:
    """What became of a board, second by second."""

    ambient: list[float] = field(default_factory=list)
    celsius: list[float] = field(default_factory=list)
    fps: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)
    throttled: list[bool] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)

    def changes(self, begin: int = 0, end: int | None = None) -> int:
        """How often the level changed within these seconds."""
        levels = self.levels[begin:end]
        return sum(a != b for a, b in pairwise(levels))


def simulate(
    board: Board, weather: Weather, seconds: float, settings: GovernorSettings | None
) -> Course:
    """Run a board, under a governor or without."""
    threads = board.cores
    governor = None if settings is None else Governor(settings, threads)
    level, course = Level(None, threads), Course()
    for second in range(round(seconds / STEP_S)):
        ambient, cooling = weather(second * STEP_S)
        reading, fps = board.step(level, ambient, cooling)
        if governor is not None:
            level = governor.decide(reading, second * STEP_S)
        course.ambient.append(ambient)
        course.celsius.append(board.celsius)
        course.fps.append(fps)
        course.latency_ms.append(reading.latency_ms or 0.0)
        course.throttled.append(board.throttled)
        course.levels.append(level)
    return course


def summer_day(now_s: float) -> tuple[float, float]:
    """A morning; from hour 2 to 5 the sun is on the case; from hour 6 to 7 the fan stands still."""
    hour = now_s / HOUR_S
    ambient = 24 + 6 * math.sin(math.pi * min(hour, 9) / 9) + (14 if 2 <= hour < 5 else 0)
    return ambient, 0.75 if 6 <= hour < 7 else 1.0


def describe(name: str, course: Course) -> None:
    """A line about a course."""
    throttled = 100 * sum(course.throttled) / len(course.throttled)
    mean = sum(course.fps) / len(course.fps)
    print(
        f"{name:<12} hottest {max(course.celsius):.1f} °C, throttled {throttled:.0f} % of the "
        f"time, {mean:.1f} frames/s, lowest {min(course.fps):.1f}, {course.changes()} changes"
    )


def draw(path: Path, without: Course, governed: Course) -> None:
    """The picture in docs/governor.md."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    hours = [second * STEP_S / HOUR_S for second in range(len(without.celsius))]
    figure, (heat, rate) = plt.subplots(2, 1, figsize=(9, 5.4), sharex=True, height_ratios=(3, 2))
    heat.plot(hours, without.celsius, color="tab:red", label="without")
    heat.plot(hours, governed.celsius, color="tab:blue", label="with the governor, 75 °C")
    heat.plot(hours, without.ambient, color="tab:gray", linestyle=":", label="air in the case")
    heat.axhline(THROTTLING_CELSIUS, color="black", linewidth=0.8, linestyle="--")
    heat.text(0.05, THROTTLING_CELSIUS + 0.8, "the firmware throttles", fontsize=8)
    heat.set_ylabel("processor, °C")
    heat.set_ylim(8, 90)
    heat.legend(loc="lower right", fontsize=8, ncols=3)
    rate.plot(hours, without.fps, color="tab:red")
    rate.plot(hours, governed.fps, color="tab:blue")
    rate.set_ylabel("inferred, frames/s")
    rate.set_ylim(0)
    rate.set_xlabel("hours: sun on the case from 2 to 5, fan stands still from 6 to 7")
    rate.set_xlim(0, hours[-1])
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print both courses of a day, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", type=Path)
    arguments = parser.parse_args()
    without = simulate(Board(), summer_day, 9 * HOUR_S, None)
    governed = simulate(Board(), summer_day, 9 * HOUR_S, GovernorSettings(enabled=True))
    describe("without", without)
    describe("governed", governed)
    if arguments.draw is not None:
        draw(arguments.draw, without, governed)


if __name__ == "__main__":
    main()
