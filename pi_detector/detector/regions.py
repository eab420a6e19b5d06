"""Where the detector looks: crops of the full-resolution frame, within a budget.

Scaled to the model's input, a whole frame shows nothing of who is far away. So what moves, what is
followed and small, and in turns the rest of the frame are shown to the model as crops of their
own. Which ones is decided from the frames before alone: the same frames give the same looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pi_detector.core.geometry import FloatArray
from pi_detector.core.looks import Look, LookReason, TrackedBox
from pi_detector.detector.crops import CropSizes, tiles_of

SMALL_SHARE = 0.15
"""An object whose longer side is less than this share of the frame's is too small for a look at
the whole frame."""

_MARGIN = 0.25  # around what is looked at, by its sides
_LEAST_MARGIN_PX = 12.0
_MAX_WISHES = 24
_CELLS = 24  # rows and columns of the grid that remembers when it was looked at
_MOTION, _LOST, _SMALL, _STANDING, _REST = 4.0, 6.0, 3.0, 1.0, 0.25  # weights

Array = NDArray[np.float64]


@dataclass(slots=True)
class _Wish:
    """A region that asks for a look.

    Attributes:
        box: (4,) ``x1, y1, x2, y2`` in pixels, margin included.
        weight: how much it is worth, times the frames since it was looked at.
        value: weight by age.
        reason: of the look.
    """

    box: Array
    weight: float
    value: float
    reason: LookReason


class LookPlanner:
    """Chooses the looks of each frame of one source. For one thread.

    Args:
        input_size: (height, width) of the model's input.
        whole_every: the whole frame is looked at once in so many frames.

    Attributes:
        input_size: (height, width) of the model's input.

    Example:
        >>> planner = LookPlanner((288, 288), whole_every=2)
        >>> moving = np.array([[0.5, 0.5, 0.52, 0.56]], np.float32)
        >>> [look.reason for look in planner.plan((1280, 720), moving, (), budget=2)]
        ['whole', 'motion']
    """

    def __init__(self, input_size: tuple[int, int], whole_every: int = 2) -> None:
        self.input_size = input_size
        self._whole_every = whole_every
        self._size = (0, 0)
        self._sizes: CropSizes | None = None
        self._tiles: tuple[Look, ...] = ()
        self._age: Array = np.zeros((_CELLS, _CELLS))
        self._since_whole = whole_every

    def plan(
        self,
        size: tuple[int, int],
        moving: FloatArray,
        tracks: Sequence[TrackedBox],
        budget: int,
    ) -> tuple[Look, ...]:
        """The looks of the next frame: at least one, the whole frame first.

        Args:
            size: (width, height) of the frame in pixels.
            moving: (N, 4) ``x1, y1, x2, y2`` in 0..1: regions that move, the largest first.
            tracks: objects that are followed.
            budget: looks at most, that at the whole frame included; at least 1.
        """
        if size != self._size:
            self._begin(size)
        self._age += 1
        self._since_whole += 1
        whole = Look.whole(*size)
        if self._sizes is None:
            return (whole,)
        wishes, too_large = self._wishes(moving, tracks, self._sizes)
        worth = [(look, value) for value, look in self._crops(wishes, self._sizes, budget)]
        if self._since_whole >= self._whole_every:
            worth.append((whole, math.inf))
        elif too_large:
            worth.append((whole, _MOTION * self._since_whole))
        worth.append(self._rest())
        worth.sort(key=lambda each: (-each[1], each[0].xyxy))
        looks = [look for look, _ in worth[:budget]]
        looks.sort(key=lambda look: look.reason != "whole")
        for look in looks:
            if look.reason == "whole":
                self._since_whole = 0
            else:
                self._age[self._cells(look.xyxy)] = 0
        return tuple(looks)

    def whole(self, size: tuple[int, int]) -> tuple[Look, ...]:
        """A look at the whole frame alone, as of a scene in which nothing moves."""
        self._since_whole = 0
        return (Look.whole(*size),)

    def _begin(self, size: tuple[int, int]) -> None:
        """Begin with frames of another size."""
        self._size = size
        self._sizes = CropSizes.of(size, self.input_size)
        self._tiles = () if self._sizes is None else tiles_of(size, self._sizes)
        self._age = np.zeros((_CELLS, _CELLS))
        self._since_whole = self._whole_every

    def _rest(self) -> tuple[Look, float]:
        """The tile with what was not looked at for the longest time, and what it is worth."""
        cells = [self._age[self._cells(tile.xyxy)] for tile in self._tiles]
        ages = [(float(each.max()), float(each.mean())) for each in cells]
        oldest = max(range(len(ages)), key=ages.__getitem__)
        return self._tiles[oldest], _REST * ages[oldest][1]

    def _wishes(
        self, moving: FloatArray, tracks: Sequence[TrackedBox], sizes: CropSizes
    ) -> tuple[list[_Wish], bool]:
        """What asks for a crop; whether something asks that is too large for one."""
        width, height = self._size
        asked: list[tuple[Array, float, LookReason]] = [
            (box, _MOTION, "motion") for box in moving * np.array([width, height] * 2)
        ]
        for track in tracks:
            box = np.array(track.xyxy, np.float64)
            weight = self._weight(track, box)
            if weight:
                asked.append((box, weight, "track"))
        wishes, too_large = [], False
        for box, weight, reason in asked:
            sides = box[2:] - box[:2]
            if not (sides > 0).all():
                continue
            margin = np.maximum(_MARGIN * sides, _LEAST_MARGIN_PX)
            grown = np.concatenate([box[:2] - margin, box[2:] + margin])
            grown = np.clip(grown, 0, [width, height] * 2)
            if not (grown[2] > grown[0] and grown[3] > grown[1]):
                continue  # it left the frame
            if _needed(grown, sizes) > sizes.largest:
                too_large = True
                continue
            age = float(self._age[self._cells(tuple(box))].mean())
            wishes.append(_Wish(grown, weight, weight * age, reason))
        wishes.sort(key=lambda wish: (-wish.value, *wish.box.tolist()))
        return wishes[:_MAX_WISHES], too_large

    def _weight(self, track: TrackedBox, box: Array) -> float:
        if track.unseen and not track.stationary:
            return _LOST
        share = max((box[2] - box[0]) / self._size[0], (box[3] - box[1]) / self._size[1])
        if share >= SMALL_SHARE:
            return 0.0
        return _STANDING if track.stationary else _SMALL

    def _crops(
        self, wishes: list[_Wish], sizes: CropSizes, budget: int
    ) -> list[tuple[float, Look]]:
        """Crops that hold the wishes, and what each is worth."""
        wishes = _joined(wishes, sizes, limit=0, count=0)
        # What shares a crop at the model's own resolution costs one look instead of two.
        wishes = _joined(wishes, sizes, limit=sizes.tile, count=budget)
        wishes = _joined(wishes, sizes, limit=sizes.joint, count=budget)
        return [(wish.value, _crop(wish, sizes, self._size)) for wish in wishes]

    def _cells(self, xyxy: tuple[float, ...]) -> tuple[slice, slice]:
        """The cells of the grid whose middle a box covers; one at least."""
        spans = []
        for low, high, side in zip(xyxy[:2], xyxy[2:], self._size, strict=True):
            first = min(_CELLS - 1, max(0, round(low / side * _CELLS)))
            spans.append(slice(first, max(first + 1, min(_CELLS, round(high / side * _CELLS)))))
        return spans[1], spans[0]


def _needed(box: Array, sizes: CropSizes) -> float:
    """The height of the crop that holds a box."""
    return float(max(sizes.least, box[3] - box[1], (box[2] - box[0]) / sizes.aspect))


def _joined(wishes: list[_Wish], sizes: CropSizes, limit: int, count: int) -> list[_Wish]:
    """Join those first that take the smallest crop together.

    Args:
        wishes: to be joined.
        sizes: of crops.
        limit: the largest crop that holds several, by its height; 0: no larger than the larger of
            the two has anyway.
        count: enough are joined when no more than this are left.
    """
    while len(wishes) > max(1, count):
        boxes = np.array([wish.box for wish in wishes])
        low = np.minimum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.maximum(boxes[:, None, 2:], boxes[None, :, 2:])
        span = high - low
        need = np.maximum(np.maximum(span[..., 1], span[..., 0] / sizes.aspect), sizes.least)
        own = np.diagonal(need)
        allowed = np.maximum(np.maximum(own[:, None], own[None]) + 1e-6, limit)
        need = np.where(np.triu(need <= allowed, 1), need, np.inf)
        first, second = divmod(int(np.argmin(need)), len(wishes))
        if not np.isfinite(need[first, second]):
            break
        wishes = _join(wishes, first, second)
    return wishes


def _join(wishes: list[_Wish], first: int, second: int) -> list[_Wish]:
    a, b = wishes[first], wishes[second]
    box = np.concatenate([np.minimum(a.box[:2], b.box[:2]), np.maximum(a.box[2:], b.box[2:])])
    reason = a.reason if a.value >= b.value else b.reason
    joint = _Wish(box, a.weight + b.weight, a.value + b.value, reason)
    return [joint if i == first else wish for i, wish in enumerate(wishes) if i != second]


def _crop(wish: _Wish, sizes: CropSizes, size: tuple[int, int]) -> Look:
    """The crop around a wish, inside the frame."""
    rows = math.ceil(_needed(wish.box, sizes))
    columns = math.ceil(rows * sizes.aspect)
    columns, rows = min(columns, size[0]), min(rows, size[1])
    x, y = (
        min(max(0, round((low + high - side) / 2)), whole - side)
        for low, high, side, whole in zip(
            wish.box[:2].tolist(), wish.box[2:].tolist(), (columns, rows), size, strict=True
        )
    )
    return Look(x, y, columns, rows, wish.reason)
