"""Frames fitted into the model's input, and boxes on their way back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.detector.resize import RESIZES, Letterbox, Stretch

GREY = 114
SIDES = st.integers(8, 900)


def gradient(height, width):
    """An image that says where each pixel lies: red along x, green along y."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 200, width, dtype=np.uint8)
    image[..., 1] = np.linspace(0, 200, height, dtype=np.uint8)[:, None]
    image[..., 2] = 255
    return image


@settings(max_examples=80, deadline=None)
@given(height=SIDES, width=SIDES, rows=SIDES, columns=SIDES, name=st.sampled_from([*RESIZES]))
def test_a_box_of_the_content_is_the_box_of_the_frame(height, width, rows, columns, name):
    resize = RESIZES[name]((rows, columns), GREY)
    staged = np.zeros((rows, columns, 3), np.uint8)
    resize.content(staged, (height, width))[:] = 255
    ys, xs = np.nonzero(staged[..., 0])
    corners = [xs.min() / columns, ys.min() / rows, (xs.max() + 1) / columns, (ys.max() + 1) / rows]
    box = resize.to_frame(np.asarray([corners], np.float32), (height, width))[0]
    np.testing.assert_allclose(box, [0, 0, width, height], atol=0.01)


@pytest.mark.parametrize(
    ("frame", "bars", "content"),
    [
        ((60, 120), [(slice(0, 25), slice(None)), (slice(75, 100), slice(None))], (50, 100)),
        ((120, 60), [(slice(None), slice(0, 25)), (slice(None), slice(75, 100))], (100, 50)),
    ],
)
def test_a_letterbox_keeps_the_aspect_between_bars(frame, bars, content):
    resize = Letterbox((100, 100), GREY)
    image = gradient(*frame)
    staged = resize.stage(image)
    assert staged.shape == (100, 100, 3)
    for bar in bars:
        assert (staged[bar] == GREY).all()
    shown = resize.content(staged, frame)
    assert shown.shape == (*content, 3)
    assert (shown[..., 2] == 255).all()
    assert shown.base is staged
    middle = shown[content[0] // 2, content[1] // 2]
    assert abs(int(middle[0]) - 100) <= 3
    assert abs(int(middle[1]) - 100) <= 3


def test_a_point_of_the_frame_is_found_where_the_letterbox_put_it():
    resize = Letterbox((288, 288), GREY)
    image = np.zeros((480, 640, 3), np.uint8)
    image[300:320, 500:540] = 255
    ys, xs = np.nonzero(resize.stage(image)[..., 0] > GREY + 60)
    corners = np.asarray([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], np.float32) / 288
    box = resize.to_frame(corners, (480, 640))[0]
    np.testing.assert_allclose(box, [500, 300, 540, 320], atol=640 / 288)


def test_what_a_camera_stretched_is_for_stretch_alone():
    image, scaled = gradient(60, 80), gradient(30, 30)
    assert Stretch((30, 30)).stage(image, scaled) is scaled
    staged = Letterbox((30, 30), GREY).stage(image, scaled)
    assert staged is not scaled
    assert (staged[0] == GREY).all()
    assert Stretch((30, 30)).camera_size == (30, 30)
    assert Letterbox((30, 30), GREY).camera_size is None


def test_an_image_of_the_right_size_is_not_copied():
    image = gradient(30, 40)
    assert Letterbox((30, 40), GREY).stage(image) is image
    assert Stretch((30, 40)).stage(image) is image
