"""Names that users give to zones, lines and masks."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from pi_detector.config.load import load_settings
from pi_detector.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


@pytest.mark.parametrize("table", ["zones", "lines", "motion.masks"])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "the name is empty; choose a name"),
        ("  ", "the name is empty; choose a name"),
        ("a\0", "the name contains control characters; remove them"),
        ("a\x1b[31m\nb", "the name contains control characters; remove them"),
        ("a\u202eb", "the name contains control characters; remove them"),
        ("a\x9b", "the name contains control characters; remove them"),
        ("a" * 101, "the name has 101 characters; use at most 100"),
    ],
)
def test_names_that_do_not_fit_into_a_log(file: Path, table: str, name: str, fault: str) -> None:
    points = [[0, 0], [1, 0], [0.5, 1]]
    value = {"zones": {"polygon": points}, "lines": {"points": points}}.get(table, points)
    outer, _, inner = table.partition(".")
    named = {name: value}
    file.write_text(tomli_w.dumps({outer: {inner: named} if inner else named}))
    with pytest.raises(ConfigError) as error:
        load_settings(file, {}, [])
    message = str(error.value)
    assert message.endswith(fault)
    assert message.isprintable()


@pytest.mark.parametrize("name", ["Zufahrt", "entr\u00e9e\u00a0!", "\u05d2\u05df", "\U0001f3e0"])
def test_names_in_any_language(file: Path, name: str) -> None:
    file.write_text(tomli_w.dumps({"zones": {name: {"polygon": [[0, 0], [1, 0], [0.5, 1]]}}}))
    assert list(load_settings(file, {}, []).zones) == [name]
