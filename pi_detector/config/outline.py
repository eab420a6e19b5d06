"""Check the polygons and polylines of the settings: points in 0..1 of the frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_Point = Sequence[float]
# Each frame compares each object with each side; each reload compares the sides with each other.
_MOST_POINTS = 500


def polygon_problem(points: Sequence[_Point]) -> str | None:
    """Return why points are not a polygon, or None if they are.

    Args:
        points: corners in order, the last joined to the first; (x, y) in 0..1, x to the right and y
            down.
    """
    if len(points) < 3:
        return f"a polygon needs at least 3 points, this one has {len(points)}"
    if len(points) > _MOST_POINTS:
        return _too_many("polygon", len(points))
    sides = [(points[i], points[(i + 1) % len(points)]) for i in range(len(points))]
    for number, (start, end) in enumerate(sides, 1):
        if tuple(start) == tuple(end):
            return f"points {number} and {number % len(points) + 1} are the same; remove one"
    met = min(_meetings(sides), default=None)
    if met is not None:
        return (
            f"side {met[0] + 1} meets side {met[1] + 1}; list the corners in order around the area"
        )
    return None


def _too_many(kind: str, count: int) -> str:
    return f"a {kind} may have {_MOST_POINTS} points at most, this one has {count}; remove some"


def _meetings(sides: Sequence[tuple[_Point, _Point]]) -> Iterator[tuple[int, int]]:
    """Yield pairs of sides, by number, that share more than a common corner.

    Sorted from left to right, so that a side is only compared with its neighbours.
    """
    lefts = [min(a[0], b[0]) for a, b in sides]
    rights = [max(a[0], b[0]) for a, b in sides]
    in_order = sorted(range(len(sides)), key=lefts.__getitem__)
    for at, first in enumerate(in_order):
        for second in in_order[at + 1 :]:
            if lefts[second] > rights[first]:
                break
            i, j = sorted((first, second))
            neighbours = j == i + 1 or (i == 0 and j == len(sides) - 1)
            if _fold(sides, i, j) if neighbours else _meet(*sides[i], *sides[j]):
                yield i, j


def polyline_problem(points: Sequence[_Point]) -> str | None:
    """Return why points are not a line of straight segments, or None if they are.

    Args:
        points: (x, y) in 0..1, x to the right and y down.
    """
    if len(points) < 2:
        return f"a line needs at least 2 points, this one has {len(points)}"
    if len(points) > _MOST_POINTS:
        return _too_many("line", len(points))
    for number in range(1, len(points)):
        if tuple(points[number - 1]) == tuple(points[number]):
            return f"points {number} and {number + 1} are the same; remove one"
    return None


def _fold(sides: Sequence[tuple[_Point, _Point]], i: int, j: int) -> bool:
    """Whether two sides that share a corner run back over each other."""
    (a, b), (c, d) = sides[i], sides[j]
    before, corner, after = (a, b, d) if tuple(b) == tuple(c) else (b, a, c)
    if _turn(before, corner, after) != 0:
        return False
    along = (corner[0] - before[0]) * (after[0] - corner[0])
    return along + (corner[1] - before[1]) * (after[1] - corner[1]) < 0


def _meet(a: _Point, b: _Point, c: _Point, d: _Point) -> bool:
    """Whether the segments a-b and c-d have a point in common."""
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(turn == 0 and _between(*end) for turn, end in zip(turns, ends, strict=True))


def _turn(a: _Point, b: _Point, c: _Point) -> int:
    """The side of c beside a-b: 1, -1, or 0 on its line."""
    cross = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (cross > 1e-12) - (cross < -1e-12)


def _between(a: _Point, b: _Point, c: _Point) -> bool:
    """Whether c, on the line of a and b, is between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
