from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_detector.config.load import load_settings
from pi_detector.sinks.web.editor import Editor, RefusedError

SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]


class Desk:
    """An editor, and what a restart would read."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self.config = folder / "config.toml"
        self.config.write_text(config)
        self.environ = {"STATE_DIRECTORY": str(folder)}
        self.file = folder / "drawn.toml"
        self.reloads = 0
        self.editor = Editor(self.load(), ["person"], self.file, self.load, self.reload)

    def load(self, drawn: str | None = None) -> Any:
        return load_settings(self.config, self.environ, (), drawn)

    def reload(self) -> None:
        self.reloads += 1
        self.editor.settings = self.load()

    def save(self, body: bytes) -> None:
        """Save, or be refused; either way a restart succeeds."""
        before, refused = self.reloads, None
        try:
            version = self.editor.save(body)
        except RefusedError as error:
            refused = error.status
        if refused is None:
            assert version == self.editor.version
        else:
            assert refused in {400, 409, 422}
            assert self.reloads == before
        self.load()


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.just(SQUARE),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["polygon", "points", "labels", "loiter_s", "door", "", "é\n"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
unhurried = settings(deadline=None, suppress_health_check=list(HealthCheck))


@unhurried
@given(zones=anything, lines=anything, masks=anything, privacy=anything)
def test_whatever_is_sent_the_next_start_succeeds(
    tmp_path_factory: pytest.TempPathFactory, zones: Any, lines: Any, masks: Any, privacy: Any
) -> None:
    desk = Desk(tmp_path_factory.mktemp("state"))
    tree = {"zones": zones, "lines": lines, "masks": masks, "privacy": privacy}
    desk.save(json.dumps(tree | {"version": desk.editor.version}).encode())


@unhurried
@given(body=st.binary(max_size=50))
def test_what_is_no_json_is_refused(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    desk = Desk(tmp_path_factory.mktemp("state"))
    desk.save(body)
    assert desk.reloads == 0


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"zones":' * 6_000, b'{"a":' + b"[" * 9_000])
def test_nesting_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(RefusedError):
        Desk(tmp_path).editor.save(body)


def test_what_is_saved_survives(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    tree = {
        "version": desk.editor.version,
        "zones": {"a \u00e9": {"polygon": SQUARE, "cooldown_s": None}},
    }

    desk.save(json.dumps(tree).encode())

    assert set(desk.load().zones) == {"a \u00e9"}
    assert desk.reloads == 1


WINDOW = {"polygon": [[0, 0], [0.5, 0], [0, 0.5]]}
WINDOW_TOML = f"[privacy.window]\npolygon = {WINDOW['polygon']}\n"


def masks_of(desk: Desk) -> dict[str, list[list[float]]]:
    return {
        name: [list(corner) for corner in mask.polygon]
        for name, mask in desk.load().privacy.items()
    }


def save(desk: Desk, **places: Any) -> None:
    desk.editor.save(json.dumps({"version": desk.editor.version, **places}).encode())


def test_privacy_masks_are_added_changed_and_removed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    save(desk, privacy={"door": {"polygon": SQUARE}, "gate": WINDOW})
    assert masks_of(desk) == {"door": SQUARE, "gate": WINDOW["polygon"]}
    save(desk, privacy={"door": WINDOW})
    assert masks_of(desk) == {"door": WINDOW["polygon"]}
    save(desk, zones={"a": {"polygon": SQUARE}})  # by who does not know of them
    assert masks_of(desk) == {"door": WINDOW["polygon"]}
    save(desk, privacy={})
    assert masks_of(desk) == {}


def test_masks_of_the_settings_file_stay_and_are_not_written_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, WINDOW_TOML)
    with pytest.raises(RefusedError, match=r"sets privacy\.window; remove it there"):
        save(desk, privacy={"door": {"polygon": SQUARE}})
    assert not desk.file.exists()
    save(desk, privacy={"window": WINDOW, "door": {"polygon": SQUARE}})
    assert set(masks_of(desk)) == {"window", "door"}
    # What the file says later applies, for the page did not change this mask.
    desk.config.write_text(WINDOW_TOML.replace("0.5", "0.7"))
    assert masks_of(desk)["window"] == [[0, 0], [0.7, 0], [0, 0.7]]
    desk.reload()
    save(desk, privacy={"window": {"polygon": SQUARE}})
    assert masks_of(desk) == {"window": SQUARE}


def test_a_privacy_mask_that_would_stay_open_is_not_saved(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    bow = {"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}
    with pytest.raises(RefusedError, match=r"privacy\.bow\.polygon: side 1 meets side 3"):
        save(desk, privacy={"bow": bow})
    assert not desk.file.exists()


@pytest.mark.parametrize("name", ["", "\0", "a\nb", "a\x1b[31m"])
def test_names_are_checked_as_those_of_the_settings(tmp_path: Path, name: str) -> None:
    desk = Desk(tmp_path)
    tree = {"version": desk.editor.version, "zones": {name: {"polygon": SQUARE}}}
    with pytest.raises(RefusedError, match="the name "):
        desk.editor.save(json.dumps(tree).encode())
    assert not desk.reloads


def test_without_a_place_to_save_it_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    editor = Editor(desk.load(), [], None, desk.load, desk.reload)

    assert editor.shown().locked == "this run cannot save zones, lines and masks"
    with pytest.raises(RefusedError):
        editor.save(b"{}")
