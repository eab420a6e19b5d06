from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_detector.config.changes import SECTIONS
from pi_detector.config.load import load_settings
from pi_detector.config.settings import Settings
from pi_detector.config.text import EXAMPLES, commented_example, documentation, settings_toml

# A loaded machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def loaded(text: str, folder: Path) -> Settings:
    file = folder / "example.toml"
    file.write_text(text)
    return load_settings(file, {}, [])


def test_every_setting_is_documented_and_nothing_else() -> None:
    for name, section in SECTIONS.items():
        summary, about = documentation(section)
        assert summary.endswith("."), name
        assert list(about) == [field.name for field in msgspec.structs.fields(section)]
        assert all(about.values())


def test_the_example_sets_nothing(tmp_path: Path) -> None:
    assert loaded(commented_example(), tmp_path) == Settings()


def test_the_example_with_its_comments_removed_is_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^#(\[\w+\.\w+\])$", r"\1", commented_example())
    text, opened = re.subn(r"(?m)^#(\w+ = )", r"\1", text)
    unset = re.findall(r"(?m)^#(\w+) =$", text)
    fields = [field for section in SECTIONS.values() for field in msgspec.structs.fields(section)]
    assert opened + len(unset) == len(fields)
    assert unset == [
        *("crop", "min_score", "max_fps", "min_score", "min_score", "cooldown_s"),
        *("latitude", "longitude"),
    ]
    named = {
        section: {name: msgspec.convert(values, SECTIONS[section])}
        for section, (name, values) in EXAMPLES.items()
    }
    assert loaded(text, tmp_path) == Settings(**named)


def test_the_example_explains_and_gives_limits() -> None:
    example = commented_example()
    assert "\n# Frame height to request from a camera, in pixels (int in 32..8192).\n" in example
    assert max(map(len, example.splitlines())) <= 100


labels = st.text(st.characters(exclude_characters=":"), max_size=8)  # no URIs
shares = st.floats(0, 1)


@unhurried
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "source": st.fixed_dictionaries({"loop": st.booleans(), "width": st.integers(32, 99)}),
            "model": st.fixed_dictionaries({"path": labels}),
            "detection": st.fixed_dictionaries(
                {"labels": st.lists(labels, max_size=3), "min_score": shares}
            )
            | st.fixed_dictionaries({"min_scores": st.dictionaries(labels, shares, max_size=3)}),
            "zones": st.dictionaries(
                labels,
                st.fixed_dictionaries(
                    {"polygon": st.just([[0, 0], [1, 0], [0.5, 1]])},
                    optional={"cooldown_s": shares, "labels": st.lists(labels, max_size=2)},
                ),
                max_size=2,
            ),
        },
    )
)
def test_effective_settings_load_back(tree: dict[str, Any]) -> None:
    settings = msgspec.convert(tree, Settings)
    assert msgspec.convert(tomllib.loads(settings_toml(settings)), Settings) == settings


def test_effective_settings_show_no_password() -> None:
    settings = load_settings(None, {}, ["source.uri=rtsp://user:hunter2@camera:554/live?token=abc"])
    text = settings_toml(settings)
    assert 'uri = "rtsp://camera:554/live?token=***"' in text
    assert "hunter2" not in text
