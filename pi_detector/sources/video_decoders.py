"""The decoder of video files on this device: a suitable PyAV if installed, else OpenCV's FFmpeg.

Frames are the same with either: both deliver every frame upright, including interlaced ones. Some
versions of OpenCV do not, see ``opencv_faults``.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable

from pi_detector.sources.decoder import Decoder

log = logging.getLogger(__name__)

# Frames have their rotation from 12.0 on; from 12.1 on a decoder can be emptied.
_LEAST_PYAV = 12, 1


def decoder_type() -> Callable[[str], Decoder]:
    """Return the function that opens video files on this device.

    It takes an absolute path, because FFmpeg reads text before a colon as a protocol, in Unicode.
    It raises UndecodableError if the file contains no decodable video.
    """
    if has_pyav():
        from pi_detector.sources.decoder_av import AvDecoder

        return AvDecoder
    from pi_detector.sources.decoder_cv import CvDecoder

    return CvDecoder


def has_pyav() -> bool:
    """Whether a PyAV is installed that delivers every frame upright."""
    if importlib.util.find_spec("av") is None:
        return False
    try:
        import av
    except ImportError as error:  # its libraries do not fit this device
        log.debug("PyAV cannot be used: %s", error)
        return False
    version = re.match(r"(\d+)\.(\d+)", av.__version__)
    return version is not None and (int(version[1]), int(version[2])) >= _LEAST_PYAV
