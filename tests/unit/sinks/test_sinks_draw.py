from __future__ import annotations

import colorsys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_detector.config.settings import LineSettings, ZoneSettings
from pi_detector.core.frame import ImageArray
from pi_detector.core.geometry import Detections
from pi_detector.sinks.draw import (
    Rect,
    annotate,
    class_colour,
    place_label,
    preview,
    text_colour,
    with_places,
)

# A loaded machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

LABELS = {0: "person", 1: "bicycle"}
GREY = 90


def grey(width: int, height: int) -> ImageArray:
    image = np.full((height, width, 3), GREY, np.uint8)
    image.flags.writeable = False
    return image


def found(*boxes: tuple[float, float, float, float], class_id: int = 0) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, 0.87, np.float32),
        np.full(count, class_id),
    )


def coloured(picture: ImageArray, class_id: int = 0) -> np.ndarray:
    """(H, W) bool: the pixels that have exactly a class's colour."""
    return np.asarray((picture == class_colour(class_id)).all(axis=2))


@pytest.mark.parametrize("size", [(160, 120), (640, 480), (1920, 1080), (3840, 2160)])
def test_the_four_sides_of_a_box_have_its_colour_and_the_inside_is_untouched(
    size: tuple[int, int],
) -> None:
    width, height = size
    x1, y1, x2, y2 = (width // 4, height // 3, width * 3 // 4, height * 5 // 6)
    picture = annotate(grey(*size), found((x1, y1, x2, y2)), LABELS)
    mask = coloured(picture)
    middle_x, middle_y = width // 2, height // 2
    for x, y in ((middle_x, y2), (x1, middle_y), (x2, middle_y)):
        assert mask[y, x], (x, y)
    assert mask[y1, x2 - 10]
    assert tuple(picture[middle_y, middle_x]) == (GREY, GREY, GREY)


def test_the_input_is_not_changed_and_the_output_is_a_new_rgb_picture() -> None:
    image = grey(320, 240)
    before = image.copy()
    picture = annotate(image, found((10, 40, 90, 200)), LABELS)
    assert np.array_equal(image, before)
    assert picture.shape == image.shape
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert not np.array_equal(picture, image)


def test_nothing_found_draws_nothing() -> None:
    assert np.array_equal(annotate(grey(64, 48), Detections(), LABELS), grey(64, 48))


def test_the_label_is_above_its_box_and_below_its_edge_at_the_top() -> None:
    above = coloured(annotate(grey(640, 480), found((100, 100, 300, 300)), LABELS))
    assert above[90, 105:180].mean() > 0.4
    assert above[110, 110:180].mean() < 0.1
    top = coloured(annotate(grey(640, 480), found((100, 0, 300, 300)), LABELS))
    assert top[14, 105:180].mean() > 0.4


def test_line_and_label_grow_with_the_picture() -> None:
    def sizes(width: int, height: int) -> tuple[int, int]:
        box = (width * 0.5, height * 0.5, width * 0.9, height * 0.9)
        mask = coloured(annotate(grey(width, height), found(box), LABELS))
        line = int(mask[int(height * 0.7), : int(width * 0.7)].sum())
        label = int(mask[: int(height * 0.49), int(width * 0.5)].sum())
        return line, label

    small, medium, large = sizes(160, 120), sizes(1920, 1080), sizes(3840, 2160)
    assert small[0] >= 1
    assert small[1] >= 8
    assert small[0] < medium[0] < large[0]
    assert small[1] < medium[1] < large[1]


def test_the_text_is_drawn_in_the_contrasting_colour() -> None:
    picture = annotate(grey(640, 480), found((100, 100, 300, 300)), LABELS)
    label = picture[80:100, 100:190]
    assert text_colour(class_colour(0)) == (0, 0, 0)
    text = label.max(axis=2) < 100
    assert 50 < text.sum() < 0.5 * text.size


def test_a_label_that_the_font_lacks_is_still_drawn() -> None:
    for label in ("Fußgänger", "人", "a\nb", ""):
        picture = annotate(grey(640, 480), found((100, 100, 300, 300)), {0: label})
        assert coloured(picture)[85:98, 100:115].any(), label


def test_a_long_label_is_shortened_to_the_picture_and_keeps_its_score() -> None:
    narrow = annotate(grey(100, 200), found((10, 50, 90, 150)), {0: "a very long label indeed"})
    row = coloured(narrow)[36:46]
    assert row[:, :5].any()
    assert row[:, -8:].any()


sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))


@settings(unhurried, max_examples=60)
@given(sizes, st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 4), max_size=6))
def test_any_boxes_in_a_picture_of_any_size_can_be_drawn(
    size: tuple[int, int], shares: list[tuple[float, float, float, float]]
) -> None:
    width, height = size
    boxes = [
        (min(a, c) * width, min(b, d) * height, max(a, c) * width, max(b, d) * height)
        for a, b, c, d in shares
    ]
    assert annotate(grey(*size), found(*boxes), LABELS).shape == (height, width, 3)


@unhurried
@given(st.data())
def test_a_label_is_placed_inside_and_clear_of_others_where_that_is_possible(
    data: st.DataObject,
) -> None:
    frame = data.draw(st.tuples(st.integers(20, 500), st.integers(20, 500)))
    size = (data.draw(st.integers(1, frame[0])), data.draw(st.integers(1, frame[1])))
    x = sorted(data.draw(st.tuples(*[st.integers(0, frame[0] - 1)] * 2)))
    y = sorted(data.draw(st.tuples(*[st.integers(0, frame[1] - 1)] * 2)))
    left, top, right, bottom = place_label((x[0], y[0], x[1], y[1]), size, frame, [])
    assert (right - left, bottom - top) == size
    assert left >= 0
    assert top >= 0
    assert right <= frame[0]
    assert bottom <= frame[1]


def test_labels_of_boxes_in_one_place_do_not_cover_each_other() -> None:
    taken: list[Rect] = []
    for _ in range(3):
        taken.append(place_label((50, 50, 150, 150), (60, 12), (640, 480), taken))
    assert [place[1] for place in taken] == [38, 50, 150]


def test_colours_are_those_of_every_run_and_differ_between_neighbours() -> None:
    assert class_colour(0) == (255, 51, 51)
    assert class_colour(1) == (51, 111, 255)
    hues = [colorsys.rgb_to_hsv(*class_colour(class_id))[0] for class_id in range(12)]
    for hue, following in pairwise(hues):
        apart = abs(hue - following)
        assert min(apart, 1 - apart) > 0.3
    assert len({class_colour(class_id) for class_id in range(91)}) == 91


@pytest.mark.parametrize(
    ("background", "text"),
    [((255, 255, 0), 0), ((0, 0, 255), 255), ((0, 0, 0), 255), ((255, 255, 255), 0)],
)
def test_text_contrasts_with_its_background(background: tuple[int, int, int], text: int) -> None:
    assert text_colour(background) == (text, text, text)


def test_a_preview_keeps_the_proportions_and_never_grows() -> None:
    image = grey(640, 480)
    assert preview(image, 320).shape == (240, 320, 3)
    assert preview(image, 0) is image
    assert preview(image, 640) is image
    assert preview(image, 4000) is image
    assert preview(grey(1000, 3), 100).shape[0] >= 1


def test_the_number_of_an_object_is_part_of_its_label() -> None:
    box = (100, 100, 300, 300)
    plain = found(box)
    numbered = Detections(plain.xyxy, plain.score, plain.class_id, np.array([7]))
    unnumbered = Detections(plain.xyxy, plain.score, plain.class_id, np.array([0]))
    width = {
        name: int(coloured(annotate(grey(640, 480), drawn, LABELS))[90].sum())
        for name, drawn in (("plain", plain), ("numbered", numbered), ("none", unnumbered))
    }
    assert width["numbered"] > width["plain"] == width["none"]


def test_zones_and_lines_are_drawn_with_an_arrow_to_the_side_that_is_in() -> None:
    zones = {"door": ZoneSettings(polygon=((0.1, 0.1), (0.4, 0.1), (0.4, 0.4), (0.1, 0.4)))}
    lines = {"gate": LineSettings(points=((0.5, 0.9), (0.5, 0.5)))}  # upwards: in is to the right
    image = grey(640, 480)
    picture = with_places(image, zones, lines)
    assert (image == GREY).all()
    zone, line = coloured(picture, 0), coloured(picture, 1)
    assert zone[100, 63:66].any()
    assert zone[100, 254:257].any()
    assert not zone[220:].any()
    assert line[300, 318:322].any()
    right, left = line[320:350, 325:].sum(), line[320:350, :315].sum()
    assert right > 20
    assert left == 0


def test_without_zones_the_picture_is_a_copy() -> None:
    assert np.array_equal(with_places(grey(64, 48), {}, {}), grey(64, 48))
