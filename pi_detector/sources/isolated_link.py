"""The messages between an isolated source and its process, and their shared memory.

Messages are whole packets (SOCK_SEQPACKET), so neither side ever waits for the rest of one. The
other side may be compromised: everything it sends is validated.
"""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
from datetime import datetime

import msgspec
import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import ImageArray
from pi_detector.util.memory import check_size

LONGEST_PACKET = 64 * 1024
"""Bytes. Linux takes three times as much without further settings."""

READ = b"r"
"""The request for a picture, which brings its open file along. ``read_request`` asks for a frame.

The end of the connection asks for the end of the process.
"""

_REST, _WAKE = b"s", b"m"
_LONGEST_TEXT = 16 * 1024
_CHANNELS = 3
# Of a model's input, which lies behind the image.
_MODEL_INPUT_BYTES = 16 * 1024 * 1024
_ALIGNMENT = 64
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL

Shape = tuple[int, int, int]


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Sent by the process. Texts are bytes, because names of files need not be UTF-8."""


class Started(_Message, frozen=True):
    """The process runs and has loaded what it needs."""


class Opened(_Message, frozen=True):
    """The job is understood, and its source is open."""


class Failed(_Message, frozen=True):
    """The request raised an exception.

    Attributes:
        kind: name of its class.
        text: its message.
    """

    kind: str
    text: bytes


class Delivered(_Message, frozen=True):
    """A frame lies in the shared memory.

    Attributes:
        sequence: of the inner source, from 0 since it was opened.
        captured_ns: see ``Frame``; both processes have the same monotonic clock.
        captured_at: see ``Frame``.
        shape: of the image.
        model_shape: of the model's input, or None.
        path: of the file that it was read from, or None.
    """

    sequence: int
    captured_ns: int
    captured_at: datetime
    shape: Shape
    model_shape: Shape | None
    path: bytes | None


class Ended(_Message, frozen=True):
    """The file or folder has no further frame."""


class Logged(_Message, frozen=True):
    """A log message, which may come before any other message.

    Attributes:
        logger: its logger.
        level: of ``logging``.
        text: the formatted message.
    """

    logger: str
    level: int
    text: bytes


class TrackBegins(_Message, frozen=True):
    """Packets that follow belong to another track, see ``core.packets``."""

    codec: str
    headers: bytes
    width: int
    height: int


class PacketBegins(_Message, frozen=True):
    """A packet follows, in parts. See ``core.packets``.

    Attributes:
        size: of its data, in bytes.
        keyframe: as of ``Packet``; so are the others.
    """

    size: int
    keyframe: bool
    captured_ns: int
    shift_ns: int
    captured_at: datetime


class PacketPart(_Message, frozen=True):
    """The next bytes of a packet."""

    data: bytes


Message = (
    Started | Opened | Failed | Delivered | Ended | Logged | TrackBegins | PacketBegins | PacketPart
)

encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Message)


def decode(packet: bytes) -> Message:
    """The message in a packet.

    Raises:
        msgspec.DecodeError: it holds none.
    """
    message: Message = _decoder.decode(packet)
    return message


class Job(msgspec.Struct, frozen=True):
    """What the process is to open.

    Attributes:
        settings: of the source; None for a process that decodes pictures.
        model_size: see ``Source.open``.
        log_level: lowest level of log messages, of ``logging``.
        starts_at: see ``VideoSource``.
        rate_fps: see ``Paced``; each request for a frame has it too.
        packets: send the packets too, see ``SendsPackets``.
    """

    settings: SourceSettings | None
    model_size: tuple[int, int] | None
    log_level: int
    starts_at: datetime | None = None
    rate_fps: float | None = None
    packets: bool = False


def pack_job(job: Job) -> bytes:
    """A job as JSON, in ASCII: escapes carry any text, also a path that is not UTF-8."""
    return json.dumps(msgspec.to_builtins(job)).encode("ascii")


def unpack_job(packed: bytes) -> Job:
    """The job of ``pack_job``."""
    return msgspec.convert(json.loads(packed), Job)


def read_request(rate_fps: float | None) -> bytes:
    """The request for a frame of the source, at most so many per second."""
    return READ if rate_fps is None else READ + repr(rate_fps).encode("ascii")


def rate_of(request: bytes) -> float | None:
    """The rate of ``read_request``."""
    return float(request.removeprefix(READ)) if request != READ else None


def rest_request(still: bool) -> bytes:
    """The message that nothing moves, or that something does; it has no answer."""
    return _REST if still else _WAKE


def rest_of(request: bytes) -> bool | None:
    """What ``rest_request`` says; None of another request."""
    return {_REST: True, _WAKE: False}.get(request)


def pack_text(text: str) -> bytes:
    """A text for a message; a very long one is cut off."""
    return text[:_LONGEST_TEXT].encode("utf-8", "surrogatepass")


def unpack_text(packed: bytes) -> str:
    """The text of ``pack_text``."""
    return packed.decode("utf-8", "surrogatepass")


def memory_size(pixels: int) -> int:
    """Bytes that the memory may grow to.

    Args:
        pixels: of the largest image.
    """
    return _aligned(_CHANNELS * pixels) + _MODEL_INPUT_BYTES


def make_memory() -> int:
    """A file in memory for frames. It can only grow, so that no mapping of it ever loses its pages.

    Returns:
        Its file descriptor, which processes do not inherit.
    """
    fd = os.memfd_create("pi-detector-frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd


class FrameWriter:
    """The process's side of the shared memory, which grows with the frames.

    Args:
        fd: of ``make_memory``; stays the caller's.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map: mmap.mmap | None = None

    def put(self, image: ImageArray, model_input: ImageArray | None) -> None:
        """Write a frame over the one before.

        Raises:
            BadImageError: it is too large.
        """
        check_size(image.shape[1], image.shape[0])
        offset = _aligned(image.nbytes)
        size = offset + (model_input.nbytes if model_input is not None else 0)
        if self._map is None or len(self._map) < size:
            if self._map is not None:
                self._map.close()
            os.ftruncate(self._fd, size)
            self._map = mmap.mmap(self._fd, size)
        _view(self._map, 0, image.shape)[:] = image
        if model_input is not None:
            _view(self._map, offset, model_input.shape)[:] = model_input


class FrameReader:
    """The parent's side of the shared memory.

    Args:
        fd: of ``make_memory``; stays the caller's.
        largest: pixels of the largest image.
    """

    def __init__(self, fd: int, largest: int) -> None:
        self._fd = fd
        self._largest = largest
        self._map: mmap.mmap | None = None

    def take(self, shape: Shape, model_shape: Shape | None) -> tuple[ImageArray, ImageArray | None]:
        """Copies of the image and of the model's input.

        Raises:
            ValueError: the shapes are no pictures', or larger than the memory.
        """
        offset = _aligned(_size(shape, self._largest))
        end = offset
        if model_shape is not None:
            end += _size(model_shape, _MODEL_INPUT_BYTES // _CHANNELS)
        if self._map is None or len(self._map) < end:
            size = os.fstat(self._fd).st_size
            if size < end:
                raise ValueError(f"a frame of {end} bytes in {size} bytes of memory")
            self.close()
            self._map = mmap.mmap(self._fd, size, prot=mmap.PROT_READ)
        image = _view(self._map, 0, shape).copy()
        if model_shape is None:
            return image, None
        return image, _view(self._map, offset, model_shape).copy()

    def close(self) -> None:
        """Unmap the memory."""
        if self._map is not None:
            self._map.close()
        self._map = None


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _size(shape: Shape, largest: int) -> int:
    height, width, channels = shape
    if min(shape) < 1 or channels != _CHANNELS or height * width > largest:
        raise ValueError(f"a picture of {width}x{height} pixels and {channels} channels")
    return height * width * channels


def _view(memory: mmap.mmap, offset: int, shape: tuple[int, ...]) -> ImageArray:
    count = math.prod(shape)
    return np.frombuffer(memory, np.uint8, count, offset).reshape(shape)
