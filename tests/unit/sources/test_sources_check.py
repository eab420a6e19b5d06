"""A source is checked before it is opened: by 'config check', at start and at a reload."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from command import pi_detector

from pi_detector.config.settings import ModelSettings, Settings, SourceSettings
from pi_detector.daemon.service import Service
from pi_detector.errors import ConfigError, UnknownSchemeError
from pi_detector.sources.registry import check_source


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
        ("rtsp://camera/live", "a stream"),
        ("http://camera/live", "a stream"),
        ("clip.mp4", "a video file, unless its frames have no times"),
        ("photo.jpg", "images"),
        ("demo:", ""),
        ("v4l2:/dev/video0", ""),
        ("picamera:0", ""),
    ],
)
def test_a_rate_without_effect(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).touch() if "." in name and ":" not in name else None
    uri = str(tmp_path / name) if (tmp_path / name).exists() else name
    warnings = check_source(SourceSettings(uri=uri, fps=5))
    assert len(warnings) == bool(said)
    assert all(w.startswith(f"source.fps: has no effect on {said}") for w in warnings)
    assert check_source(SourceSettings(uri=uri)) == []


def test_config_check(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[source]\nuri = "nonsense"\n')
    done = pi_detector("config", "check", file)
    assert done.returncode == 78
    assert "source.uri: unknown scheme in 'nonsense'" in done.stderr
    assert "valid" not in done.stdout
    file.write_text('[source]\nuri = "rtsp://camera/live"\nfps = 5\n')
    done = pi_detector("config", "check", file)
    assert done.returncode == 0
    assert "warning: source.fps: has no effect on a stream" in done.stderr
    assert "valid" in done.stdout


def test_a_reload_refuses_a_source_that_the_next_start_would_not_take() -> None:
    demo = Settings(source=SourceSettings(uri="demo:"), model=ModelSettings(threads=1))
    service = Service(lambda: demo, {})
    wrong = msgspec.structs.replace(demo, source=SourceSettings(uri="nonsense"))
    with pytest.raises(UnknownSchemeError, match="nonsense"):
        service._apply(wrong)
    assert service._settings == demo
