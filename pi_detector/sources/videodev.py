"""The V4L2 calls that identify a video device, without OpenCV.

Source: the kernel's ``linux/videodev2.h``; numbers and layouts are part of its stable interface.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import struct
from dataclasses import dataclass

log = logging.getLogger(__name__)

_VIDIOC_QUERYCAP = 0x80685600  # _IOR('V', 0, struct v4l2_capability)
_VIDIOC_REQBUFS = 0xC0145608  # _IOWR('V', 8, struct v4l2_requestbuffers)
_CAPABILITY = struct.Struct("=16s32s32s6I")
_REQUEST_BUFFERS = struct.Struct("=5I")

_CAP_VIDEO_CAPTURE = 0x00000001
_CAP_VIDEO_CAPTURE_MPLANE = 0x00001000
_CAP_STREAMING = 0x04000000
_CAP_DEVICE_CAPS = 0x80000000

_BUF_TYPE_VIDEO_CAPTURE = 1
_BUF_TYPE_VIDEO_CAPTURE_MPLANE = 9
_MEMORY_MMAP = 1

PIPELINE_DRIVERS = frozenset(
    {"bcm2835-codec", "bcm2835-isp", "pispbe", "rp1-cfe", "rpi-hevc-dec", "rpivid", "unicam"}
)
"""Drivers of a Raspberry Pi's codecs and of its camera's inner stages.

Their nodes call themselves capture devices but deliver no pictures by themselves: that camera is
opened by picamera2.
"""


@dataclass(frozen=True, slots=True)
class Capability:
    """What a video device reports about itself.

    Attributes:
        driver: kernel driver, such as ``uvcvideo``.
        card: name of the device.
        flags: ``V4L2_CAP_*`` of this node.
    """

    driver: str
    card: str
    flags: int

    @property
    def is_camera(self) -> bool:
        """Whether this node delivers pictures."""
        captures = self.flags & (_CAP_VIDEO_CAPTURE | _CAP_VIDEO_CAPTURE_MPLANE)
        return (
            bool(captures)
            and bool(self.flags & _CAP_STREAMING)
            and self.driver not in PIPELINE_DRIVERS
        )


def query_capability(fd: int) -> Capability | None:
    """Query an open device (VIDIOC_QUERYCAP); None if it is not a video device."""
    buffer = bytearray(_CAPABILITY.size)
    try:
        fcntl.ioctl(fd, _VIDIOC_QUERYCAP, buffer)
    except OSError as error:
        log.debug("VIDIOC_QUERYCAP: %s", error)
        return None
    return parse_capability(bytes(buffer))


def parse_capability(raw: bytes) -> Capability:
    """Take a ``struct v4l2_capability`` (104 bytes) apart."""
    driver, card, _bus, _version, capabilities, device_caps, *_reserved = _CAPABILITY.unpack(raw)
    return Capability(
        driver=_text(driver),
        card=_text(card),
        flags=device_caps if capabilities & _CAP_DEVICE_CAPS else capabilities,
    )


def is_busy(fd: int, capability: Capability) -> bool:
    """Whether another program streams from the device.

    Many may open a V4L2 device, one may hold its buffers. Asking for no buffers at all changes
    nothing on a free device and fails with EBUSY on one that is held.
    """
    single_plane = capability.flags & _CAP_VIDEO_CAPTURE
    kind = _BUF_TYPE_VIDEO_CAPTURE if single_plane else _BUF_TYPE_VIDEO_CAPTURE_MPLANE
    try:
        fcntl.ioctl(
            fd, _VIDIOC_REQBUFS, bytearray(_REQUEST_BUFFERS.pack(0, kind, _MEMORY_MMAP, 0, 0))
        )
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")
