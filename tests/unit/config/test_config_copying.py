"""Settings that ask for copies of a camera's packets, beneath masks and turned frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from pi_detector.config.load import load_settings
from pi_detector.config.secrets import with_secrets
from pi_detector.config.text import settings_toml
from pi_detector.errors import ConfigError

MASK = "[privacy.window]\npolygon = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]\n"
URI = 'source.uri = "rtsp://10.0.0.2/small"\n'
RECORD = 'source.record_uri = "rtsp://10.0.0.2/large"\n'
COPY = 'recording.enabled = true\nrecording.copy = "on"\n'


def problem(tmp_path: Path, text: str) -> str:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_settings(file, {}, ())
    return str(error.value)


@pytest.mark.parametrize(("text", "key"), [(RECORD, "source.record_uri"), (COPY, "recording.copy")])
def test_copies_do_not_show_what_is_masked(tmp_path: Path, text: str, key: str) -> None:
    assert f"{key}: packets are copied as the camera sends them, without the masks" in problem(
        tmp_path, URI + text + MASK
    )
    for turned in ("source.rotate = 180\n", "source.crop = [0.0, 0.0, 0.5, 0.5]\n"):
        assert f"{key}: packets are copied" in problem(tmp_path, URI + text + turned)


def test_masks_alone_have_clips_encoded(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(URI + "recording.enabled = true\n" + MASK)
    assert load_settings(file, {}, ()).recording.copy == "auto"


def test_the_second_address_is_a_network_cameras(tmp_path: Path) -> None:
    assert "source.record_uri: is not the address of a network camera" in problem(
        tmp_path, URI + 'source.record_uri = "v4l2:/dev/video0"\n'
    )
    assert "source.record_uri: no host and port found" in problem(
        tmp_path, URI + 'source.record_uri = "rtsp://admin:p@ss#1@10.0.0.2/x"\n'
    )


def test_the_password_of_the_second_address_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(URI + 'source.record_uri = "rtsp://admin:${secret:cam}@10.0.0.2/large"\n')
    settings = with_secrets(load_settings(file, {}, ()), secrets_in(tmp_path))
    assert settings.source.record_uri == "rtsp://admin:hunt%20er2@10.0.0.2/large"
    assert "hunt" not in settings_toml(settings)


def secrets_in(folder: Path) -> dict[str, str]:
    (folder / "cam").write_text("hunt er2")
    return {"CREDENTIALS_DIRECTORY": str(folder)}
