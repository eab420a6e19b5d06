"""The size that a picture announces."""

import cv2
import numpy as np
import pytest

from pi_detector.sources.images import picture_size

IMAGE = np.zeros((30, 50, 3), np.uint8)


def encoded(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, IMAGE, options)[1].tobytes()


@pytest.mark.parametrize("progressive", [0, 1])
def test_jpeg(progressive: int) -> None:
    jpeg = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    assert picture_size(jpeg) == (50, 30)
    preview = b"\xff\xe1" + (60_000).to_bytes(2, "big") + jpeg + bytes(59_998 - len(jpeg))
    assert picture_size(jpeg[:2] + preview + jpeg[2:]) == (50, 30)
    assert picture_size(jpeg[:2] + b"\xff" + jpeg[2:]) == (50, 30)


def test_png() -> None:
    assert picture_size(encoded(".png")) == (50, 30)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_what_says_nothing(suffix: str) -> None:
    whole = encoded(suffix)
    for length in range(20):
        assert picture_size(whole[:length]) is None
    assert picture_size(b"\xff\xd8" + b"\xff\xe0\x00\x00" * 99) is None
    assert picture_size(b"\xff\xd8" + bytes(99)) is None
