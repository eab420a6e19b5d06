"""The choice among measured cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pi_detector.bench.results import Case, Figure

Objective = Literal["throughput", "latency", "efficiency"]

NOISE = 0.03
"""Medians that are less apart are the same."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is best for an objective.

    Attributes:
        case: the choice.
        figure: what was compared.
        best: the case with the best median of that; where it is not the choice, the difference is
            noise, and the choice takes fewer threads.
        fast_enough: the choice reaches the requested frames per second.
    """

    case: Case
    figure: str
    best: Case
    fast_enough: bool = True


def choose(cases: Sequence[Case], objective: Objective, min_fps: float = 0.0) -> Choice:
    """Choose the case to run with.

    ``throughput`` wants the most frames per second; ``latency`` the shortest invoke, which is the
    part of the latency that runtime and threads change; ``efficiency`` the least processor time per
    frame among the cases that reach ``min_fps``, or the fastest case if none does.

    Among cases that equal the best within noise (quartiles of the rounds overlap, or medians are
    less than 3 % apart), the fewest threads win, which leaves cores to others and heats less; then
    their order decides.

    Args:
        cases: at least one, preferred runtime first.
        objective: see above.
        min_fps: for ``efficiency``.
    """
    if objective == "efficiency":
        fast = [case for case in cases if case.figures["pipeline_fps"].median >= min_fps]
        if not fast:
            fastest = choose(cases, "throughput")
            return Choice(fastest.case, fastest.figure, fastest.best, fast_enough=False)
        return _choose(fast, "pipeline_cpu_ms", sign=1)
    if objective == "latency":
        return _choose(cases, "invoke_ms", sign=1)
    return _choose(cases, "pipeline_fps", sign=-1)


def _choose(cases: Sequence[Case], name: str, sign: int) -> Choice:
    best = min(cases, key=lambda case: sign * case.figures[name].median)
    alike = [case for case in cases if _is_noise(case.figures[name], best.figures[name])]
    return Choice(min(alike, key=lambda case: case.threads), name, best)


def _is_noise(one: Figure, other: Figure) -> bool:
    is_close = abs(one.median / other.median - 1) < NOISE
    return is_close or (one.q1 <= other.q3 and other.q1 <= one.q3)
