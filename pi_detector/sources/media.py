"""The protocols and containers that FFmpeg may use, per kind of source.

Without limits, FFmpeg opens whatever the first bytes of a file or stream ask for: a playlist makes
it fetch any address that the device can reach, or open other files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pi_detector.config.settings import SourceSettings
from pi_detector.util.confinement.confine import Needs
from pi_detector.util.uri import parse_network_uri, split_uri

STDIN = "-"
"""The URI of a video on standard input."""
STDIN_PATH = Path("/dev/stdin")
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

# Containers that hold their video themselves. Names are those of FFmpeg's demuxers; of one with
# several any will do.
_CONTAINERS = (
    *("mov", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mpjpeg", "mjpeg"),
    *("mpegvideo", "m4v", "h261", "h263", "h264", "hevc", "vvc", "obu", "av1", "ivf", "vc1"),
    *("3gp", "mxf", "gxf", "dv", "nut", "wtv", "rm", "yuv4mpegpipe", "gif", "apng", "swf"),
    *("jpeg_pipe", "png_pipe", "bmp_pipe", "webp_pipe", "tiff_pipe"),
)
_PLAYLISTS = ("hls", "dash")
_RTSP = ("rtsp",)
_PROTOCOLS = {
    "file": ("file",),
    "rtsp": ("rtsp", "tcp", "udp", "rtp"),
    "rtsps": ("rtsps", "tls", "tcp", "udp", "rtp", "srtp"),
    "http": ("http", "tcp"),
    "https": ("https", "tls", "tcp"),
}
_OF_PLAYLISTS = ("http", "https", "httpproxy", "tls", "tcp", "crypto", "data")
_FOR_OPENCV = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# What OpenCV asks for where nobody sets options, and what it does with UDP.
_OPENCV_DEFAULTS = {"tcp": {"rtsp_flags": "prefer_tcp"}, "udp": {"rtsp_transport": "udp"}}


def demuxer_options(scheme: str, *, playlists: bool = False) -> dict[str, str]:
    """FFmpeg's options that say which protocols and containers are allowed.

    Args:
        scheme: of the source's URI, in lower case; ``file`` for a path.
        playlists: of ``SourceSettings``; has no meaning for files.
    """
    protocols = _PROTOCOLS[scheme]
    containers: Iterable[str] = _RTSP if scheme.startswith("rtsp") else _CONTAINERS
    if playlists and scheme.startswith("http"):
        protocols, containers = _OF_PLAYLISTS, (*_CONTAINERS, *_PLAYLISTS)
    return {"protocol_whitelist": ",".join(protocols), "format_whitelist": ",".join(containers)}


def stream_options(settings: SourceSettings) -> dict[str, str]:
    """FFmpeg's options for a network stream, of which the video is read."""
    scheme = split_uri(settings.uri)[0]
    # Nobody needs the average rate so much that opening should wait for 20 frames.
    options = {"fpsprobesize": "0", **demuxer_options(scheme, playlists=settings.playlists)}
    if scheme.startswith("rtsp"):
        options |= {"rtsp_transport": settings.transport, "allowed_media_types": "video"}
    return options


@contextlib.contextmanager
def opencv_options(
    scheme: str, *, playlists: bool = False, transport: str = "tcp"
) -> Iterator[None]:
    """Have OpenCV give FFmpeg these options, at a capture that is opened within.

    Options that the environment names remain, but for the ones that are ours. OpenCV takes them
    from nowhere else.
    """
    before = os.environ.get(_FOR_OPENCV)
    named = dict(pair.split(";", 1) for pair in (before or "").split("|") if ";" in pair)
    options = (named or _OPENCV_DEFAULTS[transport]) | demuxer_options(scheme, playlists=playlists)
    os.environ[_FOR_OPENCV] = "|".join(f"{name};{value}" for name, value in options.items())
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FOR_OPENCV]
        else:
            os.environ[_FOR_OPENCV] = before


def needs_of(settings: SourceSettings) -> Needs:
    """What a process must be left with to read a source."""
    scheme, target = split_uri(settings.uri)
    if scheme in DEFAULT_PORTS:
        parsed = parse_network_uri(settings.uri)
        if parsed is None:  # the source itself will say so
            return Needs()
        port = parsed.port or DEFAULT_PORTS[scheme]
        return Needs(network=True, tcp_ports=None if settings.playlists else (port,))
    if scheme == "picamera":
        # libcamera looks at all media devices and what the kernel says of them, and takes memory
        # from the DMA heaps; picamera2 imports more than is known here.
        readable = tuple(map(Path, ("/usr", "/etc", "/sys", "/proc", "/run/udev")))
        return Needs(readable=readable, devices=(Path("/dev"),), udev=True)
    if scheme == "v4l2":
        path = Path(f"/dev/video{target}" if target.isdigit() else target)
        return Needs(readable=(Path("/sys"),), devices=(path,))
    path = Path(target if scheme in {"file", "images"} else settings.uri)
    if settings.uri == STDIN:
        path = STDIN_PATH.resolve()  # a pipe, or a file
    if path.is_char_device() or path.is_relative_to("/dev"):
        return Needs(readable=(Path("/sys"),), devices=(path,))
    return Needs(readable=() if scheme == "demo" else (path,))
