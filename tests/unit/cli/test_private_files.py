"""Who may read the files that pi-detector makes, and what the doctor says of them."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import pi_detector

from pi_detector.cli import doctor_private
from pi_detector.cli.findings import Level
from pi_detector.config import secrets
from pi_detector.config.load import load_settings


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that all users can enter, as those of pytest are not."""
    monkeypatch.setattr(secrets, "SYSTEM_SECRETS", Path("/nowhere"))
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_new_settings_are_for_their_owner(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    assert pi_detector("config", "init", file).returncode == os.EX_OK
    assert mode_of(file) == 0o600
    file.chmod(0o640)
    assert pi_detector("config", "init", file, "--force").returncode == os.EX_OK
    assert mode_of(file) == 0o640


def test_what_a_run_writes_is_not_for_all(tmp_path: Path) -> None:
    settings = [
        "recording.enabled=true",
        "recording.clips=false",
        f"output.snapshots={tmp_path / 'snapshots'}",
        f"output.log={tmp_path / 'log'}",
    ]
    options = [word for setting in settings for word in ("--set", setting)]
    env = {"HOME": str(tmp_path), "XDG_STATE_HOME": "", "XDG_DATA_HOME": ""}
    before = os.umask(0o022)
    try:
        done = pi_detector("run", "--source", "demo:", "--frames", 3, *options, env=env)
    finally:
        os.umask(before)
    assert done.returncode == os.EX_OK, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"index.sqlite", "records-000001.jsonl"} <= {path.name for path in files}
    assert not [path for path in tmp_path.rglob("*") if mode_of(path) & stat.S_IRWXO]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ('[source]\nuri = "rtsp://admin:pw@cam/x"\n', "source.uri"),
        ('[mqtt]\nusername = "a"\npassword = "pw"\n', "mqtt.password"),
        ('[web]\ntoken = "0123456789abcdef"\n', "web.token"),
    ],
)
def test_a_password_that_all_can_read(home: Path, text: str, held: str) -> None:
    file = home / "settings.toml"
    file.write_text(text)
    file.chmod(0o644)
    finding = doctor_private.settings_file(file)
    assert finding.level is Level.WARN
    assert finding.finding.endswith(f"which contains {held}")
    file.chmod(0o640)
    assert doctor_private.settings_file(file).level is Level.OK


def test_the_name_of_a_secret_may_be_read(home: Path) -> None:
    file = home / "settings.toml"
    file.write_text(
        '[source]\nuri = "rtsp://admin:${secret:a}@cam/x?pwd=${secret:b}"\n'
        '[mqtt]\nusername = "a"\npassword = "${secret:c}"\n'
    )
    file.chmod(0o644)
    assert doctor_private.settings_file(file).level is Level.OK


def test_secrets_that_are_missing_or_open(home: Path) -> None:
    folder = home / "credentials"
    folder.mkdir()
    environ = {"CREDENTIALS_DIRECTORY": str(folder)}
    settings = load_settings(None, {}, ["source.uri=rtsp://a:${secret:camera}@cam/"])
    (missing,) = doctor_private.secrets(settings, environ)
    assert missing.level is Level.FAIL
    assert "no such secret" in missing.finding

    (folder / "camera").write_text("pw")
    (folder / "camera").chmod(0o600)
    (found,) = doctor_private.secrets(settings, environ)
    assert found.level is Level.OK
    (folder / "camera").chmod(0o644)
    assert [each.level for each in doctor_private.secrets(settings, environ)] == [
        Level.OK,
        Level.FAIL,
    ]
    folder.chmod(0o700)  # nobody else gets to the file
    assert [each.level for each in doctor_private.secrets(settings, environ)] == [Level.OK]


@pytest.mark.parametrize("name", ["drawn.toml", "mqtt-a.queue", "recordings/index.sqlite"])
def test_state_that_all_can_read(home: Path, name: str) -> None:
    settings = load_settings(None, {}, [])
    environ = {"STATE_DIRECTORY": str(home / "state")}
    file = home / "state" / name
    file.parent.mkdir(parents=True)
    file.touch(0o640)
    assert not list(doctor_private.open_folders(settings, environ))
    file.chmod(0o644)
    (finding,) = doctor_private.open_folders(settings, environ)
    assert finding.level is Level.WARN
    assert str(file) in finding.finding
