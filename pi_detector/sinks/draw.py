"""Draw boxes and labels on images, readable at any size."""

from __future__ import annotations

import colorsys
import math
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pi_detector.config.settings import LineSettings, ZoneSettings
from pi_detector.core.frame import ImageArray
from pi_detector.core.geometry import Detections
from pi_detector.core.result import Result

Colour = tuple[int, int, int]
Rect = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels; x2 and y2 are outside."""

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
_SMALLEST_CAPITAL_PX = 8  # the height of a capital below which the font is not readable
_CAPITAL_SHARE = 0.022  # of the picture's shorter side
_LINE_SHARE = 0.0035
_STROKE_SHARE = 0.09  # of the height of a capital
_DARK: Colour = (0, 0, 0)
_LIGHT: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class _Label:
    """A label as it is drawn.

    Attributes:
        text: ASCII.
        colour: of the background.
        place: of the background.
        origin: left end of the text's base line.
        scale: of the font.
        stroke: width of the font's lines in pixels.
    """

    text: str
    colour: Colour
    place: Rect
    origin: tuple[int, int]
    scale: float
    stroke: int


def annotate(image: ImageArray, detections: Detections, labels: Mapping[int, str]) -> ImageArray:
    """Return a copy of an image with the boxes, labels, numbers and scores of its detections.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        detections: in pixels of ``image``, best first; the best is drawn on top.
        labels: class id to label.
    """
    picture = np.array(image, order="C")
    height, width = picture.shape[:2]
    corners = np.rint(detections.xyxy).astype(np.int64)
    corners = np.clip(corners, 0, [width - 1, height - 1, width - 1, height - 1])
    boxes = [(int(x1), int(y1), int(x2), int(y2)) for x1, y1, x2, y2 in corners]
    classes = [int(class_id) for class_id in detections.class_id]
    numbers = [0] * len(boxes) if detections.track_id is None else detections.track_id.tolist()

    labelled: list[_Label] = []
    rows = zip(boxes, classes, numbers, detections.score, strict=True)
    for box, class_id, number, score in rows:
        name = labels.get(class_id, str(class_id)) + (f" #{number}" if number else "")
        text = f"{name} {score:.0%}"
        taken = [label.place for label in labelled]
        label = _fit_label((width, height), box, text, class_colour(class_id), taken)
        if label is not None:
            labelled.append(label)
    for box, class_id in reversed(list(zip(boxes, classes, strict=True))):
        _draw_box(picture, box, class_colour(class_id))
    for label in reversed(labelled):
        _draw_label(picture, label)
    return picture


def annotated(result: Result, width: int = 0) -> ImageArray:
    """The annotated picture of a result, scaled down to ``width`` pixels before it is drawn on.

    Args:
        result: frame and detections; not changed.
        width: of the picture, in pixels; 0, or more than the frame's, keeps the frame's size.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    frame, found = result.frame, result.detections
    picture = preview(frame.image, width)
    height, width = picture.shape[:2]
    scale = np.array([width / frame.width, height / frame.height] * 2, np.float32)
    scaled = Detections(found.xyxy * scale, found.score, found.class_id, found.track_id)
    return annotate(picture, scaled, result.labels)


def with_places(
    image: ImageArray, zones: Mapping[str, ZoneSettings], lines: Mapping[str, LineSettings]
) -> ImageArray:
    """A copy of a picture with zones and lines, and an arrow in the direction ``in`` of a line.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        zones: by name.
        lines: by name.
    """
    import cv2

    picture = np.array(image, order="C")
    height, width = picture.shape[:2]
    stroke = max(2, round(_LINE_SHARE * min(picture.shape[:2])))
    placed: list[_Label] = []
    named = [(name, zone.polygon, True) for name, zone in zones.items()]
    named += [(name, line.points, False) for name, line in lines.items()]
    for number, (name, points, closed) in enumerate(named):
        colour = class_colour(number)
        corners = np.rint(np.array(points) * [width - 1, height - 1]).astype(np.int32)
        cv2.polylines(picture, [corners], closed, _DARK, 2 * stroke, cv2.LINE_AA)
        cv2.polylines(picture, [corners], closed, colour, stroke, cv2.LINE_AA)
        if not closed:
            _draw_arrow(picture, corners, colour, stroke)
        left, top = corners.min(axis=0).tolist()
        right, bottom = corners.max(axis=0).tolist()
        taken = [label.place for label in placed]
        label = _fit_label((width, height), (left, top, right, bottom), f"{name} ", colour, taken)
        if label is not None:
            placed.append(label)
    for label in placed:
        _draw_label(picture, label)
    return picture


def preview(image: ImageArray, width: int) -> ImageArray:
    """A picture scaled down to ``width`` pixels, its proportions kept.

    Args:
        image: (H, W, 3) uint8.
        width: in pixels; 0, or more than the picture's, returns the picture itself.
    """
    if width == 0 or width >= image.shape[1]:
        return image
    import imutils

    flattest = math.ceil(image.shape[1] / image.shape[0])  # at least one row must be left
    scaled: ImageArray = imutils.resize(image, width=max(width, flattest))
    return scaled


def class_colour(class_id: int) -> Colour:
    """The colour of a class, RGB, the same in every run.

    Hues a golden ratio of the circle apart: however many classes there are, neighbours differ.
    """
    red, green, blue = colorsys.hsv_to_rgb((class_id * _GOLDEN_RATIO) % 1.0, 0.8, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever has more contrast on a background.

    Source: WCAG 2.2, relative luminance and contrast ratio; at 0.179 both contrasts are equal.
    """
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (channel / 255 for channel in background)
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return _DARK if luminance > 0.179 else _LIGHT


def place_label(
    box: Rect, size: tuple[int, int], frame: tuple[int, int], taken: list[Rect]
) -> Rect:
    """Where a label goes: above its box, inside its top, or below, clear of other labels.

    Args:
        box: the box that the label belongs to.
        size: (width, height) of the label in pixels, no larger than the frame.
        frame: (width, height) of the picture in pixels.
        taken: labels that are already there.

    Returns:
        A place inside the picture. Where all three are taken, the first of them that fits.
    """
    x1, y1, _, y2 = box
    left = max(0, min(x1, frame[0] - size[0]))
    tops = [top for top in (y1 - size[1], y1, y2) if 0 <= top <= frame[1] - size[1]]
    tops.append(max(0, min(y1, frame[1] - size[1])))
    places = [(left, top, left + size[0], top + size[1]) for top in tops]
    return next((place for place in places if not _meets_any(place, taken)), places[0])


def _meets_any(rect: Rect, others: list[Rect]) -> bool:
    return any(
        rect[0] < other[2] and other[0] < rect[2] and rect[1] < other[3] and other[1] < rect[3]
        for other in others
    )


def _draw_box(picture: ImageArray, box: Rect, colour: Colour) -> None:
    import cv2

    line = max(2, round(_LINE_SHARE * min(picture.shape[:2])))
    # A dark rim keeps the line visible on a background of its own colour. Upright lines need no
    # anti-aliasing, which would dim thin ones.
    cv2.rectangle(picture, box[:2], box[2:], _DARK, line + 2 * math.ceil(line / 4))
    cv2.rectangle(picture, box[:2], box[2:], colour, line)


def _draw_arrow(picture: ImageArray, points: NDArray[np.int32], colour: Colour, line: int) -> None:
    """An arrow from the middle of a polyline's first piece to its right, where ``in`` leads."""
    import cv2

    start, end = points[0].astype(np.float64), points[1].astype(np.float64)
    along = (end - start) / max(float(np.hypot(*(end - start))), 1.0)
    middle = (start + end) / 2
    tip = middle + np.array([-along[1], along[0]]) * 0.08 * min(picture.shape[:2])
    ends = [(round(float(x)), round(float(y))) for x, y in (middle, tip)]
    cv2.arrowedLine(picture, ends[0], ends[1], _DARK, 2 * line, cv2.LINE_AA, tipLength=0.4)
    cv2.arrowedLine(picture, ends[0], ends[1], colour, line, cv2.LINE_AA, tipLength=0.4)


def _fit_label(
    size: tuple[int, int], box: Rect, text: str, colour: Colour, taken: list[Rect]
) -> _Label | None:
    """The label of a box in a picture of (width, height); None where not one letter fits."""
    import cv2

    capital = max(_SMALLEST_CAPITAL_PX, round(_CAPITAL_SHARE * min(size)))
    stroke = max(1, round(_STROKE_SHARE * capital))
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, capital, stroke)
    margin = max(2, capital // 4)

    def measure(text: str) -> tuple[int, int]:
        (width, _), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
        return width + 2 * margin, capital + below + 2 * margin

    fitted = _fit(text, lambda text: measure(text)[0] <= size[0])
    extent = measure(fitted)
    if not fitted or extent[1] > size[1]:
        return None
    place = place_label(box, extent, size, taken)
    origin = (place[0] + margin, place[1] + margin + capital)
    return _Label(fitted, colour, place, origin, scale, stroke)


def _draw_label(picture: ImageArray, label: _Label) -> None:
    import cv2

    left, top, right, bottom = label.place
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), label.colour, cv2.FILLED)
    cv2.putText(
        picture,
        label.text,
        label.origin,
        cv2.FONT_HERSHEY_SIMPLEX,
        label.scale,
        text_colour(label.colour),
        label.stroke,
        cv2.LINE_AA,
    )


def _fit(text: str, fits: Callable[[str], bool]) -> str:
    """``text`` as the font can draw it (ASCII), its label shortened until it fits; "" if never."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    plain = "".join(each if " " <= each <= "~" else "?" for each in plain)
    label, _, score = plain.rpartition(" ")
    shorter = (f"{label[:kept]}.. {score}" for kept in range(len(label) - 1, 0, -1))
    return next((each for each in (plain, *shorter, score) if fits(each)), "")
