"""Measuring for ``bench`` and ``tune``: cases in turn, with warnings about disturbances."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pi_detector.bench.machine import Moment
    from pi_detector.bench.measure import Subject

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of measuring.

    Attributes:
        subjects: the cases, with their figures.
        before: state of the device before the first round.
        after: state of the device after the last round.
        warnings: disturbances, already logged.
    """

    subjects: list[Subject]
    before: Moment
    after: Moment
    warnings: list[str]


def measure(make_subjects: Callable[[], list[Subject]], rounds: int, frames: int) -> Measured:
    """Measure all cases in turn, round by round.

    Args:
        make_subjects: creates the cases.
        rounds: number of rounds, without the warm-up.
        frames: frames per round.
    """
    from pi_detector.bench import machine
    from pi_detector.bench.measure import run_rounds
    from pi_detector.telemetry import sensors

    def tell(number: int) -> None:
        logger.info("%s", f"round {number} of {rounds}" if number else "warming up")

    before = machine.observe()
    cores = len(os.sched_getaffinity(0))
    warnings = _told(machine.warnings_before(before, sensors.cpu_governor(), cores))
    logging.getLogger("pi_detector.events").setLevel(logging.WARNING)
    subjects = make_subjects()
    run_rounds(subjects, rounds, frames, tell)
    after = machine.observe()
    warnings += _told(machine.warnings_after(before, after))
    return Measured(subjects, before, after, warnings)


def _told(warnings: list[str]) -> list[str]:
    for warning in warnings:
        logger.warning("%s", warning)
    return warnings
