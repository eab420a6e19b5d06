from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_detector.config import outline
from pi_detector.config.outline import polygon_problem, polyline_problem

# A loaded machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1)]


@pytest.mark.parametrize(
    "points",
    [
        SQUARE,
        SQUARE[::-1],
        SQUARE[:3],
        [(0, 0), (0.5, 0), (1, 0), (1, 1)],  # a corner on a straight side
        [(0, 0), (1, 0), (1, 1), (0.5, 0.1), (0, 1)],  # hollow
    ],
)
def test_these_are_polygons(points: list[tuple[float, float]]) -> None:
    assert polygon_problem(points) is None


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        ([], "has 0"),
        (SQUARE[:2], "at least 3 points"),
        ([*SQUARE, (0, 0)], "points 5 and 1 are the same"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "side 1 meets side 3"),
        ([(0, 0), (1, 0), (0.5, 0)], "side 1 meets side 2"),  # runs back
        ([(0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)], "side 1 meets side 3"),  # touches
    ],
)
def test_these_are_not(points: list[tuple[float, float]], problem: str) -> None:
    assert problem in str(polygon_problem(points))


@unhurried
@given(
    st.lists(st.floats(0, 2 * math.pi), min_size=3, max_size=12, unique_by=lambda a: round(a, 3))
)
def test_corners_in_their_order_around_a_circle_are_a_polygon(angles: list[float]) -> None:
    around = sorted(angles)
    if around[-1] - around[0] > 2 * math.pi - 1e-3:
        around.pop()
    if len(around) < 3:
        return
    points = [(0.5 + 0.5 * math.cos(a), 0.5 + 0.5 * math.sin(a)) for a in around]
    assert polygon_problem(points) is None
    if len(points) >= 4:
        points[0], points[1] = points[1], points[0]
        assert polygon_problem(points) is not None


def test_a_line_has_two_different_points() -> None:
    assert polyline_problem([(0, 0), (1, 1)]) is None
    assert polyline_problem([(0, 0), (1, 1), (0, 0)]) is None
    assert "2 points" in str(polyline_problem([(0, 0)]))
    assert "the same" in str(polyline_problem([(0, 0), (0, 0)]))


grid = st.integers(0, 4).map(lambda step: step / 4)


@settings(unhurried, max_examples=300)
@given(st.lists(st.tuples(grid, grid), min_size=3, max_size=7))
def test_the_first_two_sides_that_meet_are_named(points: list[tuple[float, float]]) -> None:
    """As by comparing each with each, in their order."""
    sides = [(points[i], points[(i + 1) % len(points)]) for i in range(len(points))]
    if any(start == end for start, end in sides):
        return
    last = len(sides) - 1
    found = next(
        (
            f"side {i + 1} meets side {j + 1};"
            for i in range(len(sides))
            for j in range(i + 1, len(sides))
            if (
                outline._fold(sides, i, j)
                if j == i + 1 or (i, j) == (0, last)
                else outline._meet(*sides[i], *sides[j])
            )
        ),
        "None",
    )
    assert str(polygon_problem(points)).startswith(found)


def test_a_side_is_compared_with_those_beside_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = outline._meet
    monkeypatch.setattr(outline, "_meet", lambda *ends: compared.append(ends) or real(*ends))
    angles = [2 * math.pi * number / 500 for number in range(500)]
    circle = [(0.5 + 0.4 * math.cos(angle), 0.5 + 0.4 * math.sin(angle)) for angle in angles]
    assert polygon_problem(circle) is None
    assert len(compared) < 10 * len(circle)


def test_too_many_points_are_refused_at_once() -> None:
    points = [(0.5, 0.5)] * 501
    assert "500 points at most, this one has 501" in str(polygon_problem(points))
    assert "500 points at most, this one has 501" in str(polyline_problem(points))
