"""Whole pictures and videos, to be damaged: made here, so that nothing has to be stored."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE = (96, 64)
_FRAMES = 8

_PICTURES = (
    (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 60]),
    (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
    (".png", []),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 50]),
    (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
    (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
    (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 8]),
    (".bmp", []),
    # A decoder is chosen by the content, whatever the suffix says.
    (".jp2", []),
    (".ppm", []),
    (".ras", []),
    (".hdr", []),
    (".pam", []),
)

_VIDEOS = (("avi", "MJPG"), ("avi", "XVID"), ("mp4", "mp4v"), ("mkv", "VP80"), ("mkv", "FFV1"))

# Of the program ffmpeg, where it is installed: what cameras send and phones record.
_ENCODERS = {
    "h264.mp4": ["-c:v", "libx264", "-bf", "2", "-g", "4", "-pix_fmt", "yuv420p"],
    "h264.mkv": ["-c:v", "libx264", "-flags", "+ilme+ildct", "-pix_fmt", "yuv420p"],
    "h264.h264": ["-c:v", "libx264", "-pix_fmt", "yuv420p"],
    "hevc.mp4": ["-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p"],
    "vp9.webm": ["-c:v", "libvpx-vp9"],
    "mjpeg.mjpeg": ["-c:v", "mjpeg"],
    "mjpeg.mov": ["-c:v", "mjpeg"],
    "mpeg2.ts": ["-c:v", "mpeg2video"],
}


def picture(number: int = 0) -> NDArray[np.uint8]:
    """A picture with edges, gradients and noise, (64, 96, 3) uint8."""
    width, height = _SIZE
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    image = np.stack([2 * x, 3 * y + 5 * number, x + y], axis=2).astype(np.uint8)
    cv2.circle(image, (20 + 8 * number, 30), 12, (10, 200, 250), -1)
    noise = np.random.default_rng(number).integers(0, 30, image.shape, np.uint8)
    return cv2.add(image, noise)


def pictures() -> list[tuple[str, bytes]]:
    """(name, bytes) of pictures in the formats that this OpenCV writes."""
    made = []
    for number, (suffix, options) in enumerate(_PICTURES):
        try:
            done, encoded = cv2.imencode(suffix, picture(number), options)
        except cv2.error:
            continue
        if done:
            made.append((f"{number}{suffix}", encoded.tobytes()))
    for depth in (8, 16):
        grey = picture()[:, :, 0].astype(np.uint16 if depth == 16 else np.uint8)
        made.append((f"grey{depth}.png", cv2.imencode(".png", grey)[1].tobytes()))
    return made


def videos() -> list[tuple[str, bytes]]:
    """(name, bytes) of videos in the formats that this OpenCV, and ffmpeg if there, write."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, codec in _VIDEOS:
            path = Path(folder, f"{codec}.{suffix}")
            writer = cv2.VideoWriter(
                str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10, _SIZE
            )
            for number in range(_FRAMES):
                writer.write(picture(number))
            writer.release()
            if path.exists():
                made.append((path.name, path.read_bytes()))
        if shutil.which("ffmpeg"):
            made += _encoded(Path(folder))
    return made


def _encoded(folder: Path) -> list[tuple[str, bytes]]:
    raw = b"".join(picture(number).tobytes() for number in range(_FRAMES))
    source = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{_SIZE[0]}x{_SIZE[1]}", "-i", "-"]
    made = []
    for name, options in _ENCODERS.items():
        path = folder / name
        command = ["ffmpeg", "-v", "quiet", "-y", *source, "-threads", "1", *options, str(path)]
        done = subprocess.run(command, input=raw, check=False)
        if done.returncode == 0:
            made.append((name, path.read_bytes()))
    return made
