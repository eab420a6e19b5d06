"""A source is checked before it is opened: by 'config check', at start and at a reload."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from command import pi_detector

from pi_detector.config.settings import ModelSettings, Settings, SourceSettings
from pi_detector.daemon.service import Service
from pi_detector.errors import ConfigError, UnknownSchemeError
from pi_detector.sources.registry import check_source, make_source


@pytest.mark.parametrize("uri", ["nonsense", "rtps://camera/live", ""])
def test_a_uri_of_no_kind(uri: str) -> None:
    with pytest.raises(UnknownSchemeError, match="unknown scheme"):
        check_source(SourceSettings(uri=uri))


@pytest.mark.parametrize("uri", ["rtsp://:554/live", "demo:cat"])
def test_a_kind_with_a_wrong_target(uri: str) -> None:
    with pytest.raises(ConfigError):
        check_source(SourceSettings(uri=uri))


@pytest.mark.parametrize(
    "uri", ["auto", "AUTO", "demo:", "v4l2:/dev/video97", "rtsp://c/x", "${secret:camera}"]
)
def test_what_may_be_there_later(uri: str) -> None:
    assert check_source(SourceSettings(uri=uri)) == []


def test_a_file_that_is_not_there_is_a_warning() -> None:
    (warning,) = check_source(SourceSettings(uri="/mnt/usb/clip.mp4"))
    assert "no such video, image or folder" in warning


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rtsp://camera/live", "a stream's rate is set in the camera"),
        ("http://camera/live", "a stream's rate is set in the camera"),
        ("photo.jpg", "has no effect, as images have no rate"),
    ],
)
def test_a_rate_that_cannot_be_asked_for(tmp_path: Path, name: str, said: str) -> None:
    if ":" not in name:
        (tmp_path / name).touch()
        name = str(tmp_path / name)
    for check in (check_source, make_source):
        with pytest.raises(ConfigError, match=f"source.fps: {said}"):
            check(SourceSettings(uri=name, fps=5))
    assert check_source(SourceSettings(uri=name)) == []


@pytest.mark.parametrize("uri", ["demo:", "v4l2:/dev/video0", "picamera:0"])
def test_a_rate_that_is_asked_for(uri: str) -> None:
    assert check_source(SourceSettings(uri=uri, fps=5)) == []


def test_a_rate_for_a_video_without_times(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    (warning,) = check_source(SourceSettings(uri=str(tmp_path / "clip.mp4"), fps=5))
    assert "has no effect on a video file, unless its frames have no times" in warning
    assert "detection.max_fps" in warning


def test_config_check(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[source]\nuri = "nonsense"\n')
    done = pi_detector("config", "check", file)
    assert done.returncode == 78
    assert "source.uri: unknown scheme in 'nonsense'" in done.stderr
    assert "valid" not in done.stdout
    file.write_text('[source]\nuri = "rtsp://camera/live"\nfps = 5\n')
    done = pi_detector("config", "check", file)
    assert done.returncode == 78
    assert "source.fps: a stream's rate is set in the camera" in done.stderr
    assert "valid" not in done.stdout


def test_a_reload_refuses_a_source_that_the_next_start_would_not_take() -> None:
    demo = Settings(source=SourceSettings(uri="demo:"), model=ModelSettings(threads=1))
    service = Service(lambda: demo, {})
    wrong = msgspec.structs.replace(demo, source=SourceSettings(uri="nonsense"))
    with pytest.raises(UnknownSchemeError, match="nonsense"):
        service._apply(wrong)
    assert service._settings == demo
