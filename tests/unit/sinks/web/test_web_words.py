"""The page speaks Spanish too: each text of it has a translation, with the same values in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from where import CHECKOUT

STATIC = CHECKOUT / "pi_detector" / "sinks" / "web" / "static"
LABELS = CHECKOUT / "models" / "street" / "labels.txt"
_STRING = r'"((?:[^"\\]|\\.)*)"'
_CHOSEN = re.compile(rf"[(?:,]\s*{_STRING}(?!\s*(?:\]|===))")
# Texts that are chosen from tables, each entry a text of its own.
_TABLES = re.compile(r"const (?:TITLES|MODE_NAMES|FLAGS|HELP|words) = \{(.*?)\n?\};", re.DOTALL)


def dictionary() -> dict[str, str]:
    text = (STATIC / "es.js").read_text()
    entries = re.findall(rf"^\t(?:{_STRING}|(\w+)): {_STRING},$", text, re.MULTILINE)
    return {
        json.loads(f'"{quoted}"') or bare: json.loads(f'"{es}"') for quoted, bare, es in entries
    }


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: set[str] = set()
        self._taking = False

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._taking = "data-t" in given
        self.texts |= {
            given[name] or "" for name in ("aria-label", "title", "placeholder") if name in given
        }

    def handle_data(self, data: str) -> None:
        if self._taking and data.strip():
            self.texts.add(data.strip())
            self._taking = False


def _calls(content: str) -> Iterator[str]:
    """What stands in the parentheses of each call of ``t`` and ``count``."""
    for call in re.finditer(r"(?<![\w.])(?:t|count)\(", content):
        depth = 0
        for token in re.finditer(rf"[()]|{_STRING}", content[call.start() :]):
            depth += {"(": 1, ")": -1}.get(token.group(), 0)
            if depth == 0:
                yield content[call.end() - 1 : call.start() + token.start()]
                break


def texts_of(path: Path) -> set[str]:
    content = path.read_text()
    if path.suffix == ".html":
        parser = _Texts()
        parser.feed(content)
        return parser.texts
    calls = [text for call in _calls(content) for text in _CHOSEN.findall(call)]
    calls += [text for table in _TABLES.findall(content) for text in re.findall(_STRING, table)]
    if path.name in ("visits.js", "zones.js"):
        calls += re.findall(rf"\{{ (?:name|word): {_STRING}, (?:from|stem):", content)
    return {json.loads(f'"{text}"') for text in calls if re.search("[A-Za-z]", text)}


FILES = sorted(
    path for path in STATIC.iterdir() if path.suffix in {".html", ".js"} and path.name != "es.js"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_text_has_a_translation(path: Path) -> None:
    missing = sorted(texts_of(path) - set(dictionary()) - {""})
    assert missing == []


def test_labels_have_a_translation() -> None:
    labels = {line.strip() for line in LABELS.read_text().splitlines() if line.strip()}
    assert labels - set(dictionary()) - {"???"} == set()


def test_translations_have_the_values_of_their_text() -> None:
    odd = {
        en
        for en, es in dictionary().items()
        if set(re.findall(r"\{\w+\}", en)) != set(re.findall(r"\{\w+\}", es))
    }
    assert odd == set()


def test_no_translation_is_left_over() -> None:
    used = set.union(*(texts_of(path) for path in FILES))
    labels = set(LABELS.read_text().split())
    assert set(dictionary()) - used - labels == set()
