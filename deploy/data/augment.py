"""Augmentation: one affine warp (crop, zoom-out, stretch, flip), mosaic, and light.

The warp maps a rectangle of the photo, inside it (zoom in) or around it (zoom out: objects become
small, as a security camera sees them), to the network's square input, as the device's resize does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from deploy.data.dataset import Photo

MIN_SIDE_PX = 5.0
"""A box thinner than this in the network's input is ignored: no network of stride 8 sees it."""
MIN_VISIBLE = 0.35
"""A box of which less than this share is left after a crop is ignored."""
MOSAIC_PROBABILITY = 0.3


@dataclass
class Sample:
    """A network input with its targets.

    Attributes:
        image: (size, size, 3) uint8 RGB.
        xyxy: (N, 4) float32 boxes in pixels of ``image``.
        classes: (N,) int64 class indices.
        ignored: (N,) bool: neither object nor background.
        regions: (R, 4) float32 ``x1, y1, x2, y2``: parts of ``image`` from different photos.
        known: (R, classes) bool, the classes annotated in each region.
    """

    image: NDArray[np.uint8]
    xyxy: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    classes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    ignored: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    regions: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    known: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), bool))


def plain(photo: Photo, image: NDArray[np.uint8], size: int) -> Sample:
    """The whole photo, stretched to the input: what the device feeds the network."""
    height, width = image.shape[:2]
    canvas = Sample(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR))
    _paste_targets(canvas, photo, (0.0, 0.0, width, height), (0, 0, size, size), flip=False)
    return canvas


def augmented(
    photos: list[tuple[Photo, NDArray[np.uint8]]], size: int, rng: np.random.Generator
) -> Sample:
    """An augmented sample of one photo, or a mosaic of four.

    Args:
        photos: one or four (photo, its pixels).
        size: side of the square sample.
        rng: source of randomness.
    """
    canvas = Sample(np.empty((size, size, 3), np.uint8))
    canvas.image[:] = rng.integers(0, 256, 3, dtype=np.uint8)
    if len(photos) == 1:
        _paste(canvas, photos[0], (0, 0, size, size), rng, shrink=1.0)
    else:
        x, y = (int(v) for v in rng.uniform(0.3, 0.7, 2) * size)
        parts = [(0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size)]
        for (photo, image), part in zip(photos, parts, strict=True):
            _paste(canvas, (photo, image), part, rng, shrink=0.75)
    canvas.image = _relight(canvas.image, rng)
    return canvas


def _view(
    width: int, height: int, rng: np.random.Generator, shrink: float
) -> tuple[float, float, float, float]:
    """A random rectangle of the photo: x, y, width, height, possibly larger than the photo."""
    kind = rng.random()
    if kind < 0.35:
        scale = rng.uniform(0.35, 1.0)
    elif kind < 0.7:
        scale = rng.uniform(1.0, 2.2)
    else:
        scale = 1.0
    scale = max(0.35, scale * shrink)
    stretch = np.exp(rng.uniform(-0.22, 0.22))
    view_w, view_h = width * scale * stretch, height * scale / stretch
    x = rng.uniform(min(0.0, width - view_w), max(0.0, width - view_w))
    y = rng.uniform(min(0.0, height - view_h), max(0.0, height - view_h))
    return x, y, view_w, view_h


def _paste(
    canvas: Sample,
    pair: tuple[Photo, NDArray[np.uint8]],
    part: tuple[int, int, int, int],
    rng: np.random.Generator,
    shrink: float,
) -> None:
    """Warp a random view of a photo into ``part`` (x1, y1, x2, y2) of the canvas."""
    photo, image = pair
    x1, y1, x2, y2 = part
    height, width = image.shape[:2]
    view = _view(width, height, rng, shrink)
    flip = bool(rng.random() < 0.5)
    sx, sy = (x2 - x1) / view[2], (y2 - y1) / view[3]
    tx = -view[0] * sx
    if flip:
        sx, tx = -sx, (x2 - x1) - tx
    matrix = np.asarray([[sx, 0, tx], [0, sy, -view[1] * sy]], np.float32)
    border = tuple(int(v) for v in rng.integers(0, 256, 3))
    canvas.image[y1:y2, x1:x2] = cv2.warpAffine(
        image, matrix, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR, borderValue=border
    )
    _paste_targets(canvas, photo, view, part, flip)


def _paste_targets(
    canvas: Sample,
    photo: Photo,
    view: tuple[float, float, float, float],
    part: tuple[int, int, int, int],
    flip: bool,
) -> None:
    x1, y1, x2, y2 = part
    scale = np.asarray([(x2 - x1) / view[2], (y2 - y1) / view[3]] * 2, np.float32)
    boxes = (photo.xyxy - np.asarray([view[0], view[1]] * 2, np.float32)) * scale
    if flip:
        boxes[:, [0, 2]] = (x2 - x1) - boxes[:, [2, 0]]
    boxes += np.asarray([x1, y1] * 2, np.float32)
    full_area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    boxes[:, 0::2] = boxes[:, 0::2].clip(x1, x2)
    boxes[:, 1::2] = boxes[:, 1::2].clip(y1, y2)
    sides = boxes[:, 2:] - boxes[:, :2]
    visible = np.prod(sides, axis=1) / np.maximum(full_area, 1e-6)
    keep = sides.min(axis=1, initial=np.inf) > 1.0
    ignored = photo.ignored | (visible < MIN_VISIBLE)
    ignored |= sides.min(axis=1, initial=np.inf) < MIN_SIDE_PX
    canvas.xyxy = np.concatenate([canvas.xyxy, boxes[keep]])
    canvas.classes = np.concatenate([canvas.classes, photo.classes[keep]])
    canvas.ignored = np.concatenate([canvas.ignored, ignored[keep]])
    canvas.regions = np.concatenate([canvas.regions, np.asarray([part], np.float32)])
    known = canvas.known.reshape(-1, len(photo.known))
    canvas.known = np.concatenate([known, photo.known[None]])


def _relight(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Colour, night, infrared, blur, noise and compression, each with its own probability."""
    if rng.random() < 0.8:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        ramp = np.arange(256, dtype=np.float32)
        hue = ((ramp + rng.uniform(-9, 9)) % 180).astype(np.uint8)
        saturation = (ramp * rng.uniform(0.5, 1.5)).clip(0, 255).astype(np.uint8)
        gain, offset = rng.uniform(0.65, 1.35), rng.uniform(-25, 25)
        value = (ramp * gain + offset).clip(0, 255).astype(np.uint8)
        hsv = cv2.LUT(hsv, np.stack([hue, saturation, value], -1)[None])
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if rng.random() < 0.12:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.15:
        gamma = np.exp(rng.uniform(-0.5, 0.9))
        curve = (255 * (np.arange(256) / 255.0) ** gamma).astype(np.uint8)
        image = cv2.LUT(image, curve)
    if rng.random() < 0.1:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.5))
    if rng.random() < 0.1:
        noise = rng.normal(0, rng.uniform(3, 14), image.shape)
        image = (image + noise).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        quality = int(rng.integers(25, 75))
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return image
