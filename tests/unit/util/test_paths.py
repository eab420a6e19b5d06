"""Where the files of a run lie: one rule for all of them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from where import CHECKOUT

from pi_detector.config.drawn import drawn_file
from pi_detector.config.settings import OutputSettings, RecordingSettings, Settings
from pi_detector.errors import SinkError
from pi_detector.pipeline.build import growing_folder
from pi_detector.util import paths
from pi_detector.util.paths import recordings_folder, state_folder, with_service

SERVICE = {"STATE_DIRECTORY": "/var/lib/one:/var/lib/two", "HOME": "/h", "XDG_STATE_HOME": "/s"}


@pytest.mark.parametrize(
    ("environ", "state", "recordings"),
    [
        (SERVICE, "/var/lib/one", "/var/lib/one/recordings"),
        ({"XDG_STATE_HOME": "/s", "XDG_DATA_HOME": "/d"}, "/s/pi-detector",
         "/d/pi-detector/recordings"),
        ({"HOME": "/h"}, "/h/.local/state/pi-detector", "/h/.local/share/pi-detector/recordings"),
        ({"HOME": "/h", "STATE_DIRECTORY": ""}, "/h/.local/state/pi-detector",
         "/h/.local/share/pi-detector/recordings"),
    ],
)  # fmt: skip
def test_a_run_keeps_its_files_together(environ, state, recordings) -> None:
    assert state_folder("", environ) == Path(state)
    assert drawn_file(environ) == Path(state, "drawn.toml")
    assert recordings_folder("", environ) == Path(recordings)


def test_a_setting_comes_first(monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/of/me")
    assert state_folder("~/q", SERVICE) == Path("/home/of/me/q")
    assert recordings_folder("/srv/x", SERVICE) == Path("/srv/x")
    with pytest.raises(SinkError, match="no such environment variable"):
        state_folder("$NO_SUCH_FOLDER/x", SERVICE)


def test_the_folder_that_grows_is_the_one_that_the_run_writes_to(tmp_path) -> None:
    environ = {"STATE_DIRECTORY": "/state"}
    log = OutputSettings(log=str(tmp_path / "log"))
    elsewhere = RecordingSettings(enabled=True, path="/mnt/disk")

    def grows(**sections: msgspec.Struct) -> Path:
        return growing_folder(msgspec.structs.replace(Settings(), **sections), environ)

    assert grows() == Path("/state")
    assert grows(output=log) == tmp_path / "log"
    assert grows(output=OutputSettings(snapshots="/shots")) == Path("/shots")
    assert grows(recording=RecordingSettings(path="/mnt/disk")) == Path("/state")
    assert grows(recording=RecordingSettings(enabled=True)) == Path("/state/recordings")
    assert grows(output=log, recording=elsewhere) == Path("/mnt/disk")


def test_a_command_by_hand_finds_the_state_of_the_service(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(paths, "SERVICE_STATE", tmp_path)
    assert state_folder("", with_service({"HOME": "/h"})) == tmp_path
    assert with_service(SERVICE) == SERVICE
    monkeypatch.setattr(paths, "SERVICE_STATE", tmp_path / "not installed")
    assert with_service({"HOME": "/h"}) == {"HOME": "/h"}


def test_nothing_else_says_where_state_lies() -> None:
    rule = re.compile(r"""["'](?:STATE_DIRECTORY|XDG_(?:STATE|DATA)_HOME)["']""")
    users = [
        str(path.relative_to(CHECKOUT))
        for path in sorted((CHECKOUT / "pi_detector").rglob("*.py"))
        if rule.search(path.read_text("utf-8"))
    ]
    # The first checks a backup as the state of a run, the second asks whether it is the service.
    others = ["pi_detector/cli/config_backup.py", "pi_detector/cli/events.py"]
    assert users == [*others, "pi_detector/util/paths.py"]
