"""The tables of plugins in the tree of settings: their types, reloads, reserved names."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import msgspec
import pytest
from installed_plugin import install

import pi_detector.sinks
import pi_detector.telemetry
from pi_detector.config.changes import at_reload, at_restart
from pi_detector.config.load import load_settings
from pi_detector.config.plugin_tables import RESERVED, Unusable
from pi_detector.config.settings import Settings
from pi_detector.errors import ConfigError
from pi_detector.util import plugins

CODE = """
from pi_detector import Section

class Settings(Section, frozen=True):
    RELOAD = {reload!r}
    url: str = "a"
    count: int = 1

class Sink:
    Settings = Settings
    def __init__(self, settings): pass
    def start(self): pass
    def handle(self, item): return False
    def close(self): pass
"""


@pytest.fixture(autouse=True)
def search_path(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.search_again()
    yield tmp_path
    plugins.search_again()


def installed(folder: Path, name: str, code: str) -> str:
    """A package with a sink of the same name, which no other test has imported."""
    install(folder, f"plugin_of_{name}", code, {f"sink.{name}": "Sink"})
    plugins.search_again()
    return name


def loaded(*overrides: str) -> Settings:
    return load_settings(None, {}, overrides)


def test_a_table_is_of_the_type_of_the_plugin(search_path) -> None:
    name = installed(search_path, "one", CODE.format(reload="sinks"))
    section = loaded(f"plugins.{name}.count=3").plugins[name]
    assert type(section).__module__ == "plugin_of_one"
    assert msgspec.to_builtins(section) == {"url": "a", "count": 3}


def test_a_change_is_taken_at_a_reload(search_path) -> None:
    name = installed(search_path, "two", CODE.format(reload="sinks"))
    old, new = loaded(f"plugins.{name}.count=3"), loaded(f"plugins.{name}.count=4")
    for before, after in ((old, new), (Settings(), new), (old, Settings())):
        assert at_reload(before, after) == after
        assert at_restart(before, after) == []


def test_a_change_waits_for_a_restart_where_the_plugin_says_so(search_path) -> None:
    name = installed(search_path, "three", CODE.format(reload="restart"))
    old, new = loaded(f"plugins.{name}.count=3"), loaded(f"plugins.{name}.count=4")
    assert at_reload(old, new) == old
    assert at_restart(old, new) == ["plugins.three.count"]
    for before, after in ((Settings(), new), (old, Settings())):
        assert at_reload(before, after) == before
        assert at_restart(before, after) == ["plugins.three"]


@pytest.mark.parametrize(
    ("name", "code", "fault"),
    [
        ("four", CODE.format(reload="live"), "RELOAD is not one of sinks, restart"),
        ("five", "class Sink: pass", "not a class with the methods start, handle, close"),
        ("six", CODE.format(reload="sinks").replace("(Section, f", "(dict, f"), "TypeError"),
        ("seven", CODE.format(reload="sinks").replace("    Settings = Settings", ""),
         "no class Settings, a pi_detector.Section"),
        ("eight", "1 / 0", "ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_a_plugin_that_is_none_is_kept_and_named(search_path, name, code, fault) -> None:
    installed(search_path, name, code)
    section = loaded(f"plugins.{name}.anything=3").plugins[name]
    assert isinstance(section, Unusable)
    assert section.values == {"anything": 3}
    assert section.reason.startswith(f"sink '{name}' of the package plugin-of-{name} 1.2.3: ")
    assert fault in section.reason


def test_a_package_that_is_installed_during_a_run_is_found_at_a_reload(search_path) -> None:
    with pytest.raises(ConfigError, match="no package brings a sink of this name"):
        loaded("plugins.nine.count=3")
    install(search_path, "plugin_of_nine", CODE.format(reload="sinks"), {"sink.nine": "Sink"})
    assert loaded("plugins.nine.count=3").plugins["nine"].count == 3


def test_the_names_of_our_sinks_are_reserved() -> None:
    names = set()
    for room in (pi_detector.sinks, pi_detector.telemetry):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            for item in vars(importlib.import_module(module.name)).values():
                if isinstance(item, type) and hasattr(item, "handle") and hasattr(item, "close"):
                    names.add(getattr(item, "name", None))
    names -= {None}
    assert {"mqtt", "web", "log", "stdout"} <= names
    assert names <= RESERVED


def test_a_table_must_be_a_table() -> None:
    with pytest.raises(ConfigError, match=r"plugins\.x: expected a table, got 3"):
        loaded("plugins.x=3")
