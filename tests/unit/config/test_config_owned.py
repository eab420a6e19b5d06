"""The layer of settings changed on the page, and backups of all settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_detector.cli.doctor_private import held_secrets
from pi_detector.cli.main import main
from pi_detector.config.backup import backup_toml, files_of
from pi_detector.config.changes import SECTIONS
from pi_detector.config.load import load_settings
from pi_detector.config.owned import OWNED, changed, page_toml, without
from pi_detector.config.text import settings_toml
from pi_detector.errors import ConfigError

FILE = "# the porch\n[recording]\npre_s = 7 # a long drive\n"


def test_it_is_above_the_file_and_below_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(FILE + "[motion]\nenabled = false\n")
    (tmp_path / "page.toml").write_text("[recording]\npre_s = 8\npost_s = 9\n")
    environ = {"STATE_DIRECTORY": str(tmp_path), "PI_DETECTOR__RECORDING__POST_S": "4"}
    recording = load_settings(file, environ, ["recording.max_gb=2"]).recording
    assert (recording.pre_s, recording.post_s, recording.max_gb) == (8, 4, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[web]\ntoken = 'x'\n", "page.toml:2: web.token: cannot be changed on the page"),
        ("[notify.a]\ncommand = ['sh']\n", "notify.a.command: cannot be changed on the page"),
        ("[recording]\npath = '/etc'\n", "recording.path: cannot be changed on the page"),
        ("[source]\nuri = 'x'\n", "source.uri: cannot be changed on the page"),
        ("recording = 1\n", "recording: cannot be changed on the page"),
    ],
)
def test_only_settings_of_an_owner_are_allowed_in_it(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match="page") as raised:
        load_settings(None, {"STATE_DIRECTORY": str(tmp_path)}, [], page=text)
    assert words in str(raised.value)


def test_all_settings_of_an_owner_exist() -> None:
    for section, names in OWNED.items():
        assert set(names) <= set(SECTIONS[section].__struct_fields__)


def test_a_setting_is_set_and_taken_out_again() -> None:
    tree = changed({}, ["notify", "phone", "labels"], ["car"])
    more = changed(tree, ["recording", "pre_s"], 1)
    assert without(more, ["recording", "pre_s"]) == tree
    assert without(tree, ["notify", "phone"]) == {}
    assert without(tree, ["notify", "other", "labels"]) == tree
    assert "pre_s = 1" in page_toml(more)


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_a_backup_holds_the_texts_as_they_are(config: str, page: str) -> None:
    files = {"config.toml": config, "page.toml": page}
    expected = {name: text.replace("\r\n", "\n") for name, text in files.items()}
    assert files_of(backup_toml(files)) == expected


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY", "PI_DETECTOR_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".local/state/pi-detector").mkdir(parents=True)
    (tmp_path / "my.toml").write_text(FILE)
    (tmp_path / "my.toml").chmod(0o640)
    page_of(tmp_path).write_text("[motion]\nenabled = true\n")
    return tmp_path


def page_of(home: Path) -> Path:
    return home / ".local/state/pi-detector/page.toml"


CONFIG = ["--config", "my.toml"]


def test_a_backup_is_restored_with_its_comments(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "backup", "porch.toml", *CONFIG]) == 0
    assert (home / "porch.toml").stat().st_mode & 0o777 == 0o600
    (home / "my.toml").write_text("[recording]\npre_s = 1\n")
    page_of(home).unlink()
    assert main(["config", "restore", "porch.toml", *CONFIG]) == 0
    assert (home / "my.toml").read_text() == FILE
    assert (home / "my.toml").stat().st_mode & 0o777 == 0o640
    assert (home / "my.toml.old").read_text() == "[recording]\npre_s = 1\n"
    assert page_of(home).read_text() == "[motion]\nenabled = true\n"
    assert "restored" in capsys.readouterr().out


def test_a_backup_overwrites_nothing_by_itself(home: Path) -> None:
    assert main(["config", "backup", "my.toml", *CONFIG]) == os.EX_USAGE
    assert (home / "my.toml").read_text() == FILE


def test_a_backup_with_wrong_settings_changes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "wrong.toml").write_text(backup_toml({"config.toml": "[recording]\npre_s = 700\n"}))
    assert main(["config", "restore", "wrong.toml", *CONFIG]) == os.EX_CONFIG
    assert "config.toml:2: recording.pre_s" in capsys.readouterr().err
    assert (home / "my.toml").read_text() == FILE


def test_a_link_in_the_state_folder_leads_nowhere(home: Path) -> None:
    assert main(["config", "backup", "porch.toml", *CONFIG]) == 0
    (home / "victim").write_text("precious")
    page_of(home).unlink()
    page_of(home).symlink_to(home / "victim")
    assert main(["config", "restore", "porch.toml", *CONFIG]) == 0
    assert (home / "victim").read_text() == "precious"
    assert not page_of(home).is_symlink()


def test_tokens_of_other_detectors_are_never_shown() -> None:
    cameras = '{ Garden = { url = "http://10.0.0.9:8080/", token = "quite-a-secret" } }'
    settings = load_settings(None, {"PI_DETECTOR__WEB__CAMERAS": cameras}, [])
    assert "quite-a-secret" not in settings_toml(settings)
    assert held_secrets(settings) == ["web.cameras.Garden.token"]
    wrong = '{ Garden = { url = "http://10.0.0.9:8080/", token = ["quite-a-secret"] } }'
    with pytest.raises(ConfigError) as raised:
        load_settings(None, {"PI_DETECTOR__WEB__CAMERAS": wrong}, [])
    assert "quite-a-secret" not in str(raised.value)
