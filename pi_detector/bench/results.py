"""The result of a benchmark: a file to compare later results with."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from pi_detector.errors import BadBenchmarkError

MORE_IS_BETTER = frozenset({"pipeline_fps"})
FEWEST_ROUNDS = 5
"""Of both, for a verdict."""
SMALLEST_CHANGE = 0.02
"""Smallest difference of the medians that counts as more than noise."""

Verdict = Literal["better", "worse", "within the noise", "too few rounds"]


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measured quantity: median and quartiles of its rounds, which follow in order."""

    median: float
    q1: float
    q3: float
    rounds: list[float]


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured: a model on a runtime, and its figures by name; the unit is in the name."""

    model: str
    sha256: str
    runtime: str
    threads: int
    width: int
    height: int
    figures: dict[str, Figure]

    @property
    def name(self) -> str:
        """Model, runtime, threads and size of the frames, in words."""
        return f"{self.model}, {self.runtime}, threads {self.threads}, {self.width}x{self.height}"


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it was measured; null where there is no such sensor."""

    board: str
    kernel: str
    cores: int
    python: str
    packages: dict[str, str]
    governor: str | None
    mhz_before: float | None
    mhz_after: float | None
    celsius_before: float | None
    celsius_after: float | None
    load_before: float | None
    throttling: list[str]


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A benchmark."""

    pi_detector: str
    time: datetime
    machine: Machine
    rounds: int
    frames_a_round: int
    source: str
    warnings: list[str]
    cases: list[Case]
    format: Literal["pi-detector bench 1"] = "pi-detector bench 1"


class Comparison(msgspec.Struct, frozen=True):
    """A figure now and then.

    Attributes:
        case: in words.
        figure: its name.
        ratio: of the medians, new to old.
        verdict: more frames per second are better, more of anything else is worse.
    """

    case: str
    figure: str
    ratio: float
    verdict: Verdict


def figure_of(rounds: Sequence[float]) -> Figure:
    """The figure of its values by round, of which there is at least one."""
    values = [_rounded(value) for value in rounds]
    if len(values) == 1:
        values *= 2
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(_rounded(middle), _rounded(low), _rounded(high), values[: len(rounds)])


def compare(new: Report, old: Report) -> list[Comparison]:
    """All figures that both have, case by case.

    A difference counts where the quartiles of the rounds do not overlap and the medians are 2 %
    apart or more. That is the noise within each run: what changed on the machine between the two
    is not in it.
    """
    earlier = {case.name: case for case in old.cases}
    found = []
    for case in new.cases:
        known = earlier[case.name].figures if case.name in earlier else {}
        for name, now in case.figures.items():
            then = known.get(name)
            if then is not None and then.median > 0:
                ratio = now.median / then.median
                found.append(Comparison(case.name, name, ratio, _verdict(name, now, then)))
    return found


def differences(new: Machine, old: Machine) -> list[str]:
    """What of the machine is not as it was, in words; such runs compare more than the program."""
    names = ("board", "kernel", "cores", "python", "packages", "governor")
    return [
        f"{name} was {getattr(old, name)}, is {getattr(new, name)}"
        for name in names
        if getattr(old, name) != getattr(new, name)
    ]


def load_report(path: Path) -> Report:
    """Read a report.

    Raises:
        BadBenchmarkError: it is not one.
        OSError: it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadBenchmarkError(
            f"{path}: not a result of 'pi-detector bench --json FILE' ({error})"
        ) from error


def save_report(report: Report, path: Path) -> None:
    """Write a report. Raises OSError."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def _verdict(name: str, now: Figure, then: Figure) -> Verdict:
    if min(len(now.rounds), len(then.rounds)) < FEWEST_ROUNDS:
        return "too few rounds"
    is_close = abs(now.median / then.median - 1) < SMALLEST_CHANGE
    if is_close or (now.q1 <= then.q3 and then.q1 <= now.q3):
        return "within the noise"
    return "better" if (now.median > then.median) == (name in MORE_IS_BETTER) else "worse"


def _rounded(value: float) -> float:
    """To five significant digits: what is left is noise, and the file stays small."""
    if value == 0:
        return 0.0
    return round(value, 4 - math.floor(math.log10(abs(value))))
