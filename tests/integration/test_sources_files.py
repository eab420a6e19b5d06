"""Video files, images and the demo: real files through the real decoder."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.errors import (
    BadImageError,
    ConfigError,
    SourceLostError,
    SourceNotFoundError,
)
from pi_detector.sources.base import Source
from pi_detector.sources.demo import load_photograph, render_view
from pi_detector.sources.images import ImagesSource
from pi_detector.sources.registry import make_source
from pi_detector.sources.video import VideoSource

RED_BGR = (0, 0, 255)


def write_video(path: Path, frames: int = 12) -> Path:
    """A red video whose brightness grows."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((48, 64, 3), (0, 0, 100 + 10 * number), np.uint8))
    writer.release()
    return path


def write_image(path: Path, bgr: tuple[int, int, int] = RED_BGR, width: int = 40) -> Path:
    cv2.imwrite(str(path), np.full((30, width, 3), bgr, np.uint8))
    return path


def opened(uri: str, **settings: object) -> Source:
    source = make_source(SourceSettings(uri=uri, **settings))  # type: ignore[arg-type]
    source.open()
    return source


def read_all(source: Source) -> list[Frame]:
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def check_contract(frame: Frame) -> None:
    assert frame.image.dtype == np.uint8
    assert frame.image.flags.c_contiguous
    assert not frame.image.flags.writeable
    assert 0 <= time.monotonic_ns() - frame.captured_ns < 60e9
    assert frame.captured_at.utcoffset() is not None


def test_video_gives_every_frame_in_rgb(tmp_path: Path) -> None:
    source = opened(str(write_video(tmp_path / "a clip: 1.avi")))
    frames = read_all(source)
    source.close()
    source.close()
    assert [frame.sequence for frame in frames] == list(range(12))
    assert source.live is False
    for number, frame in enumerate(frames):
        check_contract(frame)
        assert (frame.width, frame.height) == (64, 48)
        red, green, blue = frame.image.reshape(-1, 3).mean(axis=0)
        assert red == pytest.approx(100 + 10 * number, abs=6)
        assert green < 20
        assert blue < 20
    assert frames[0].source == "a clip: 1.avi"
    assert all(a.captured_ns < b.captured_ns for a, b in pairwise(frames))


def test_video_loops(tmp_path: Path) -> None:
    source = opened(f"file:{write_video(tmp_path / 'clip.avi', 3)}", loop=True)
    frames = [source.read() for _ in range(8)]
    assert [frame.sequence for frame in frames if frame] == list(range(8))
    assert np.array_equal(frames[0].image, frames[3].image)  # type: ignore[union-attr]


def test_truncated_video_ends_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "clip.avi", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        whole = read_all(opened(str(write_video(tmp_path / "whole.avi", 60))))
        assert len(whole) == 60
        assert not caplog.records
        frames = read_all(opened(str(path)))
    assert 5 < len(frames) < 50
    assert "clip.avi: ended after" in caplog.text


@pytest.mark.parametrize("content", [b"", b"no video at all" * 50])
def test_undecodable_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(BadImageError, match=r"clip\.mp4.*ffprobe"):
        opened(str(path))


@pytest.mark.parametrize("isolation", ["on", "off"])
def test_video_whose_name_is_not_utf8(tmp_path: Path, isolation: str) -> None:
    path = write_video(tmp_path / "clip.avi").rename(tmp_path / os.fsdecode(b"caf\xe9.avi"))
    frames = read_all(opened(str(path), isolation=isolation))
    assert len(frames) == 12
    assert frames[0].path == str(path)


def test_video_that_vanishes_before_it_is_opened(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi")
    source = make_source(SourceSettings(uri=str(path)))
    path.unlink()
    with pytest.raises(SourceNotFoundError, match=r"clip\.avi"):
        source.open()
    with pytest.raises(SourceLostError, match="not open"):
        source.read()


def test_folder_in_order_with_a_damaged_image(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("c.png", "a.png", "b/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / name)
    (tmp_path / "b.jpg").write_bytes(b"not an image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("not an image either")
    source = opened(f"images:{tmp_path}")
    with caplog.at_level(logging.WARNING):
        frames = read_all(source)
    assert [Path(frame.path or "").name for frame in frames] == ["a.png", "d.jpg", "c.png"]
    assert [frame.sequence for frame in frames] == [0, 1, 2]
    assert isinstance(source, ImagesSource)
    assert source.skipped == 2
    assert [
        line.split(": ")[0].rpartition("/")[2]
        for line in sorted(caplog.messages)
        if "cannot be decoded" in line
    ] == ["b.jpg", "empty.png"]
    for frame in frames:
        check_contract(frame)
        assert frame.image[10, 10, 0] > 240
        assert frame.image[10, 10, 2] < 15


def test_folder_loops(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png")
    source = opened(str(tmp_path), loop=True)
    names = [Path(source.read().path or "").name for _ in range(5)]  # type: ignore[union-attr]
    assert names == ["a.png", "b.png", "a.png", "b.png", "a.png"]


@pytest.mark.parametrize("loop", [False, True])
def test_folder_in_which_nothing_can_be_decoded(tmp_path: Path, loop: bool) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"not an image")
    source = opened(f"images:{tmp_path}", loop=loop)
    with pytest.raises(BadImageError, match=r"none of the 2 images.*a\.jpg"):
        source.read()


def test_folder_without_images_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no images in it"):
        opened(f"images:{tmp_path}")
    with pytest.raises(SourceNotFoundError, match="cannot read the folder"):
        opened(f"images:{tmp_path}/missing")


def test_single_image(tmp_path: Path) -> None:
    source = opened(str(write_image(tmp_path / "one.JPG")))
    frames = read_all(source)
    assert [frame.path for frame in frames] == [str(tmp_path / "one.JPG")]
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(BadImageError, match=r"bad\.png: cannot be decoded"):
        opened(str(tmp_path / "bad.png")).read()


def test_named_images_with_a_missing_one(tmp_path: Path) -> None:
    paths = [write_image(tmp_path / "a.png"), tmp_path / "missing.png"]
    with pytest.raises(SourceNotFoundError, match=r"missing\.png"):
        ImagesSource(paths, SourceSettings()).open()


def test_grey_image_and_name_that_is_not_utf8(tmp_path: Path) -> None:
    import os

    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xe9y.png"))
    path.write_bytes(cv2.imencode(".png", np.full((5, 7), 77, np.uint8))[1].tobytes())
    (frame,) = read_all(opened(str(path)))
    assert frame.image.shape == (5, 7, 3)
    assert (frame.image == 77).all()


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
    # TIFF header, one entry: Orientation (0x0112), SHORT, 1 value, 6: rotate by 90 degrees.
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    marker = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + marker + jpeg[2:])
    (frame,) = read_all(opened(str(path)))
    assert (frame.width, frame.height) == (30, 40)


def test_demo_moves_at_its_pace() -> None:
    source = opened("demo:", width=320, height=240, fps=50)
    frames = [source.read() for _ in range(11)]
    source.close()
    assert all(frame is not None for frame in frames)
    taken = [frame for frame in frames if frame is not None]
    for frame in taken:
        check_contract(frame)
        assert frame.image.shape == (240, 320, 3)
    # Ten intervals of 20 ms; of a view that came late the next may follow at once.
    assert (taken[-1].captured_ns - taken[0].captured_ns) / 1e9 >= 0.17
    assert not np.array_equal(taken[0].image, taken[-1].image)


def test_demo_is_the_same_at_every_run_and_stays_in_the_photograph() -> None:
    photograph = load_photograph()
    assert photograph.shape == (512, 512, 3)
    # On a picture of its own coordinates the view must show growing ones: no edge is repeated.
    down, across = np.mgrid[0:256, 0:256].astype(np.uint8)
    coordinates = np.dstack([across, down, across])
    for time_s in (0.0, 3.7, 6.5, 8.5, 20.0, 100.0):
        view = render_view(coordinates, (128, 96), time_s).astype(int)
        assert np.array_equal(view, render_view(coordinates, (128, 96), time_s))
        assert (np.diff(view[:, :, 0], axis=1) > 0).all()
        assert (np.diff(view[:, :, 1], axis=0) > 0).all()


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1920, 1080), (32, 32)])
def test_demo_in_any_size(size: tuple[int, int]) -> None:
    view = render_view(load_photograph(), size, 5.0)
    assert view.shape == (size[1], size[0], 3)


def test_demo_takes_no_target() -> None:
    with pytest.raises(ConfigError, match=r"after .demo:.: cat"):
        opened("demo:cat")


def test_a_video_may_have_the_clocks_of_its_file(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "clip.avi", frames=5))
    start = datetime(2026, 11, 24, 10, tzinfo=UTC)
    source = VideoSource(path, SourceSettings(loop=True), starts_at=start)
    source.open()
    frames = [source.read() for _ in range(12)]
    source.close()
    assert all(frames)
    seconds = [frame.captured_ns / 1e9 for frame in frames if frame]
    assert seconds == pytest.approx([number / 10 for number in range(12)])  # also round again
    walls = [(frame.captured_at - start).total_seconds() for frame in frames if frame]
    assert walls == pytest.approx(seconds, abs=1e-6)
    assert [frame.sequence for frame in frames if frame] == list(range(12))


def test_times_of_a_varying_frame_rate_are_those_of_the_file(shared: Path) -> None:
    clip = shared / "video" / "ambianic_cam_person1.mkv"
    source = VideoSource(str(clip), SourceSettings(), starts_at=datetime(2026, 1, 1, tzinfo=UTC))
    source.open()
    times_ms = [frame.captured_ns / 1e6 for frame in read_all(source)]
    assert times_ms[:3] == [0, 100, 250]
    assert len({round(b - a) for a, b in pairwise(times_ms)}) > 2
    assert times_ms[-1] == 5907
