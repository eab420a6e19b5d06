from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pi_detector.config.outputs import OutputSettings
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.result import Result, Timings
from pi_detector.errors import SinkError
from pi_detector.sinks.registry import make_sinks
from pi_detector.sinks.snapshots import AnnotatedImageSink, SnapshotSink, snapshot_name
from pi_detector.sinks.video import VideoSink

START = datetime(2026, 11, 24, 2, 3, 4, 123456, UTC)
ONE = Detections(
    np.array([[20, 40, 100, 110]], np.float32), np.array([0.9], np.float32), np.array([0])
)


def a_result(
    number: int = 0, found: Detections = ONE, at_s: float | None = None, **changes: Any
) -> Result:
    """Frame ``number`` of a camera of 10 frames a second; its image is bright or dark by turns."""
    at_s = number / 10 if at_s is None else at_s
    frame = {
        "image": np.full((120, 160, 3), 200 if number % 2 else 50, np.uint8),
        "sequence": number,
        "captured_ns": 10**12 + round(at_s * 1e9),
        "captured_at": START + timedelta(seconds=at_s),
        "source": "v4l2:/dev/video0",
        **changes,
    }
    return Result(Frame(**frame), found, {0: "person"}, Timings(1, 1, 1, 3))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small file system: needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_snapshot_is_an_annotated_jpeg_named_by_time_number_and_source(tmp_path: Path) -> None:
    sink = SnapshotSink(tmp_path / "new" / "folder")
    sink.start()
    sink.handle(a_result(42))
    sink.close()
    (file,) = (tmp_path / "new" / "folder").iterdir()
    assert file.name == "20261124T020308.323Z-000042-v4l2_dev_video0.jpg"
    picture = cv2.imread(str(file))
    assert picture.shape == (120, 160, 3)
    blue, green, red = picture[80, 20].astype(int)
    assert red > blue + 60, "the box of class 0 is red"
    assert red > green + 60


def test_a_name_is_in_utc_and_without_characters_that_folders_dislike() -> None:
    frame = a_result(source="../../rtsp://hé st/", captured_at=START.astimezone()).frame
    assert snapshot_name(frame) == "20261124T020304.123Z-000000-rtsp_h_st.jpg"
    assert snapshot_name(a_result(source="/").frame) == "20261124T020304.123Z-000000.jpg"


def test_frames_without_detections_are_not_kept(tmp_path: Path) -> None:
    sink = SnapshotSink(tmp_path)
    sink.start()
    sink.handle(a_result(found=Detections()))
    assert names(tmp_path) == []


def test_snapshots_are_as_rare_as_asked(tmp_path: Path) -> None:
    sink = SnapshotSink(tmp_path, interval_s=1.0)
    sink.start()
    for number in range(31):
        sink.handle(a_result(number))
    assert [name.split("-")[1] for name in names(tmp_path)] == [
        "000000",
        "000010",
        "000020",
        "000030",
    ]


def test_snapshots_are_scaled_down(tmp_path: Path) -> None:
    sink = SnapshotSink(tmp_path, width=80)
    sink.start()
    sink.handle(a_result())
    (file,) = tmp_path.iterdir()
    picture = cv2.imread(str(file))
    assert picture.shape == (60, 80, 3)
    assert picture[40, 10, 2] > picture[40, 30, 2] + 60, "the box is scaled as well"


def test_the_oldest_go_and_files_of_others_stay(tmp_path: Path) -> None:
    old = ["20200101T000000.000Z-000007.jpg", "20200101T000001.000Z-000008-demo.jpg"]
    cut_off = ".20200101T000002.000Z-000009.jpg.part"
    foreign = ["20200101.jpg", "aaa.jpg", "20200101T000000.000Z-000007.png", ".notes.part"]
    for name in (*old, *foreign, cut_off):
        (tmp_path / name).touch()
    sink = SnapshotSink(tmp_path, interval_s=0, keep=3)
    sink.start()
    assert cut_off not in names(tmp_path)
    sink.handle(a_result(0))
    assert set(old) <= set(names(tmp_path))
    for number in range(1, 5):
        sink.handle(a_result(number))
    ours = [name for name in names(tmp_path) if name not in foreign]
    assert [name.split("-")[1] for name in ours] == ["000002", "000003", "000004"]
    assert set(foreign) <= set(names(tmp_path))


def test_a_wall_clock_that_jumps_back_does_not_delete_the_newest(tmp_path: Path) -> None:
    sink = SnapshotSink(tmp_path, interval_s=0, keep=1)
    sink.start()
    sink.handle(a_result(0))
    later = a_result(1, captured_at=START - timedelta(days=400))
    sink.handle(later)
    assert names(tmp_path) == [snapshot_name(later.frame)]


def test_a_folder_that_cannot_be_is_an_error_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below", Path("/proc/snapshots")):
        for sink in (SnapshotSink(folder), AnnotatedImageSink(folder), VideoSink(folder / "a.mp4")):
            with pytest.raises(SinkError, match=f"^{folder}: cannot write: ") as error:
                sink.start()
            assert error.value.exit_code == os.EX_IOERR


def test_a_full_disk_is_an_error_and_the_sink_recovers(tiny_disk: Path) -> None:
    sink = SnapshotSink(tiny_disk, interval_s=0)
    sink.start()
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(60 * 1024))
    noise = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
    with pytest.raises(
        SinkError, match=f"{tiny_disk}: cannot write: No space left.*free some space"
    ):
        sink.handle(a_result(0, image=noise))
    assert names(tiny_disk) == ["ballast"]
    ballast.unlink()
    sink.handle(a_result(1, image=noise))
    assert len(names(tiny_disk)) == 1


def test_a_full_disk_is_noticed_before_a_video_is_spoiled(tiny_disk: Path) -> None:
    sink = VideoSink(tiny_disk / "a.avi", fps=10)
    sink.start()
    with pytest.raises(SinkError, match="disk is full"):
        sink.handle(a_result())
    sink.close()


def test_annotated_images_are_named_after_their_files_and_overwrite_nothing(tmp_path: Path) -> None:
    (tmp_path / "there.jpg").write_text("an input")
    sink = AnnotatedImageSink(tmp_path)
    sink.start()
    for number, path in enumerate(
        ["a/x.jpg", "b/x.png", "c/x.JPEG", "there.jpg", "clip.mkv", "clip.mkv", None]
    ):
        sink.handle(a_result(number, path=path, found=ONE if number % 2 else Detections()))
    assert names(tmp_path) == [
        "000006.jpg",
        "clip-000004.jpg",
        "clip-000005.jpg",
        "there-2.jpg",
        "there.jpg",
        "x-2.jpg",
        "x-3.jpg",
        "x.jpg",
    ]
    assert (tmp_path / "there.jpg").read_text() == "an input"


def test_an_annotated_image_of_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    sink = AnnotatedImageSink(tmp_path)
    sink.start()
    sink.handle(a_result(path=os.fsdecode(b"caf\xe9.png")))
    assert [os.fsencode(name) for name in names(tmp_path)] == [b"caf\xe9.jpg"]


def test_a_picture_too_wide_for_jpeg_is_an_error(tmp_path: Path) -> None:
    sink = AnnotatedImageSink(tmp_path)
    sink.start()
    with pytest.raises(SinkError, match="does not fit in a JPEG"):
        sink.handle(a_result(image=np.zeros((2, 66000, 3), np.uint8)))


def video(path: Path) -> tuple[float, list[int]]:
    """The rate of a video, and the brightness of a corner of each of its frames."""
    capture = cv2.VideoCapture(str(path))
    rate, corners = capture.get(cv2.CAP_PROP_FPS), []
    while True:
        more, frame = capture.read()
        if not more:
            return rate, corners
        corners.append(int(frame[5, 150].mean()))


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "A.MP4"])
def test_a_video_at_a_given_rate_has_a_frame_for_each_result(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / name
    sink = VideoSink(path, fps=12.5)
    assert sink.lossless
    sink.start()
    for number in range(6):
        sink.handle(a_result(number))
    assert not path.exists()
    sink.close()
    assert names(path.parent) == [name]
    rate, corners = video(path)
    assert rate == pytest.approx(12.5, abs=0.1)
    np.testing.assert_allclose(corners, [50, 200] * 3, atol=12)


def test_a_live_video_has_the_rate_and_the_speed_of_its_source(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.avi")
    assert not sink.lossless
    sink.start()
    for number in range(11):
        sink.handle(a_result(number))
    sink.handle(a_result(15))  # four frames were dropped
    for number, at_s in ((16, 1.52), (17, 1.54), (18, 1.6)):  # and then came faster
        sink.handle(a_result(number, at_s=at_s))
    sink.handle(a_result(19, at_s=1000.0))  # the source was gone for long
    sink.close()
    rate, corners = video(tmp_path / "a.avi")
    assert rate == pytest.approx(10, abs=0.1)
    assert len(corners) == 18
    np.testing.assert_allclose(corners[11:16], [200] * 5, atol=12)


def test_a_video_of_less_than_the_measured_frames_is_finished(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4")
    sink.start()
    sink.handle(a_result())
    sink.close()
    sink.close()
    assert len(video(tmp_path / "a.mp4")[1]) == 1


def test_a_video_of_nothing_is_no_file(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4")
    sink.start()
    sink.close()
    assert names(tmp_path) == []


def test_frames_of_another_size_are_scaled_to_the_first(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.avi", fps=5)
    sink.start()
    sink.handle(a_result(0))
    sink.handle(a_result(1, image=np.full((300, 400, 3), 200, np.uint8)))
    sink.close()
    np.testing.assert_allclose(video(tmp_path / "a.avi")[1], [50, 200], atol=12)


def test_a_video_of_an_unknown_kind_is_an_error_at_once() -> None:
    with pytest.raises(SinkError, match=r"^a\.webm: .*\.mp4 or \.avi"):
        VideoSink(Path("a.webm"))


def test_the_settings_make_the_sinks_that_they_name(tmp_path: Path) -> None:
    assert [sink.name for sink in make_sinks(OutputSettings())] == ["stdout"]
    assert make_sinks(OutputSettings(stdout="none")) == []
    everything = OutputSettings(
        snapshots=str(tmp_path), snapshot_keep=1, snapshot_interval_s=0, video="~/a.mp4"
    )
    sinks = make_sinks(everything)
    assert [(sink.name, sink.lossless) for sink in sinks] == [
        ("stdout", True),
        ("snapshots", False),
        ("video", False),
    ]
    sinks[1].start()
    for number in range(3):
        sinks[1].handle(a_result(number))
    assert [name.split("-")[1] for name in names(tmp_path)] == ["000002"]
    with pytest.raises(SinkError, match="~nobody-of-that-name/x"):
        make_sinks(OutputSettings(snapshots="~nobody-of-that-name/x"))


def test_a_video_whose_name_is_not_utf8_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="UTF-8"):
        VideoSink(tmp_path / os.fsdecode(b"caf\xe9.mp4")).start()
