"""Settings that are changed in a file: those alone, and nothing else in it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.config.edit import change_settings, check_changeable, with_values
from pi_detector.config.text import commented_example
from pi_detector.errors import ConfigError, SettingsUnwritableError

VALUES = {"threads": 3, "runtime": "litert"}


def differing_lines(before: str, after: str) -> list[str]:
    old = before.splitlines()
    return [line for line in after.splitlines() if line not in old]


def test_in_the_example_the_comment_gives_way() -> None:
    example = commented_example()
    changed = with_values(example, "model", VALUES)
    assert len(changed.splitlines()) == len(example.splitlines())
    assert differing_lines(example, changed) == ['runtime = "litert"', "threads = 3"]
    again = with_values(changed, "model", {"threads": 2})
    assert differing_lines(changed, again) == ["threads = 2"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[model]\nthreads = 3\nruntime = "litert"\n'),
        (
            '[model]   # mine\npath = "x"  # no other\n\n# about logs\n[log]\n',
            '[model]   # mine\nthreads = 3\nruntime = "litert"\npath = "x"  # no other\n\n'
            "# about logs\n[log]\n",
        ),
        (
            "[model]\nthreads   =   1    # all\nruntime = 'auto'\n",
            "[model]\nthreads   =   3    # all\nruntime = \"litert\"\n",
        ),
        ("model.threads = 1\nmodel.runtime = 'tflite'\n",
         'model.threads = 3\nmodel.runtime = "litert"\n'),
        ("model = { threads = 1, runtime = 'auto' }\n",
         'model = { threads = 3, runtime = "litert" }\n'),
        (
            "[model]\r\nthreads = 1\r\nruntime = 'auto'\r\n",
            '[model]\r\nthreads = 3\r\nruntime = "litert"\r\n',
        ),
    ],
)  # fmt: skip
def test_the_form_is_kept(before: str, after: str) -> None:
    changed = with_values(before, "model", VALUES)
    assert tomllib.loads(changed) == tomllib.loads(after)
    assert sorted(changed.splitlines()) == sorted(after.splitlines())


names = st.text("abcdef -\"'#[]=.é", min_size=1, max_size=6)
leaves = st.integers(-5, 5) | st.text('ab"\\\n#[]model=', max_size=8) | st.booleans()
trees = st.dictionaries(
    names | st.just("model"), st.dictionaries(names | st.just("threads"), leaves, max_size=3)
)


@given(trees)
@settings(deadline=None, max_examples=150)
def test_whatever_stands_there_stays(tree: dict[str, Any]) -> None:
    text = tomli_w.dumps(tree, multiline_strings=True)
    try:
        changed = with_values(text, "model", VALUES)
    except ConfigError:
        multiline = '"""' in text
        assert multiline
        return
    tree.setdefault("model", {}).update(VALUES)
    assert tomllib.loads(changed) == tree


def test_a_text_that_looks_like_a_setting_is_no_setting() -> None:
    text = '[source]\nuri = """\n[model]\n#threads = 0\n"""\n'
    with pytest.raises(ConfigError, match=r"\[model\]: .* write by hand: threads = 3"):
        with_values(text, "model", {"threads": 3})


def test_owner_mode_and_link_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "real.toml", tmp_path / "config.toml"
    file.write_text("\ufeff[model]\nthreads = 1\n")
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 12345, 23456)
    before = file.stat()
    link.symlink_to(file)
    change_settings(link, "model", {"threads": 2})
    after = file.stat()
    assert file.read_text() == "\ufeff[model]\nthreads = 2\n"
    assert link.is_symlink()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "real.toml"]


def test_a_file_that_cannot_be_replaced_is_named_with_the_fix() -> None:
    with pytest.raises(SettingsUnwritableError, match=r"/proc/config\.toml: .* with sudo"):
        check_changeable(Path("/proc/config.toml"))
