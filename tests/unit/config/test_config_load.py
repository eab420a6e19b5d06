from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_detector.config import load
from pi_detector.config.load import find_config, load_settings
from pi_detector.config.settings import SIZE_FOR_LOOKS, Settings
from pi_detector.errors import ConfigError

# A loaded machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def no_system_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(load, "SYSTEM_CONFIG", tmp_path / "etc" / "config.toml")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def refused(path: Path | None, *overrides: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as error:
        load_settings(path, environ, overrides)
    assert error.value.exit_code == os.EX_CONFIG
    return str(error.value)


def test_without_file_environment_and_command_line_there_are_defaults() -> None:
    assert load_settings(None, {}, []) == Settings()


def test_with_looks_larger_frames_are_asked_for_unless_a_size_is_set(file: Path) -> None:
    def size(*overrides: str) -> tuple[int, int]:
        source = load_settings(None, {}, overrides).source
        return source.width, source.height

    assert size("detection.looks=0") == (640, 480)
    assert size("detection.looks=2") == size("detection.looks=auto") == SIZE_FOR_LOOKS
    assert size("detection.looks=2", "source.width=800") == (800, 480)
    assert size("detection.looks=2", "source.height=600") == (640, 600)


@pytest.mark.parametrize("looks", ["-1", "17", "many", "1.5"])
def test_looks_are_a_small_number_or_auto(looks: str) -> None:
    assert refused(None, f"detection.looks={looks}") == (
        'command line: detection.looks: expected int in 0..16 or one of "auto", got '
        + (looks if looks != "many" else '"many"')
    )


def test_command_line_wins_over_environment_over_file(file: Path) -> None:
    file.write_text('[source]\nuri = "demo:"\nwidth = 100\nheight = 200\nfps = 5\n')
    settings = load_settings(
        file,
        {"PI_DETECTOR__SOURCE__WIDTH": "101", "PI_DETECTOR__SOURCE__HEIGHT": "201"},
        ["source.height=202", "source.height=203"],
    )
    source = settings.source
    assert (source.uri, source.width, source.height, source.fps) == ("demo:", 101, 203, 5.0)


def test_tables_of_several_places_are_joined(file: Path) -> None:
    file.write_text("[detection.min_scores]\nperson = 0.1\ncar = 0.2\n")
    settings = load_settings(
        str(file),
        {"PI_DETECTOR__DETECTION__MIN_SCORES__CAR": "0.3"},
        ['detection.min_scores."traffic light"=0.4'],
    )
    assert settings.detection.min_scores == {"person": 0.1, "car": 0.3, "traffic light": 0.4}


@pytest.mark.parametrize(
    ("override", "section", "name", "value"),
    [
        ("source.uri=demo:", "source", "uri", "demo:"),
        ('source.uri="demo:"', "source", "uri", "demo:"),
        ("source.uri=rtsp://h/x?a=b#c", "source", "uri", "rtsp://h/x?a=b#c"),
        ("model.path=2024", "model", "path", "2024"),
        ("model.path=true", "model", "path", "true"),
        ("output.snapshots=", "output", "snapshots", ""),
        ("source.loop=true", "source", "loop", True),
        ('detection.labels=["car", "bus"]', "detection", "labels", ("car", "bus")),
        ("detection.min_scores={car=0.5}", "detection", "min_scores", {"car": 0.5}),
        ("log.level=debug", "log", "level", "debug"),
        ("source={width=99}", "source", "width", 99),
    ],
)
def test_a_value_is_toml_where_the_setting_takes_it_else_text(
    override: str, section: str, name: str, value: Any
) -> None:
    key, _, text = override.partition("=")
    variable = "PI_DETECTOR__" + key.replace(".", "__").upper()
    for loaded in (
        load_settings(None, {}, [override]),
        load_settings(None, {variable: text}, []),
    ):
        assert getattr(getattr(loaded, section), name) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "# a comment\n\n[detection]\nmin_scor = 0.4\n",
            "4: unknown setting `detection.min_scor`; did you mean `min_score`?",
        ),
        ("[log]\ncolour = true\n", "2: unknown setting `log.colour`; valid settings: level"),
        (
            "\nmin_score = 0.4\n",
            "2: unknown setting `min_score`; did you mean `detection.min_score`?",
        ),
        ("[sauce]\nuri = 'x'\n", "1: unknown setting `sauce`; did you mean `source`?"),
        (
            "[source]\r\n\r\nwidth = 'big'\r\n",
            '3: source.width: expected int in 32..8192, got "big"',
        ),
        ("source.width = 12\n", "1: source.width: expected int in 32..8192, got 12"),
        ("[source]\nfps = inf\n", "2: source.fps: expected float in 0..240, got Infinity"),
        ("[source]\nloop = 1\n", "2: source.loop: expected true or false, got 1"),
        (
            "[model]\nthreads = 1979-05-27\n",
            "2: model.threads: expected int in 0..64, got 1979-05-27",
        ),
        (
            "[model]\npath = '''\n[source]\nwidth = 3\n'''\nruntime = 'fast'\n",
            '6: model.runtime: expected one of "auto", "litert", "tflite", got "fast"',
        ),
        (
            '[detection]\nlabels = [\n "car", # no ]\n 3]\niou_threshold = 0.4\n',
            "2: detection.labels: expected string, got 3",
        ),
        (
            '[detection]\nmin_scores = { "traffic light" = 3 }\n',
            '2: detection.min_scores."traffic light": expected float in 0..1, got 3',
        ),
        (
            "[detection]\nmin_score = -1\n",
            "2: detection.min_score: expected float in 0..1, got -1",
        ),
        ("source = 3\n", "1: source: expected a table, got 3"),
        ("[[source]]\nwidth = 3\n", "1: source: expected a table, got a list"),
        (
            "[zones.door]\nlabels = []\npolygon = [[0.1, 0.2], [1.2, 0]]\n",
            "3: zones.door.polygon: point 2: expected [x, y], each in 0..1, got [1.2, 0]",
        ),
        (
            "[zones.door]\npolygon = [[0.1, 0.2, 0.3]]\n",
            "2: zones.door.polygon: point 1: expected [x, y], each in 0..1, got [0.1, 0.2, 0.3]",
        ),
        (
            "[zones.door]\npolygon = 'all'\n",
            '2: zones.door.polygon: expected a list of points [x, y], each in 0..1, got "all"',
        ),
        (
            "[zones.door]\npolygon = [[0, 0], [1, 1]]\n",
            "2: zones.door.polygon: a polygon needs at least 3 points, this one has 2",
        ),
        (
            "[zones.door]\npolygon = [[0, 0], [1, 1], [1, 0], [0, 1]]\n",
            "2: zones.door.polygon: side 1 meets side 3; list the corners in order around the area",
        ),
        (
            "[motion]\nenabled = true\nmasks.tree = [[0, 0], [0, 0], [1, 1]]\n",
            "3: motion.masks.tree: points 1 and 2 are the same; remove one",
        ),
        (
            "[zones.door]\n[lines.a]\n",
            "1: zones.door: no polygon given; add polygon = [[x, y], ...] in 0..1\n"
            "FILE:2: lines.a: no points given; add points = [[x, y], ...] in 0..1",
        ),
        (
            "[zones.door]\npolgon = []\n",
            "2: unknown setting `zones.door.polgon`; did you mean `polygon`?",
        ),
        (
            "[events]\npolygon = [[0, 0], [1, 0], [1, 1]]\n",
            "2: unknown setting `events.polygon`; did you mean `zones.NAME.polygon`?",
        ),
        (
            "[events]\nzones = ['dor']\n[zones.door]\npolygon = [[0, 0], [1, 0], [1, 1]]\n",
            '2: events.zones: zone "dor" does not exist; did you mean "door"?',
        ),
        (
            "[events]\nmin_hits = 9\n",
            "2: events.min_hits: min_hits (9) exceeds window (5); raise events.window",
        ),
        (
            "[filters.person]\nmin_area = 0.5\nmax_area = 0.1\n",
            "1: filters.person: min_area exceeds max_area; lower min_area",
        ),
        (
            "[source\n",
            "1: not valid TOML: Expected ']' at the end of a table declaration, column 8",
        ),
        ("[source]\nuri = [1,\n", "2: not valid TOML: Invalid value (at end of document)"),
        ("a = " + "[" * 9000, "1: not valid TOML: nested too deeply"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_file_and_line(
    file: Path, text: str, message: str
) -> None:
    file.write_bytes(text.encode())
    assert refused(file) == f"{file}:{message}".replace("FILE", str(file))


def test_a_conflict_names_the_last_place_that_sets_it(file: Path) -> None:
    file.write_text("[zones.door]\npolygon = [[0, 0], [1, 0], [1, 1]]\n[events]\nzones=['door']\n")
    assert load_settings(file, {}, []).events.zones == ("door",)
    assert refused(file, 'events.zones=["gate"]').startswith("command line: events.zones: zone")
    assert refused(file, PI_DETECTOR__ZONES__GATE__LOITER_S="3").startswith(
        "environment variable PI_DETECTOR__ZONES__GATE__LOITER_S: zones.gate: no polygon given"
    )


def test_parts_of_a_zone_may_come_from_several_places(file: Path) -> None:
    file.write_text("[zones.door]\nloiter_s = 3\n")
    zone = load_settings(file, {}, ["zones.door.polygon=[[0, 0], [1, 0], [1, 1]]"]).zones["door"]
    assert zone.loiter_s == 3
    assert zone.polygon == ((0, 0), (1, 0), (1, 1))


def test_all_mistakes_are_told_at_once(file: Path) -> None:
    file.write_text("a = 1\n[source]\nwidth = 1\nheight = 1\n")
    lines = refused(file, "source.fps=x", PI_DETECTOR__LOG__LEVEL="loud").splitlines()
    starts = ["unknown setting", "source.width", "source.height", "log.level", "source.fps"]
    for line, start in zip(lines, starts, strict=True):
        assert f": {start}" in line


def test_of_many_mistakes_ten_are_told(file: Path) -> None:
    file.write_text("".join(f"wrong_{number} = 1\n" for number in range(25)))
    lines = refused(file).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "and 15 more"


def test_a_mistake_names_the_variable_or_the_command_line() -> None:
    assert refused(None, PI_DETECTOR__SOURCE__WIDHT="9").startswith(
        "environment variable PI_DETECTOR__SOURCE__WIDHT: unknown setting `source.widht`; "
        "did you mean `width`?"
    )
    assert refused(None, "source.width=9") == (
        "command line: source.width: expected int in 32..8192, got 9"
    )
    assert "NAME=VALUE" in refused(None, "source.width")


def test_other_variables_are_not_settings() -> None:
    environ = {"PI_DETECTOR_SHARED": "x", "PI_DETECTOR": "x", "pi_detector__source__uri": "x"}
    assert load_settings(None, environ, []) == Settings()


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert re.match(rf"{missing}: .*does not exist.*pi-detector config init", refused(missing))
    message = refused(None, PI_DETECTOR_CONFIG=str(missing))
    assert str(missing) in message
    assert "PI_DETECTOR_CONFIG" in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"{tmp_path}: cannot read the settings file: Is a directory"
    assert "larger than 256 KiB" in refused(Path("/dev/zero"))
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"[model]\npath = 'caf\xe9'\n")
    assert refused(latin).startswith(f"{latin}:2: not UTF-8")


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf[source]\nfps = 3\n")
    assert load_settings(file, {}, []).source.fps == 3.0


def test_the_first_file_that_exists_is_found(tmp_path: Path) -> None:
    home, system = tmp_path / "home", load.SYSTEM_CONFIG
    personal = home / ".config" / "pi-detector" / "config.toml"
    environ = {"HOME": str(home)}
    assert find_config(environ) is None
    assert find_config({}) is None
    for place in (personal, system):
        place.parent.mkdir(parents=True)
        place.write_text("[source]\nfps = 9\n")
        assert find_config(environ) == place
        assert load_settings(None, environ, []).source.fps == 9.0
    named = tmp_path / "named.toml"
    named.touch()
    assert find_config({**environ, "PI_DETECTOR_CONFIG": str(named)}) == named


SECTIONS = ["source", "model", "detection", "output", "log", "sauce"]
SETTINGS = ["uri", "width", "fps", "loop", "min_score", "min_scores", "labels", "runtime", "level"]
names = st.sampled_from(SECTIONS + SETTINGS) | st.text(max_size=4)
values = st.recursive(
    st.one_of(
        st.text(max_size=5),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.booleans(),
        st.datetimes(),
        st.dates(),
        st.times(),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
trees = st.dictionaries(names, st.dictionaries(names, values, max_size=4) | values, max_size=4)


def settings_or_config_error(
    path: Path | None, environ: dict[str, str], overrides: list[str]
) -> None:
    try:
        settings = load_settings(path, environ, overrides)
    except ConfigError as error:
        lines = str(error).split("\n")
    else:
        assert isinstance(settings, Settings)
        return
    places = (f"{path}:", "environment variable ", "command line: ", "and ")
    assert all(line.startswith(places) for line in lines)


@unhurried
@given(tree=trees)
def test_any_tree_gives_settings_or_a_config_error(
    tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(tomli_w.dumps(tree), encoding="utf-8", newline="\n")
    settings_or_config_error(file, {}, [])


@unhurried
@given(data=st.binary(max_size=60) | st.text("[]{}=\"'#.,\\\n\r\t a1-:", max_size=40))
def test_any_bytes_give_settings_or_a_config_error(
    data: bytes | str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    settings_or_config_error(file, {}, [])


words = st.text("[]{}=\"'#.,\n \\_a1-:", max_size=12)
keys = names | words | st.tuples(names, names | words).map(".".join)


@unhurried
@given(keys, words | st.sampled_from(["1", "0.5", "demo:", "true", "[]", "{}", "{a=1}"]))
def test_any_override_or_variable_gives_settings_or_a_config_error(key: str, value: str) -> None:
    settings_or_config_error(None, {}, [f"{key}={value}"])
    if "\n" not in key:
        settings_or_config_error(None, {"PI_DETECTOR__" + key.replace(".", "__"): value}, [])


def test_a_value_that_is_no_utf8_is_a_mistake_like_others() -> None:
    message = refused(None, b"log.level=caf\xe9".decode("utf-8", "surrogateescape"))
    assert message.startswith("command line: log.level: expected one of")
    assert message.isprintable()


def test_control_characters_of_a_value_do_not_reach_the_terminal() -> None:
    message = refused(None, "log.level=\x7f\x9b2J\u202e")
    assert message.isprintable()
    assert r"\u007f\u009b2J\u202e" in message


def test_a_textfile_that_would_not_be_read(file: Path) -> None:
    file.write_text('[metrics]\ntextfile = "/run/pi-detector.txt"\n')
    assert refused(file) == f"{file}:2: metrics.textfile: the name does not end in .prom; rename it"
