"""What is drawn on the page is checked, saved, and in force."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_client import SQUARE, Answer, Web

from pi_detector.config.load import load_settings


def save(web: Web, **places: Any) -> Answer:
    version = places.pop("version", web.ask("/api/places").json()["version"])
    tree = {"zones": {}, "lines": {}, "masks": {}, "version": version, **places}
    return web.ask("/api/places", "PUT", json.dumps(tree))


def test_what_is_drawn_is_saved_and_in_force(web: Web) -> None:
    answer = save(web, zones={"door": {"polygon": SQUARE, "labels": ["person"], "loiter_s": 5}})

    assert answer.status == 200
    assert web.commands == ["reload"]
    shown = web.ask("/api/places").json()
    assert shown["version"] == answer.json()["version"]
    assert shown["zones"]["door"]["polygon"] == SQUARE
    assert load_settings(None, web.environ, []).zones["door"].loiter_s == 5


@pytest.mark.parametrize(
    ("places", "status", "message"),
    [
        ({"zones": {"door": {"polygon": SQUARE[:2]}}}, 422, "at least 3 points"),
        ({"zones": {"door": {"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}}}, 422, "meets side"),
        ({"zones": {"door": {"polygon": [[0, 0], [2, 0], [1, 1]]}}}, 422, "each in 0..1"),
        ({"lines": {"kerb": {"points": SQUARE, "colour": "red"}}}, 422, "unknown setting"),
        ({"masks": {"tree": "x"}}, 422, "expected a list of points"),
        ({"zones": 3}, 422, "expected"),
        ({"zones": None}, 400, "not valid zones, lines and masks"),
        ({"source": {}}, 422, "unknown field `source`"),
        ({"version": "old"}, 409, "changed in the meantime"),
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(
    web: Web, places: dict[str, Any], status: int, message: str
) -> None:
    answer = save(web, **places)

    assert answer.status == status
    assert message in answer.json()["error"]
    assert str(web.folder) not in answer.json()["error"]
    assert not (web.folder / "drawn.toml").exists()
    assert web.commands == []


def test_what_the_command_line_overrides_is_not_saved(make: Callable[..., Web]) -> None:
    web = make(overrides=(f"zones.door.polygon={SQUARE}",))

    answer = save(web, zones={"gate": {"polygon": SQUARE}})

    assert answer.status == 409
    assert "command line of pi-detector sets zones" in answer.json()["error"]
    assert not (web.folder / "drawn.toml").exists()


def test_a_folder_that_cannot_be_written_is_told(make: Callable[..., Web], tmp_path: Path) -> None:
    web = make()
    (tmp_path / "drawn.toml").mkdir()

    answer = web.ask(
        "/api/places", "PUT", json.dumps({"version": web.ask("/api/places").json()["version"]})
    )

    assert answer.status == 507
    assert web.commands == []
