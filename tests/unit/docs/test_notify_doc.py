"""docs/notify.md: its fields are those that exist, its recipes are settings."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from where import CHECKOUT

from pi_detector.config.load import load_settings
from pi_detector.config.template import FIELDS

PAGE = (CHECKOUT / "docs" / "notify.md").read_text("utf-8")
RECIPES = [text for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[notify" in text]


def test_the_fields_are_those_that_there_are() -> None:
    listed = PAGE.partition("<!-- fields: begin -->\n")[2].partition("<!-- fields: end -->")[0]
    rows = "".join(f"| `{{{name}}}` | {about} |\n" for name, about in FIELDS.items())
    assert listed == rows, f"write:\n{rows}"


@pytest.mark.parametrize("text", RECIPES, ids=[re.findall(r"\[(.*)\]", r)[0] for r in RECIPES])
def test_a_recipe_is_valid(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    for variant in (
        text,
        re.sub(r"(?m)^# (urls = .*)", r"\1", re.sub(r"(?m)^urls = .*\n", "", text)),
    ):
        file.write_text(variant)
        if tomllib.loads(variant)["notify"].popitem()[1].keys() & {"urls", "command"}:
            assert load_settings(file, {}, []).notify
