"""Cameras are found by what the kernel says of them, and nothing is taken for one that is none."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from other_user import let_others_enter, unprivileged

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import SourceNotFoundError, SourcePermissionError
from pi_detector.sources import videodev
from pi_detector.sources.discover import find_cameras, find_v4l2_cameras
from pi_detector.sources.v4l2 import V4l2Source


def raw_capability(driver: bytes, device_caps: int) -> bytes:
    return struct.pack(
        "=16s32s32s6I", driver, b"A camera", b"usb-1", 0, 1 << 31, device_caps, 0, 0, 0
    )


@pytest.mark.parametrize(
    ("driver", "device_caps", "is_camera"),
    [
        (b"uvcvideo", 0x04200001, True),
        (b"uvcvideo", 0x04A00000, False),  # the metadata node of the same webcam
        (b"vivid", 0x04001000, True),  # multi-planar
        (b"bcm2835-isp", 0x04000001, False),
        (b"uvcvideo", 0x01000001, False),  # cannot stream
    ],
)
def test_capability(driver: bytes, device_caps: int, is_camera: bool) -> None:
    capability = videodev.parse_capability(raw_capability(driver, device_caps))
    assert capability.driver == driver.decode()
    assert capability.card == "A camera"
    assert capability.is_camera is is_camera


def test_what_is_no_video_device_has_no_capability() -> None:
    with Path(os.devnull).open("rb") as device:
        assert videodev.query_capability(device.fileno()) is None


def test_find_cameras_answers_on_any_machine() -> None:
    for camera in find_cameras():
        assert camera.uri.startswith(("v4l2:", "picamera:"))


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, Path]:
    """A /sys/class/video4linux and a /dev in which two nodes are ordinary files."""
    sys_class, dev = tmp_path / "sys", tmp_path / "dev"
    (dev / "v4l/by-id").mkdir(parents=True)
    for number, index in ((0, "0"), (1, "1")):
        entry = sys_class / f"video{number}"
        entry.mkdir(parents=True)
        (entry / "name").write_text("HD Webcam\n")
        (entry / "index").write_text(index)
        (dev / f"video{number}").touch(mode=0o600)
    (dev / "v4l/by-id/usb-HD-index0").symlink_to(dev / "video0")
    let_others_enter(tmp_path)
    return sys_class, dev


def test_a_node_that_is_no_camera_is_not_found(tree: tuple[Path, Path]) -> None:
    assert find_v4l2_cameras(*tree) == []


def test_a_camera_without_permission_is_found(tree: tuple[Path, Path]) -> None:
    sys_class, dev = tree
    for node in dev.glob("video*"):
        node.chmod(0)
    with unprivileged():
        found = find_v4l2_cameras(sys_class, dev)
    assert [(camera.uri, camera.permitted) for camera in found] == [(f"v4l2:{dev}/video0", False)]
    assert found[0].description == "HD Webcam"
    assert found[0].by_id == str(dev / "v4l/by-id/usb-HD-index0")


def test_identical_webcams_are_told_apart_by_their_connectors(tree: tuple[Path, Path]) -> None:
    sys_class, dev = tree
    # Two webcams of one make without serial numbers: the second has no name by id.
    (sys_class / "video1" / "index").write_text("0")
    by_path = dev / "v4l/by-path"
    by_path.mkdir()
    for number in (0, 1):
        for kind in ("usb", "usbv2"):
            link = by_path / f"pci-0000:01:00.0-{kind}-0:1.{number}:1.0-video-index0"
            link.symlink_to(dev / f"video{number}")
        (dev / f"video{number}").chmod(0)
    with unprivileged():
        twins = find_v4l2_cameras(sys_class, dev)
    (sys_class / "video1" / "name").write_text("Another Webcam")
    with unprivileged():
        others = find_v4l2_cameras(sys_class, dev)
    assert [camera.has_twin for camera in twins] == [True, True]
    assert [camera.permanent_uri for camera in twins] == [
        f"v4l2:{by_path}/pci-0000:01:00.0-usb-0:1.{number}:1.0-video-index0" for number in (0, 1)
    ]
    assert [camera.has_twin for camera in others] == [False, False]
    assert others[0].permanent_uri == f"v4l2:{dev}/v4l/by-id/usb-HD-index0"
    assert others[1].permanent_uri == twins[1].permanent_uri


def test_no_video_subsystem(tmp_path: Path) -> None:
    assert find_v4l2_cameras(tmp_path / "missing", tmp_path) == []


def test_absent_camera() -> None:
    source = V4l2Source("/dev/video97", SourceSettings())
    with pytest.raises(SourceNotFoundError, match=r"/dev/video97.*plug it in"):
        source.open()
    source.close()


def test_a_device_that_is_no_camera() -> None:
    with pytest.raises(SourceNotFoundError, match="not a camera"):
        V4l2Source(os.devnull, SourceSettings()).open()


def test_camera_without_permission(tree: tuple[Path, Path]) -> None:
    node = tree[1] / "video0"
    node.chmod(0)
    with unprivileged(), pytest.raises(SourcePermissionError, match="usermod -aG video"):
        V4l2Source(str(node), SourceSettings()).open()


def test_importing_the_sources_costs_no_opencv() -> None:
    code = """if True:
        import sys
        from pi_detector.config.settings import SourceSettings
        from pi_detector.sources.registry import make_source
        make_source(SourceSettings(uri="v4l2:0"))
        sys.exit(", ".join({"cv2", "imutils", "picamera2", "pywt"} & set(sys.modules)) or 0)
    """
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
