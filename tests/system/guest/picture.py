"""The picture that the cameras of the guests show: a person, and colours that are known.

It is a view of the source ``demo:``, with three stripes along its upper edge. The photograph is
grey, so that only the stripes tell red from blue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pi_detector.sources.demo import load_photograph, render_view

Image = NDArray[np.uint8]

STRIPES = {"red": (200, 30, 40), "green": (40, 160, 60), "blue": (30, 60, 190)}
_STRIPE_SHARE = 1 / 16
# JPEG and limited-range YUV change a colour by a few steps.
_TOLERANCE = 20


def render(size: tuple[int, int], time_s: float) -> Image:
    """The picture.

    Args:
        size: (width, height) in pixels.
        time_s: the view pans and zooms in time.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    image = render_view(load_photograph(), size, time_s)
    for box, colour in _stripes(size):
        image[box] = colour
    return image


def load(path: Path) -> Image:
    """A picture file, as (H, W, 3) uint8 RGB."""
    import cv2

    bgr = cv2.imread(str(path))
    assert bgr is not None, f"{path} cannot be read"
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def check_colours(image: Image) -> str:
    """Fail unless the stripes of an RGB picture have their colours; returns what they have."""
    height, width = image.shape[:2]
    seen = []
    for (rows, columns), colour in _stripes((width, height)):
        inner = image[rows.stop // 4 : -(-rows.stop * 3 // 4), columns.start + 8 : columns.stop - 8]
        # Not the mean: the box and name of what was detected may lie on a part of the stripe.
        middle = np.median(inner.reshape(-1, 3), axis=0)
        seen.append(tuple(int(value) for value in middle.round()))
        assert np.abs(middle - colour).max() <= _TOLERANCE, f"{seen[-1]} is not {colour} (RGB)"
    return " ".join(map(str, seen))


def check_turned(turned: dict[int, Image]) -> str:
    """Fail unless pictures, by the degrees that they were rotated clockwise, are right turned back.

    The stripes along the upper edge tell which way up a picture is, and that it is not mirrored.
    """
    for degrees, image in turned.items():
        try:
            check_colours(np.rot90(image, degrees // 90))
        except AssertionError as error:
            raise AssertionError(f"rotated by {degrees}: {error}") from error
    return f"rotated by {', '.join(map(str, turned))}"


def _stripes(size: tuple[int, int]) -> list[tuple[tuple[slice, slice], tuple[int, int, int]]]:
    """Where each stripe is, and its colour."""
    width, height = size
    third = width // len(STRIPES)
    rows = slice(0, round(height * _STRIPE_SHARE))
    return [
        ((rows, slice(number * third, (number + 1) * third)), colour)
        for number, colour in enumerate(STRIPES.values())
    ]
