"""JPEGs are found in a stream of bytes whatever stands between them, in pieces of any size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pi_detector.sources import jpegs
from pi_detector.sources.jpegs import JpegScanner, TooLongError


def jpeg(seed: int, *options: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (40, 56, 3), np.uint8)
    return cv2.imencode(".jpg", noise, options)[1].tobytes()


def with_preview(image: bytes, preview: bytes) -> bytes:
    """An image whose header holds another one, as EXIF's does."""
    segment = b"Exif\0\0" + preview
    return image[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment + image[2:]


IMAGES = [
    jpeg(1),
    jpeg(2, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    jpeg(3, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    with_preview(jpeg(4), jpeg(5)),
    jpeg(6)[:2] + b"\xff\xff\xff" + jpeg(6)[2:],  # markers may be padded
]


def scan(data: bytes, size: int) -> list[bytes]:
    scanner = JpegScanner()
    found = []
    for start in range(0, len(data), size):
        scanner.feed(data[start : start + size])
        while (image := scanner.take()) is not None:
            found.append(image)
    return found


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("between", [b"", b"\r\n--frame\r\n\r\n", b"\xff\xd8\r\n", b"\xff" * 5])
def test_all_are_found(between: bytes, size: int) -> None:
    assert scan(between + between.join(IMAGES) + between, size) == IMAGES


@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_damaged_is_dropped(size: int) -> None:
    first, second, third = IMAGES[:3]
    assert scan(first[:-300] + second, size) == [second]  # cut off
    assert scan(first[:20] + bytes(400) + second, size) == [second]
    assert scan(first[:4] + b"\0\0" + first[6:100] + second + third, size)[-1] == third
    assert scan(first, size) == [first]
    assert scan(first[:-1], size) == []


def test_a_jpeg_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpegs, "LONGEST_JPEG", 5000)
    scanner = JpegScanner()
    scanner.feed(IMAGES[0][:-2])
    assert scanner.take() is None
    scanner.feed(bytes(5000))
    assert scanner.take() is None
    with pytest.raises(TooLongError):
        scanner.feed(b"\0")


def test_bytes_that_are_no_jpeg_are_not_kept() -> None:
    scanner = JpegScanner()
    for _ in range(100):
        scanner.feed(bytes(1 << 20))
        assert scanner.take() is None
    assert len(scanner._buffer) < 10


def test_noise_is_survived() -> None:
    random = np.random.default_rng(9)
    whole = b"".join(IMAGES)
    for _ in range(60):
        damaged = bytearray(whole)
        for at in random.integers(0, len(whole), 30):
            damaged[at] = random.choice([0x00, 0xD8, 0xD9, 0xFF, 0x7F])
        # A damaged length skips 64 KiB at most.
        assert len(scan(bytes(damaged) + IMAGES[0] * 20, 4096)) >= 1
