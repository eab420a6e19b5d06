"""On which line of a settings file a setting stands."""

from __future__ import annotations

import tomllib

import pytest

from pi_detector.config.lines import line_index, line_of


def test_lines_of_nested_tables_and_strings_that_look_like_settings() -> None:
    text = '''
x = """
[a]
b = 1
"""
[ a . "b c" ]
d = {e = 1, f = {g = 2}}
[[h]]
i = 1
[[h]]
j = 2
'''
    index = line_index(text)
    lines = {
        ("x",): 2,
        ("a", "b c"): 6,
        ("a", "b c", "d", "f"): 7,
        ("h", "i"): 9,
        ("h", "j"): 11,
        ("a", "b c", "nothing", "here"): 6,
        ("nothing",): 1,
    }
    assert {path: line_of(index, path) for path in lines} == lines


@pytest.mark.parametrize(
    "value",
    [
        "[ # ]\n1,\n[2],\n]",
        """'# [' # '""",
        r'''"\"[" # "''',
        '""" [\n\\""" ]\n"""""',
        "'''\n[ \\'''''",
        '{ a = "}", b = [\n1,\n] }',
        '""',
        "''",
    ],
)
def test_the_line_behind_any_value(value: str) -> None:
    text = f"a = {value}\nb = 1\n[c]\r\nd = 1"
    first = value.count("\n") + 2
    assert tomllib.loads(text)["b"] == 1
    index = line_index(text)
    assert [index[path] for path in (("a",), ("b",), ("c",), ("c", "d"))] == [
        1,
        first,
        first + 1,
        first + 2,
    ]


def test_a_long_value_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work grows with the text, not with its square."""
    read = []
    real = tomllib.loads
    monkeypatch.setattr(tomllib, "loads", lambda text: read.append(len(text)) or real(text))
    points = "".join(f"  [0.{number}, 0.5],\n" for number in range(2000))
    text = f"[zones.a]\npolygon = [\n{points}]\nlabels = []\n"
    index = line_index(text)
    assert index["zones", "a", "labels"] == 2004
    assert sum(read) <= 2 * len(text)


def test_many_tables_are_each_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many tables are twice the work."""
    read: list[int] = []
    real = tomllib.loads
    monkeypatch.setattr(tomllib, "loads", lambda text: read.append(len(text)) or real(text))

    def work(tables: int) -> tuple[int, int]:
        read.clear()
        text = "".join(f"[zones.z{number:04}]\nloiter_s = 3\n" for number in range(tables))
        assert line_index(text)[("zones", f"z{tables - 1:04}", "loiter_s")] == 2 * tables
        return len(read), sum(read)

    (few, small), (many, large) = work(300), work(600)
    assert many <= 2 * few
    assert large <= 2 * small + 100
