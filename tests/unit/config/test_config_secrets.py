"""Secrets that settings name: where they are looked up, and which are asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_detector.config import secrets
from pi_detector.config.load import load_settings
from pi_detector.config.secrets import references, with_secrets
from pi_detector.config.settings import Settings
from pi_detector.errors import ConfigError, NoPermissionError

URI = "source.uri=rtsp://admin:${secret:camera}@cam/live"
BROKER = ["mqtt.host=broker", "mqtt.username=me", "mqtt.password=${secret:broker}"]


class Places:
    """The folders that secrets may lie in."""

    def __init__(self, folder: Path) -> None:
        self.service, self.own, self.system = folder / "run", folder / "home/own", folder / "etc"
        self.by_hand = {"XDG_CONFIG_HOME": str(folder / "home")}
        self.own = folder / "home/pi-detector/credentials"
        for each in (self.service, self.own, self.system):
            each.mkdir(parents=True)

    @property
    def of_a_service(self) -> dict[str, str]:
        return self.by_hand | {"CREDENTIALS_DIRECTORY": str(self.service)}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    found = Places(tmp_path)
    monkeypatch.setattr(secrets, "SYSTEM_SECRETS", found.system)
    return found


def settings_with(*overrides: str) -> Settings:
    return load_settings(None, {}, list(overrides))


def test_a_service_has_its_credentials_alone(places: Places) -> None:
    (places.service / "secret_camera").write_text("p@ss/w:rd\n")
    (places.system / "broker").write_text("x")
    settings = with_secrets(settings_with(URI), places.of_a_service)
    assert settings.source.uri == "rtsp://admin:p%40ss%2Fw%3Ard@cam/live"
    with pytest.raises(ConfigError, match=r"mqtt\.password: .*broker.*no such secret; write it to"):
        with_secrets(settings_with(*BROKER), places.of_a_service)


def test_by_hand_the_own_folder_counts_then_that_of_the_service(places: Places) -> None:
    (places.system / "camera").write_text("system")
    assert "system" in with_secrets(settings_with(URI), places.by_hand).source.uri
    (places.own / "camera").write_text("own")
    assert "own" in with_secrets(settings_with(URI), places.by_hand).source.uri


def test_a_secret_that_is_nowhere(places: Places) -> None:
    with pytest.raises(ConfigError, match="no such secret in") as error:
        with_secrets(settings_with(URI), places.by_hand)
    assert str(places.own) in str(error.value)
    assert str(places.system) in str(error.value)


def test_a_secret_that_is_for_others(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def denied(path: Path, *args: object, **options: object) -> object:
        if path.is_relative_to(places.system):  # root, as which tests may run, may read all
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(NoPermissionError, match="sudo") as error:
        with_secrets(settings_with(URI), places.by_hand)
    assert error.value.exit_code == os.EX_NOPERM


def test_what_is_off_asks_for_no_secret(places: Places) -> None:
    settings = settings_with(
        "mqtt.username=a", "mqtt.password=${secret:a}", "web.token=${secret:b}"
    )
    assert with_secrets(settings, places.by_hand) == settings
    assert references(settings) == set()


def test_a_command_asks_for_the_secrets_of_its_section(places: Places) -> None:
    (places.own / "broker").write_text("known")
    settings = with_secrets(settings_with(URI, *BROKER), places.by_hand, section="mqtt")
    assert settings.mqtt.password == "known"
    assert "${secret:camera}" in settings.source.uri
    assert references(settings) == {"source"}
