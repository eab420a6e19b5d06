"""Streams by OpenCV's FFmpeg, for devices without PyAV."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import BadImageError
from pi_detector.sources.capture import LiveCapture
from pi_detector.sources.decoder import opencv_faults
from pi_detector.sources.media import opencv_options
from pi_detector.util.installation import how_to_install
from pi_detector.util.memory import check_size
from pi_detector.util.uri import split_uri

if TYPE_CHECKING:
    import cv2

log = logging.getLogger(__name__)


def open_with_opencv(uri: str, name: str, settings: SourceSettings) -> LiveCapture | None:
    """Connect to a stream by OpenCV; None where it sends no video.

    Args:
        uri: of the stream.
        name: of the source, for messages.
        settings: read_timeout_s, playlists, transport.

    Raises:
        BadImageError: its frames are too large.
    """
    import cv2

    faults = opencv_faults()
    log.warning(
        "%s: decoded by OpenCV %s: every frame is decoded, and its packets cannot be recorded%s; "
        "install PyAV 12.1 or later: %s",
        name,
        cv2.__version__,
        f"; a known fault: {faults}" if faults else "",
        how_to_install("clips"),
    )
    with opencv_options(
        split_uri(uri)[0], playlists=settings.playlists, transport=settings.transport
    ):
        capture = _connect(uri, settings.read_timeout_s)
    if not capture.isOpened():
        capture.release()
        return None
    size = [int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
    try:
        check_size(*size)
    except BadImageError as error:
        capture.release()
        raise BadImageError(f"{name}: {error}") from error
    log.info("%s: %dx%d", name, *size)
    return LiveCapture(capture, name, settings.read_timeout_s)


def _connect(uri: str, timeout_s: float) -> cv2.VideoCapture:
    import cv2

    deadline_ms = max(1, round(timeout_s * 1000))
    options = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        deadline_ms,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        deadline_ms,
        # Several decoding threads hold back a frame each, so that pictures are late and a stall is
        # seen late; and the cores are the interpreter's.
        cv2.CAP_PROP_N_THREADS,
        1,
    ]
    return cv2.VideoCapture(uri, cv2.CAP_FFMPEG, options)
