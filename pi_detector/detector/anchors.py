"""SSD anchors (prior boxes) and the box coding that is relative to them.

Single source of truth for host and device: training encodes with these
functions, the device decodes with them, and the manifest of a bundle carries
the few numbers that define them.

Sources: W. Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016
(anchors, centre-size coding); S. Ren et al., "Faster R-CNN", 2015 (the coding).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

MAX_LOG_SIZE = 4.0
"""Bound on the decoded log-size, so that a wild regression cannot overflow ``exp``."""


Shape = tuple[float, float]
"""Width and height of an anchor, in pixels of the network's input."""


@dataclass(frozen=True, slots=True)
class AnchorSpec:
    """The numbers that define the anchors of an SSD network.

    Attributes:
        input_size: (height, width) of the network's input, in pixels.
        strides: stride of each feature map, finest first, in input pixels.
        shapes: for each feature map, the anchors at every location.
        variances: scales of the box coding (x, y, width, height).
        steps: for each feature map, the distance of its locations in input pixels, in both
            directions; None: the strides.
        offsets: for each feature map, the centre of its first location in input pixels, in both
            directions; None: half of a step.
    """

    input_size: tuple[int, int]
    strides: tuple[int, ...]
    shapes: tuple[tuple[Shape, ...], ...]
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    steps: tuple[float, ...] | None = None
    offsets: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, values in (
            ("shapes", self.shapes),
            ("steps", self.steps),
            ("offsets", self.offsets),
        ):
            if values is not None and len(values) != len(self.strides):
                raise ValueError(f"{len(self.strides)} strides but {len(values)} {name}")

    @property
    def per_location(self) -> tuple[int, ...]:
        """Anchors at each location, by feature map."""
        return tuple(len(shapes) for shapes in self.shapes)

    @property
    def map_sizes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each feature map ('SAME' padding: rounded up)."""
        height, width = self.input_size
        return tuple((math.ceil(height / s), math.ceil(width / s)) for s in self.strides)

    def __len__(self) -> int:
        maps = zip(self.map_sizes, self.per_location, strict=True)
        return sum(rows * columns * count for (rows, columns), count in maps)


def shapes_of(sizes: Iterable[float], aspect_ratios: Iterable[float]) -> tuple[Shape, ...]:
    """Anchors of one location: of the area of each square, in each aspect ratio.

    Args:
        sizes: side lengths of the squares, in pixels.
        aspect_ratios: width / height.
    """
    ratios = tuple(aspect_ratios)
    return tuple((s * math.sqrt(r), s / math.sqrt(r)) for s in sizes for r in ratios)


def make_anchors(spec: AnchorSpec) -> FloatArray:
    """Lay out all anchors of ``spec``.

    Returns:
        (N, 4) float32 ``cx, cy, width, height`` in pixels of the network's input, ordered by
        feature map, row, column, shape: the order of the network's outputs.
    """
    steps = spec.steps or spec.strides
    offsets = spec.offsets or tuple(step / 2 for step in steps)
    blocks = []
    for step, offset, shapes, (rows, columns) in zip(
        steps, offsets, spec.shapes, spec.map_sizes, strict=True
    ):
        block = np.empty((rows, columns, len(shapes), 4), np.float32)
        block[..., 0] = (np.arange(columns) * step + offset)[None, :, None]
        block[..., 1] = (np.arange(rows) * step + offset)[:, None, None]
        block[..., 2:] = np.asarray(shapes, np.float32)
        blocks.append(block.reshape(-1, 4))
    return np.concatenate(blocks)


def decode_boxes(
    coded: FloatArray, anchors: FloatArray, variances: tuple[float, float, float, float]
) -> FloatArray:
    """Turn coded offsets into boxes.

    Args:
        coded: (N, 4) ``tx, ty, tw, th``: offsets in units of the anchors and the variances.
        anchors: (N, 4) ``cx, cy, width, height``, the anchors that they belong to.
        variances: scales of the coding.

    Returns:
        (N, 4) ``x1, y1, x2, y2`` in the units of the anchors.
    """
    scaled = coded * np.asarray(variances, np.float32)
    centre = anchors[:, :2] + scaled[:, :2] * anchors[:, 2:]
    half = 0.5 * anchors[:, 2:] * np.exp(np.clip(scaled[:, 2:], -MAX_LOG_SIZE, MAX_LOG_SIZE))
    return np.concatenate([centre - half, centre + half], axis=1)
