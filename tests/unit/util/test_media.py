"""What FFmpeg may open, and what its process is left with, by the kind of a source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_detector.config.settings import SourceSettings
from pi_detector.sources.media import demuxer_options, needs_of, opencv_options
from pi_detector.util.confinement.confine import Needs

VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


@pytest.mark.parametrize("scheme", ["file", "rtsp", "rtsps", "http", "https"])
@pytest.mark.parametrize("playlists", [False, True])
def test_what_may_be_opened(scheme: str, playlists: bool) -> None:
    options = demuxer_options(scheme, playlists=playlists)
    protocols = options["protocol_whitelist"].split(",")
    containers = options["format_whitelist"].split(",")
    assert ("file" in protocols) == (scheme == "file")
    assert not {"concat", "subfile", "pipe", "ftp", "gopher", "smb", "unix"} & set(protocols)
    assert not {"concat", "image2", "lavfi", "sdp", "imf", "tty"} & set(containers)
    follows = playlists and scheme in {"http", "https"}
    assert ("hls" in containers) == follows
    if scheme == "https" and not follows:
        assert "http" not in protocols  # a redirect must not take the password out of TLS


def test_options_for_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with opencv_options("rtsp"):
        assert options() == {"rtsp_flags": "prefer_tcp", **demuxer_options("rtsp")}
    assert VARIABLE not in os.environ  # other videos of this process are none of its business


def test_options_of_the_user_remain_but_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    before = "rtsp_transport;udp|protocol_whitelist;file,http"
    monkeypatch.setenv(VARIABLE, before)
    with opencv_options("rtsp"):
        assert options() == {"rtsp_transport": "udp", **demuxer_options("rtsp")}
    assert os.environ[VARIABLE] == before


def options() -> dict[str, str]:
    return dict(pair.split(";", 1) for pair in os.environ[VARIABLE].split("|"))


@pytest.mark.parametrize(
    ("uri", "needs"),
    [
        ("demo:", Needs()),
        ("clip.mp4", Needs(readable=(Path("clip.mp4"),))),
        ("file:clip.mp4", Needs(readable=(Path("clip.mp4"),))),
        ("rtsp://u:p@cam/live", Needs(network=True, tcp_ports=(554,))),
        ("RTSP://cam:8554/live", Needs(network=True, tcp_ports=(8554,))),
        ("https://cam/live", Needs(network=True, tcp_ports=(443,))),
        ("http://cam:99999999/", Needs()),
        ("v4l2:0", Needs(readable=(Path("/sys"),), devices=(Path("/dev/video0"),))),
        ("/dev/video7", Needs(readable=(Path("/sys"),), devices=(Path("/dev/video7"),))),
    ],
)
def test_what_a_process_is_left_with(uri: str, needs: Needs) -> None:
    assert needs_of(SourceSettings(uri=uri)) == needs


def test_playlists_go_anywhere() -> None:
    assert needs_of(SourceSettings(uri="http://cam/x.m3u8", playlists=True)).tcp_ports is None


def test_libcamera_needs_devices_and_no_network() -> None:
    needs = needs_of(SourceSettings(uri="picamera:0"))
    assert needs.devices == (Path("/dev"),)
    assert needs.udev
    assert not needs.network
