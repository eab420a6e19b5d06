"""Find the available cameras."""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from pi_detector.errors import DependencyMissingError
from pi_detector.sources import picamera, videodev

log = logging.getLogger(__name__)

_SYS_CLASS = Path("/sys/class/video4linux")
_DEV = Path("/dev")


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """An available camera.

    Attributes:
        uri: opens it, such as ``v4l2:/dev/video0`` or ``picamera:0``.
        description: its name.
        by_id: path under ``/dev/v4l/by-id`` that stays the same whenever it is plugged in, or None.
            Among identical webcams without a serial number, only one has it.
        permitted: this user may open it.
        by_path: path under ``/dev/v4l/by-path``, the same while the camera stays at its connector,
            or None.
        has_twin: another camera is of the same make, and one of the two has no name of its own.
    """

    uri: str
    description: str
    by_id: str | None
    permitted: bool
    by_path: str | None = None
    has_twin: bool = False

    @property
    def permanent_uri(self) -> str | None:
        """The URI that opens this camera and no other, even after a reboot; or None."""
        path = self.by_path if self.has_twin or self.by_id is None else self.by_id
        return f"v4l2:{path}" if path else None


def find_cameras() -> list[CameraInfo]:
    """Return all cameras: those of picamera2 first, then V4L2 capture devices (USB webcams)."""
    return find_picameras() + find_v4l2_cameras()


def find_picameras() -> list[CameraInfo]:
    """Return the cameras on the camera connectors that libcamera finds; none without picamera2.

    libcamera lists USB webcams too; those are left to V4L2, which serves them directly.
    """
    try:
        cameras = picamera.list_cameras()
    except DependencyMissingError as error:
        log.debug("%s", error)
        return []
    return [
        CameraInfo(f"picamera:{index}", camera.model, by_id=None, permitted=True)
        for index, camera in enumerate(cameras)
        if not camera.usb
    ]


def find_v4l2_cameras(sys_class: Path = _SYS_CLASS, dev: Path = _DEV) -> list[CameraInfo]:
    """Return the V4L2 devices that deliver images, in the order of their numbers.

    Args:
        sys_class: the kernel's folder of video devices.
        dev: folder of the device nodes.
    """
    if not sys_class.is_dir():
        return []
    by_id, by_path = (_links(dev / "v4l" / name) for name in ("by-id", "by-path"))
    found = []
    for entry in sorted(sys_class.glob("video*"), key=_number):
        node = dev / entry.name
        target = node.resolve()
        camera = _look_at(node, entry, by_id.get(target), by_path.get(target))
        if camera is not None:
            found.append(camera)
    unnamed = Counter(camera.description for camera in found if camera.by_id is None)
    alike = Counter(camera.description for camera in found)
    return [
        replace(each, has_twin=alike[each.description] > 1 and unnamed[each.description] > 0)
        for each in found
    ]


def _links(folder: Path) -> dict[Path, str]:
    """The device nodes that the links of a folder lead to, with the first link to each."""
    return {link.resolve(): str(link) for link in sorted(folder.glob("*"), reverse=True)}


def _look_at(node: Path, entry: Path, by_id: str | None, by_path: str | None) -> CameraInfo | None:
    uri = f"v4l2:{node}"
    try:
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM} and _may_be_camera(entry):
            return CameraInfo(uri, _read(entry / "name"), by_id, permitted=False, by_path=by_path)
        log.debug("%s: %s", node, error.strerror)
        return None
    try:
        capability = videodev.query_capability(fd)
    finally:
        os.close(fd)
    if capability is None or not capability.is_camera:
        return None
    return CameraInfo(uri, capability.card, by_id, permitted=True, by_path=by_path)


def _may_be_camera(entry: Path) -> bool:
    """Whether a device that may not be opened looks like a camera from outside.

    A USB webcam has several nodes, of which the first (index 0) delivers the pictures.
    """
    driver = (entry / "device/driver").resolve().name
    return _read(entry / "index") in {"", "0"} and driver not in videodev.PIPELINE_DRIVERS


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(entry: Path) -> tuple[int, str]:
    digits = entry.name.removeprefix("video")
    return (int(digits) if digits.isdigit() else 0, entry.name)
