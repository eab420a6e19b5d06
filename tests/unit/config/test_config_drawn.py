from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_detector.cli.main import main
from pi_detector.config.drawn import DRAWN_NAME, drawn_file, drawn_toml, places_of, version_of
from pi_detector.config.load import load_settings
from pi_detector.config.settings import PrivacySettings, Settings
from pi_detector.errors import ConfigError

SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
DRAWN = f"[zones.door]\npolygon = {SQUARE}\n[motion.masks]\ntree = {SQUARE}\n"
FILE = f"""\
[motion]
enabled = true
masks = {{ clock = {SQUARE} }}
[zones.street]
polygon = {SQUARE}
[lines.kerb]
points = [[0, 0], [1, 1]]
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    return path


def load(
    config: Path, state: Path, *overrides: str, drawn: str | None = None, **environ: str
) -> Settings:
    return load_settings(config, {"STATE_DIRECTORY": str(state), **environ}, overrides, drawn)


def refused(config: Path, state: Path, text: str) -> str:
    (state / DRAWN_NAME).write_text(text)
    with pytest.raises(ConfigError) as error:
        load(config, state)
    assert error.value.exit_code == os.EX_CONFIG
    return str(error.value)


def test_without_the_file_the_places_are_those_of_the_settings(config: Path, state: Path) -> None:
    found = load(config, state)

    assert (set(found.zones), set(found.lines), set(found.motion.masks)) == (
        {"street"},
        {"kerb"},
        {"clock"},
    )


def test_what_is_drawn_takes_the_place_of_all_places_and_of_nothing_else(
    config: Path, state: Path
) -> None:
    (state / DRAWN_NAME).write_text(DRAWN)

    found = load(config, state)

    assert set(found.zones) == {"door"}
    assert found.lines == {}
    assert set(found.motion.masks) == {"tree"}
    assert found.motion.enabled


def test_what_is_drawn_takes_away_no_privacy_mask(config: Path, state: Path) -> None:
    window = PrivacySettings(polygon=((0, 0), (1, 0), (0, 1)))
    config.write_text(FILE + "[privacy.window]\npolygon = [[0, 0], [1, 0], [0, 1]]\n")
    (state / DRAWN_NAME).write_text(DRAWN)  # as a page writes that knows no privacy masks
    assert load(config, state).privacy == {"window": window}
    (state / DRAWN_NAME).write_text(DRAWN + f"[privacy.door]\npolygon = {SQUARE}\n")
    found = load(config, state).privacy
    assert set(found) == {"window", "door"}
    assert found["window"] == window


def test_environment_and_command_line_are_above_what_is_drawn(config: Path, state: Path) -> None:
    (state / DRAWN_NAME).write_text(DRAWN)

    found = load(
        config, state, "zones.door.loiter_s=7", PI_DETECTOR__ZONES__GATE__POLYGON=str(SQUARE)
    )

    assert set(found.zones) == {"door", "gate"}
    assert found.zones["door"].loiter_s == 7


def test_a_text_stands_in_the_place_of_the_file(config: Path, state: Path) -> None:
    (state / DRAWN_NAME).write_text("not TOML")

    assert set(load(config, state, drawn=DRAWN).zones) == {"door"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[zones.door\n", 1, "not valid TOML"),
        ("\n[zones.door]\npolygon = [[0, 0], [1, 1]]\n", 3, "a polygon needs at least 3 points"),
        ("[zones.door]\n", 1, "no polygon given"),
        ("[zones.door]\npolygn = []\n", 2, "did you mean `polygon`?"),
        ("[source]\nuri = 'demo:'\n", 1, "only zones, lines, motion.masks and privacy are allowed"),
        ("[motion]\nenabled = false\n", 2, "motion.enabled: only zones"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(
    config: Path, state: Path, text: str, line: int, message: str
) -> None:
    told = refused(config, state, text)

    assert told.startswith(f"{state / DRAWN_NAME}:{line}: ")
    assert message in told


def test_a_zone_that_events_need_cannot_be_left_out(config: Path, state: Path) -> None:
    config.write_text(FILE + '[events]\nzones = ["street"]\n')

    assert 'zone "street" does not exist' in refused(config, state, DRAWN)


coordinate = st.floats(0, 1, allow_nan=False)
names = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Z"]), min_size=1, max_size=12)
lines = st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=5, unique=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    zones=st.dictionaries(
        names, st.fixed_dictionaries({"loiter_s": st.floats(0, 100)}), max_size=3
    ),
    tracks=st.dictionaries(names, lines, max_size=3),
)
def test_what_is_written_is_what_is_read(zones: dict[str, Any], tracks: dict[str, Any]) -> None:
    tree = {
        "zones": {name: {**zone, "polygon": SQUARE} for name, zone in zones.items()},
        "lines": {name: {"points": points} for name, points in tracks.items()},
        "masks": dict.fromkeys(tracks, SQUARE),
        "privacy": {name: {"polygon": SQUARE} for name in zones},
    }
    found = load_settings(None, {"STATE_DIRECTORY": "/nowhere"}, [], drawn_toml(tree))

    expected = msgspec.convert(
        {
            "zones": tree["zones"],
            "lines": tree["lines"],
            "motion": {"masks": tree["masks"]},
            "privacy": tree["privacy"],
        },
        Settings,
    )
    assert places_of(found) == places_of(expected)
    assert version_of(places_of(found)) == version_of(places_of(expected))


def test_the_file_is_in_the_state_folder() -> None:
    assert drawn_file({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}) == Path("/var/lib/a/drawn.toml")
    assert drawn_file({"XDG_STATE_HOME": "/s"}) == Path("/s/pi-detector/drawn.toml")
    assert drawn_file({"HOME": "/h"}) == Path("/h/.local/state/pi-detector/drawn.toml")
    assert drawn_file({}) is None


def test_show_and_check_tell_of_what_is_drawn(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / DRAWN_NAME).write_text(DRAWN)
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    said = f"zones, lines, motion masks and drawn privacy masks come from {state / DRAWN_NAME}"

    assert main(["config", "check", str(config)]) == 0
    assert said in capsys.readouterr().out
    assert main(["config", "show", "--config", str(config)]) == 0
    assert f"# {said}" in capsys.readouterr().out


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "detector.local"])
def test_a_page_for_other_machines_needs_a_token(host: str) -> None:
    overrides = ["web.enabled=true", f"web.host={host}"]
    with pytest.raises(ConfigError, match=r"web\.host: .* set web\.token") as error:
        load_settings(None, {}, overrides)
    assert error.value.exit_code == os.EX_CONFIG

    secret = load_settings(None, {}, [*overrides, "web.token=${secret:web}"])
    assert secret.web.token == "${secret:web}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_page_for_this_machine_needs_none(host: str) -> None:
    assert load_settings(None, {}, ["web.enabled=true", f"web.host={host}"]).web.host == host


def test_tokens_are_long_and_not_on_the_command_line() -> None:
    with pytest.raises(ConfigError, match="shorter than 12 characters"):
        load_settings(None, {"PI_DETECTOR__WEB__TOKEN": "short"}, ["web.enabled=true"])
    with pytest.raises(ConfigError, match="all users of this device can see it"):
        load_settings(None, {}, ["web.token=correct-horse-battery"])


def test_a_token_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PI_DETECTOR__WEB__TOKEN", "correct-horse-battery")

    assert main(["config", "show"]) == 0

    assert "correct-horse" not in capsys.readouterr().out
