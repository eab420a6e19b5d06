"""Merging of what several looks at a frame found: each object once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pi_detector.core.geometry import BoolArray, FloatArray, pairwise_iou
from pi_detector.core.looks import Look
from pi_detector.detector.candidates import Candidates
from pi_detector.detector.nms import suppress, vote

_CUT = 0.02  # of a crop's side: a box that ends this near to an inner border is cut by it
_FINER = 1.2  # a look that magnifies this much more than another is finer
_SAME = 0.5  # IoU of two boxes of one object
_INSIDE = 0.8  # of a box's area in another: it lies in it
_COMPARABLE = 0.7  # of a box's score: one that is weaker still does not beat it


def placed(found: Candidates, look: Look) -> Candidates:
    """Boxes in pixels of a look, in pixels of the frame."""
    offset = np.asarray([look.x, look.y] * 2, np.float32)
    return replace(found, xyxy=np.asarray(found.xyxy + offset, np.float32))


def merge(
    parts: Sequence[tuple[Look, Candidates]], size: tuple[int, int], iou_threshold: float
) -> Candidates:
    """The objects of a frame, of all looks together.

    - A box that an inner border of its crop cuts is half an object: it is dropped. Crops are made
      so that what they are for lies inside, and tiles overlap.
    - Of two boxes of a class, one inside the other, that of the finer look is right where that
      look showed all of the other one too; else it is a part, and the other is right.
    - What is left is suppressed by class, and equal boxes vote.

    Args:
        parts: looks, and what each found: in pixels of the frame, after the suppression among its
            own boxes.
        size: (width, height) of the frame.
        iou_threshold: boxes of one class that overlap more are one object.

    Returns:
        The objects, best first, in pixels of the frame, not clipped.
    """
    found = Candidates(
        np.concatenate([part.xyxy for _, part in parts]),
        np.concatenate([part.score for _, part in parts]),
        np.concatenate([part.class_index for _, part in parts]),
    )
    looks = np.array([look.xyxy for look, _ in parts], np.float32)
    rects = np.repeat(looks, [len(part) for _, part in parts], axis=0)
    uncut = np.flatnonzero(~_cut(found.xyxy, rects, size))
    found, rects = found[uncut], rects[uncut]
    found = found[np.flatnonzero(~_beaten(found, rects))]
    keep = suppress(found.xyxy, found.score, found.class_index, iou_threshold)
    voted = vote(found.xyxy, found.score, found.class_index, keep)
    return replace(found[keep], xyxy=voted)


def _cut(xyxy: FloatArray, rects: FloatArray, size: tuple[int, int]) -> BoolArray:
    """(N,): which boxes an inner border of their look cuts.

    Args:
        xyxy: (N, 4) boxes.
        rects: (N, 4) the looks that they are of.
        size: (width, height) of the frame.
    """
    near = _CUT * np.tile(rects[:, 2:] - rects[:, :2], 2)
    near[:, 2:] *= -1
    limit = rects + near
    inner = rects != np.asarray([0, 0, *size], np.float32)
    reaches = np.concatenate([xyxy[:, :2] <= limit[:, :2], xyxy[:, 2:] >= limit[:, 2:]], axis=1)
    return np.asarray((reaches & inner).any(axis=1), np.bool_)


def _beaten(found: Candidates, rects: FloatArray) -> BoolArray:
    """(N,): which boxes give way to one of their class that lies in them, or that they lie in.

    Args:
        found: (N,) boxes.
        rects: (N, 4) the looks that they are of.
    """
    sides = rects[:, 2:] - rects[:, :2]
    area = sides[:, 0] * sides[:, 1]
    # [i, j]: i is of a finer look than j, and of its class; within: and lies in it.
    finer = np.asarray(area[:, None] * _FINER**2 < area[None], np.bool_)
    finer &= found.class_index[:, None] == found.class_index[None]
    if not np.any(finer):
        return np.zeros(len(found), np.bool_)
    within = finer & (_share_inside(found.xyxy) >= _INSIDE)
    shown = _shown(found.xyxy, rects)
    stronger = found.score[:, None] >= _COMPARABLE * found.score[None]
    # Where the finer look has the other box as well, that is right, and the part is one of its own.
    same = pairwise_iou(found.xyxy, found.xyxy) >= _SAME
    seen_twice = np.any(finer & same, axis=0)
    coarse = np.any(within & shown & stronger, axis=0) & ~seen_twice
    right = within & ~shown & stronger.T & ~coarse[np.newaxis]
    return np.asarray(coarse | np.any(right, axis=1), np.bool_)


def _shown(xyxy: FloatArray, rects: FloatArray) -> BoolArray:
    """(N, N) [i, j]: the look of box i shows all of box j."""
    slack = _CUT * (rects[:, 2:] - rects[:, :2])
    low = xyxy[None, :, :2] >= (rects[:, :2] - slack)[:, None]
    high = xyxy[None, :, 2:] <= (rects[:, 2:] + slack)[:, None]
    return np.asarray((low & high).all(axis=2), np.bool_)


def _share_inside(xyxy: FloatArray) -> FloatArray:
    """(N, N) [i, j]: the share of the area of box i that lies in box j."""
    corner = np.minimum(xyxy[:, None, 2:], xyxy[None, :, 2:])
    sides = np.maximum(corner - np.maximum(xyxy[:, None, :2], xyxy[None, :, :2]), 0)
    overlap = sides[..., 0] * sides[..., 1]
    area = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    return np.asarray(overlap / np.maximum(area, np.float32(1e-9))[:, None], np.float32)
