"""Encodes frames to H.264 packets, once per frame for all users."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from pi_detector.config.outputs import RecordingSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.core.packets import Packet
from pi_detector.errors import DependencyMissingError, SinkError
from pi_detector.util.installation import how_to_install

log = logging.getLogger(__name__)

TICKS = 90000
"""Ticks a second of the packets' time stamps."""
KEYFRAME_INTERVAL_S = 1.0

_KEYFRAME_NS = round(KEYFRAME_INTERVAL_S * 1e9)
_MOST_FRAMES_BETWEEN_KEYFRAMES = 600  # time asks for them earlier
_QUALITY = 26  # x264's rate factor: 18 is close to the original, 51 is worst
_MOST_PENDING = 256
_SOFTWARE, _HARDWARE = "libx264", "h264_v4l2m2m"
_HARDWARE_DEVICE = "bcm2835-codec-encode"
_VIDEO_DEVICES = Path("/sys/class/video4linux")


def lacking(settings: RecordingSettings) -> str | None:
    """What this device lacks for the recordings that are asked for, and the fix; else None."""
    if not (settings.enabled and settings.clips):
        return None
    try:
        load_av()
    except DependencyMissingError as error:
        return f"{error}; until then, events are recorded without clips"
    return None


@dataclass(frozen=True, slots=True)
class Shot:
    """An encoded frame.

    Attributes:
        packet: PyAV's packet, in the byte stream format (Annex B).
        captured_ns: when it was captured, ``time.monotonic_ns()``; of a copied packet, when it is
            decoded.
        captured_at: the same moment as UTC wall time.
        keyframe: it can be decoded without the shots before it.
        size: bytes.
        shift_ns: by how much later it is shown than decoded.
    """

    packet: Any
    captured_ns: int
    captured_at: datetime
    keyframe: bool
    size: int
    shift_ns: int = 0


def load_av() -> Any:
    """The module ``av``, quiet. Raises DependencyMissingError where PyAV is not installed."""
    try:
        import av
        import av.logging
        import av.video.frame
    except ImportError as error:
        raise DependencyMissingError(
            f"recording.clips: PyAV is not usable ({error}); to install it: "
            f"{how_to_install('clips')}; or set recording.clips to false"
        ) from error
    # FFmpeg's messages are no news to anyone; and handing them to Python takes the GIL.
    av.logging.set_level(av.logging.PANIC)
    return av


def shot_of(packet: Packet) -> Shot:
    """A camera's packet, to be copied."""
    copied = load_av().Packet(packet.data)
    copied.is_keyframe = packet.keyframe
    times = (packet.captured_ns, packet.captured_at)
    return Shot(copied, *times, packet.keyframe, len(packet.data), packet.shift_ns)


class Encoder:
    """Encodes frames of one size, with a keyframe each second.

    Args:
        name: of FFmpeg's encoder: ``libx264`` or ``h264_v4l2m2m``.
        size: (width, height) of the frames to come, in pixels.
        fps: highest expected rate, in frames per second.
        max_kbps: kilobits a second that are not exceeded over some seconds.

    Attributes:
        headers: bytes that hold the stream's parameter sets; empty until the first shot.

    Raises:
        SinkError: the encoder does not exist, or does not work.
    """

    def __init__(self, name: str, size: tuple[int, int], fps: float, max_kbps: int) -> None:
        self.headers = b""
        self.size = size
        self._av = load_av()
        self._name = name
        self._started = False
        self._base_ns: int | None = None
        self._keyframe_ns: int | None = None
        self._pending: dict[int, tuple[int, datetime]] = {}
        with av_errors(self._av, f"encoder {name}"):
            self._context = self._av.CodecContext.create(name, "w")
            self._context.width, self._context.height = (side & ~1 for side in size)
            self._context.pix_fmt = "yuv420p"
            self._context.time_base = Fraction(1, TICKS)
            self._context.framerate = Fraction(round(fps * 100), 100)
            self._context.gop_size = _MOST_FRAMES_BETWEEN_KEYFRAMES
            self._context.thread_count = 1  # the other cores are the detector's
            if name == _SOFTWARE:
                self._context.options = {
                    "preset": "ultrafast",
                    "tune": "zerolatency",
                    "crf": str(_QUALITY),
                    "maxrate": f"{max_kbps}k",
                    "bufsize": f"{2 * max_kbps}k",
                    "x264-params": "colormatrix=smpte170m:scenecut=0",
                }
            else:
                self._context.bit_rate = max_kbps * 1000
            self._context.open()

    def encode(self, frame: Frame, image: ImageArray) -> list[Shot]:
        """Encode a frame that was captured later than the one before.

        Args:
            frame: whose times count.
            image: (H, W, 3) uint8 RGB of this encoder's size.

        Returns:
            The shots that became ready; a hardware encoder keeps some frames for a while.

        Raises:
            SinkError: the encoder failed.
        """
        import cv2

        if self._base_ns is None:
            self._base_ns = frame.captured_ns
        width, height = (side & ~1 for side in self.size)
        yuv = cv2.cvtColor(image[:height, :width], cv2.COLOR_RGB2YUV_I420)
        picture = self._av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        picture.pts = (frame.captured_ns - self._base_ns) * TICKS // 10**9
        picture.time_base = Fraction(1, TICKS)
        due_ns = (self._keyframe_ns or 0) + _KEYFRAME_NS
        if self._keyframe_ns is None or frame.captured_ns >= due_ns:
            picture.pict_type = self._av.video.frame.PictureType.I
            self._keyframe_ns = frame.captured_ns
        self._pending[picture.pts] = (frame.captured_ns, frame.captured_at)
        if len(self._pending) > _MOST_PENDING:
            raise SinkError(f"encoder {self._name}: accepts frames but returns none")
        with av_errors(self._av, f"encoder {self._name}"):
            return list(self._shots(self._context.encode(picture)))

    def flush(self) -> list[Shot]:
        """The shots of the frames that the encoder still keeps. It takes none after that."""
        with av_errors(self._av, f"encoder {self._name}"):
            return list(self._shots(self._context.encode(None)))

    def _shots(self, packets: list[Any]) -> Iterator[Shot]:
        for packet in packets:
            times = self._pending.pop(packet.pts, None)
            if times is None or not self._started:
                # Some hardware sends the parameter sets once, by themselves or before the first
                # picture; x264 sends them with each keyframe.
                self.headers += bytes(packet)
            if times is not None:
                self._started = True
                yield Shot(packet, *times, bool(packet.is_keyframe), int(packet.size))


def make_encoder(choice: str, size: tuple[int, int], fps: float, max_kbps: int) -> Encoder:
    """The encoder of the setting ``recording.encoder``.

    Args:
        choice: a name, or ``auto``: the hardware's where there is one that works, else x264.
        size: as for ``Encoder``.
        fps: as for ``Encoder``.
        max_kbps: as for ``Encoder``.

    Raises:
        SinkError: none works.
    """
    if choice != "auto":
        return Encoder(choice, size, fps, max_kbps)
    if has_hardware_encoder():
        try:
            return Encoder(_HARDWARE, size, fps, max_kbps)
        except SinkError as error:
            log.warning("%s; using libx264 instead", error)
    return Encoder(_SOFTWARE, size, fps, max_kbps)


def has_hardware_encoder(devices: Path = _VIDEO_DEVICES) -> bool:
    """Whether the kernel offers the H.264 encoder of a Raspberry Pi 4 or older.

    A Raspberry Pi 5 has none.
    """
    for name in devices.glob("video*/name"):
        with suppress(OSError):  # a device may go while it is looked at
            if name.read_text().strip() == _HARDWARE_DEVICE:
                return True
    return False


@contextmanager
def av_errors(av: Any, what: str) -> Iterator[None]:
    """Turns errors of PyAV into one that says what does not work."""
    try:
        yield
    except (av.error.FFmpegError, ValueError) as error:
        raise SinkError(
            f"{what}: does not work: {error}; set recording.encoder to {_SOFTWARE}, or "
            "recording.clips to false"
        ) from error
