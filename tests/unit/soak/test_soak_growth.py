"""The judgement of long runs finds what grows, and lets be what only moves."""

from __future__ import annotations

import random

import pytest
from growth import HOUR_S, peaks, settled_after_s, trend

EVERY_S = 5.0
COUNT = 1000
AT_S = [number * EVERY_S for number in range(COUNT)]


def noisy(kb_per_hour: float) -> list[float]:
    rng = random.Random(1)
    return [100_000 + at_s / HOUR_S * kb_per_hour + rng.uniform(-3000, 3000) for at_s in AT_S]


@pytest.mark.parametrize("kb_per_hour", [0.0, 5000.0])
def test_growth_is_seen_through_noise(kb_per_hour: float) -> None:
    found = trend(AT_S, noisy(kb_per_hour), AT_S[-1] / 4)
    assert found.per_hour == pytest.approx(kb_per_hour, abs=700)
    hours_between = AT_S[-1] * 0.75 * 0.8 / HOUR_S
    assert found.growth == pytest.approx(kb_per_hour * hours_between, abs=1000)


def test_what_is_taken_at_the_start_does_not_count() -> None:
    values = [50_000.0 if at_s < 1000 else 100_000.0 for at_s in AT_S]
    assert trend(AT_S, values, 1000).growth == 0


def test_an_hour_is_left_out_of_a_long_run_and_a_quarter_of_a_short_one() -> None:
    assert settled_after_s(14400) == HOUR_S
    assert settled_after_s(600) == 150


def test_peaks_of_both_halves() -> None:
    values = [9] * 100 + [5] * 449 + [6] + [7] * 450
    assert peaks(AT_S, values, AT_S[100]) == (6, 7)


def test_too_few_samples_are_an_error() -> None:
    with pytest.raises(AssertionError, match="too few"):
        trend(AT_S[:8], [1.0] * 8, 0)
