"""What the webcam of ``webcam.py`` says about itself: USB descriptors, and its offers.

Sources: USB Device Class Definition for Video Devices 1.0, chapters 3 and 4.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal

WIDTH, HEIGHT, FPS = 640, 480, 30
YUYV_BYTES = WIDTH * HEIGHT * 2
Format = Literal["mjpeg", "yuyv"]
FORMATS: tuple[Format, ...] = ("mjpeg", "yuyv")
FRAME_INTERVAL_100NS = 10_000_000 // FPS
# A payload is one transfer here: two bytes of header, then a part of a picture.
PAYLOAD_BYTES = 16384

# Interfaces and the bulk endpoint.
CONTROL, STREAMING, ENDPOINT = 0, 1, 0x81
# Descriptor types.
DEVICE, CONFIGURATION, STRING, INTERFACE, ENDPOINT_TYPE, ASSOCIATION = 1, 2, 3, 4, 5, 11
CLASS_INTERFACE = 0x24
VIDEO_CLASS = 0x0E
# Requests: standard ones, and those of the video class.
GET_STATUS, GET_DESCRIPTOR, GET_INTERFACE = 0, 6, 10
SET_CUR = 1
GET_CUR, GET_MIN, GET_MAX, GET_RES, GET_LEN, GET_INFO, GET_DEF = range(0x81, 0x88)
PROBE_CONTROL, COMMIT_CONTROL = 1, 2
# The unit that has the control, between the camera and its output.
CAMERA_TERMINAL, PROCESSING_UNIT, OUTPUT_TERMINAL = 1, 2, 3
BRIGHTNESS_CONTROL, BRIGHTEST = 2, 64
BRIGHTNESS = {GET_MIN: -BRIGHTEST, GET_MAX: BRIGHTEST, GET_RES: 1, GET_DEF: 0}
CLASS_WRITE, CLASS_READ = 0x21, 0xA1
PROBE_BYTES = 26


def descriptor(kind: int, layout: str, *values: int, tail: bytes = b"") -> bytes:
    """A descriptor: its length, its type, and its fields packed by ``layout``."""
    body = struct.pack("<" + layout, *values) + tail
    return bytes([len(body) + 2, kind]) + body


def class_specific(subtype: int, layout: str, *values: int, tail: bytes = b"") -> bytes:
    """A descriptor of an interface of the video class."""
    return descriptor(CLASS_INTERFACE, "B" + layout, subtype, *values, tail=tail)


def frame_descriptor(subtype: int) -> bytes:
    """The only size and rate of a format."""
    bits_per_s = YUYV_BYTES * 8 * FPS
    rate = (FRAME_INTERVAL_100NS, 1, FRAME_INTERVAL_100NS)
    return class_specific(
        subtype, "BBHHIIIIBI", 1, 0, WIDTH, HEIGHT, bits_per_s, bits_per_s, YUYV_BYTES, *rate
    )


def device_descriptor() -> bytes:
    """USB 2.0, class "see the interfaces", and the numbers of three strings."""
    vendor, product, release = 0x1D6B, 0x0104, 0x0100
    return descriptor(
        DEVICE, "HBBBBHHHBBBB", 0x0200, 0xEF, 2, 1, 64, vendor, product, release, 1, 2, 3, 1
    )


def format_descriptor(number: int, name: Format) -> bytes:
    """A format and its only frame size. Formats are numbered from 1."""
    if name == "mjpeg":
        return class_specific(6, "BBBBBBBB", number, 1, 1, 1, 0, 0, 0, 0) + frame_descriptor(7)
    guid = b"YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    depth = bytes([16, 1, 0, 0, 0, 0])
    return class_specific(4, "BB", number, 1, tail=guid + depth) + frame_descriptor(5)


def configuration_descriptor(formats: Sequence[Format]) -> bytes:
    """The whole tree: camera terminal, brightness, output terminal, formats, an endpoint."""
    camera = class_specific(2, "BHBBHHHB", CAMERA_TERMINAL, 0x0201, 0, 0, 0, 0, 0, 3, tail=bytes(3))
    only_brightness = b"\x01\x00"
    unit = class_specific(
        5, "BBHB", PROCESSING_UNIT, CAMERA_TERMINAL, 0, 2, tail=only_brightness + bytes(1)
    )
    output = class_specific(3, "BHBBB", OUTPUT_TERMINAL, 0x0101, 0, PROCESSING_UNIT, 0)
    control_bytes = 13 + len(camera) + len(unit) + len(output)
    control = class_specific(1, "HHIBB", 0x0100, control_bytes, 48_000_000, 1, STREAMING)

    described = b"".join(format_descriptor(n, name) for n, name in enumerate(formats, 1))
    size = 13 + len(formats) + len(described)
    streaming = class_specific(
        1, "BHBBBBBBB", len(formats), size, ENDPOINT, 0, 3, 0, 0, 0, 1, tail=bytes(len(formats))
    )

    interfaces = (
        descriptor(ASSOCIATION, "BBBBBB", CONTROL, 2, VIDEO_CLASS, 3, 0, 0)
        + descriptor(INTERFACE, "BBBBBBB", CONTROL, 0, 0, VIDEO_CLASS, 1, 0, 0)
        + control + camera + unit + output
        + descriptor(INTERFACE, "BBBBBBB", STREAMING, 0, 1, VIDEO_CLASS, 2, 0, 0)
        + streaming + described
        + descriptor(ENDPOINT_TYPE, "BBHB", ENDPOINT, 2, 512, 0)
    )  # fmt: skip
    return descriptor(CONFIGURATION, "HBBBBB", 9 + len(interfaces), 2, 1, 0, 0x80, 50) + interfaces


STRINGS = ("\u0409", "pi-detector tests", "Webcam of the tests", "0001")


def string_descriptor(number: int) -> bytes:
    """Number 0 is the list of languages, which is US English."""
    return descriptor(STRING, "", tail=STRINGS[number].encode("utf-16-le"))


def probe(format_number: int) -> bytes:
    """What the camera offers for a format: the only frame size and rate, the largest payload."""
    return struct.pack(
        "<HBBIHHHHHII",
        1, format_number, 1, FRAME_INTERVAL_100NS, 0, 0, 0, 0, 0, YUYV_BYTES, PAYLOAD_BYTES,
    )  # fmt: skip
