from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.telemetry.histogram import RELATIVE_ERROR, Histogram

# A loaded machine is no failure.
unhurried = settings(deadline=None)

latencies = st.lists(st.floats(0.001, 3_600_000.0), min_size=1, max_size=200)
shares = st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.99, 1.0])


def histogram_of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def facts(histogram: Histogram) -> tuple[object, ...]:
    return histogram.buckets(), histogram.count, histogram.max_ms


@unhurried
@given(latencies, shares)
def test_a_quantile_is_within_its_relative_error(values: list[float], share: float) -> None:
    true = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert histogram_of(values).quantile(share) == pytest.approx(true, rel=RELATIVE_ERROR + 1e-9)


@unhurried
@given(latencies, latencies, latencies)
def test_merging_is_associative_and_equals_counting_all(
    one: list[float], two: list[float], three: list[float]
) -> None:
    left = histogram_of(one)
    left.merge(histogram_of(two))
    left.merge(histogram_of(three))
    tail = histogram_of(two)
    tail.merge(histogram_of(three))
    right = histogram_of(one)
    right.merge(tail)
    whole = histogram_of(one + two + three)
    assert facts(left) == facts(right) == facts(whole)
    assert left.sum_ms == pytest.approx(whole.sum_ms)
    assert right.sum_ms == pytest.approx(whole.sum_ms)


@unhurried
@given(latencies, shares)
def test_a_histogram_comes_back_from_its_buckets(values: list[float], share: float) -> None:
    histogram = histogram_of(values)
    again = Histogram.from_buckets(histogram.buckets(), histogram.mean_ms, histogram.max_ms)
    assert facts(again) == facts(histogram)
    assert again.quantile(share) == histogram.quantile(share)
    assert again.mean_ms == pytest.approx(histogram.mean_ms)


@unhurried
@given(st.lists(st.floats(0, allow_nan=False, allow_infinity=False), max_size=300))
def test_memory_is_bounded_by_the_range(values: list[float]) -> None:
    indices = [index for index, _ in histogram_of(values).buckets()]
    assert indices == sorted(set(indices))
    assert not indices or indices[-1] - indices[0] < 1200


def test_maximum_and_mean_are_exact() -> None:
    histogram = histogram_of([1.0, 2.0, 6.5])
    assert histogram.max_ms == 6.5
    assert histogram.mean_ms == pytest.approx(9.5 / 3)


def test_an_empty_histogram_has_no_quantiles() -> None:
    assert Histogram().quantile(0.5) == 0.0
    assert Histogram().buckets() == []
