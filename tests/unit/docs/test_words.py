"""The documentation in plain English: the words that it avoids, each with a better one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from where import CHECKOUT

PAGES = [
    *(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((CHECKOUT / "docs").glob("*.md")),
]

# Pattern, the better words, and an example.
WORDS = [
    (r"persons", "people", "finds persons"),
    (r"anew", "again; starts over", "started anew"),
    (r"in(?:to)? force", "current, applied; apply", "brings them into force"),
    (r"(?:go(?:es|ing|ne)?|went) on", "continue, ongoing; moves again", "the run goes on"),
    (r"tell(?:s|ing)?|told", "report, say, list; recognize", "how many is told"),
    (r"pass(?:es|ed|ing)? over", "skip", "other files are passed over"),
    (r"(?:try|tries|tried) again", "retry", "tries again until it works"),
    (r"until all works again", "until it recovers", "waits until all works again"),
    (r"what needs a restart", "settings that need a restart", "what needs a restart is logged"),
    (r"what (?:is there|there is)", "what exists, what is available", "shows what is there"),
    (r"belongs? into", "belong in", "cameras belong into a network of their own"),
    (r"somebody|whoever", "name who acts: a visitor, a client", "whoever connects gets them"),
    (r"(?<=[|:;.]) who \w+(?![^.|]*\?)", "name who acts: a slow reader", "all: who is slow waits"),
    (r"(?:frames?|times|requests?|records?|most|once|twice|one|\d|[kM]B) a second", "per second",
     "10 frames a second"),
    (r"(?:one|\d) an? (?:core|line|frame|epoch)", "per core, per line", "one a core, at most 4"),
    (r"too low a voltage", "undervoltage", "too low a voltage alone"),
    (r"errors? (?:\w+ ){0,3}like others", "handled as an ordinary error", "an error like others"),
    (r"answer(?:s|ed) nonsense", "sent an invalid reply", "a server that answered nonsense"),
]  # fmt: skip
_RULES = [
    (re.compile(rf"(?<!\w)(?:{pattern})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE), better)
    for pattern, better, _ in WORDS
]
_NAMES = re.compile(r"`[^`\n]+`|\]\([^)\n]+\)")


def found_in(text: str) -> list[tuple[int, str, str]]:
    """Line, words and better ones; names of code and addresses of links are left out."""
    prose = _NAMES.sub(lambda name: "_" * len(name[0]), text)
    return [
        (prose.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), better)
        for rule, better in _RULES
        for match in rule.finditer(prose)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_a_page_in_plain_english(page: Path) -> None:
    name = page.relative_to(CHECKOUT)
    found = found_in(page.read_text("utf-8"))
    assert not found, "\n".join(
        f'{name}:{line}: "{words}"; better: {better}' for line, words, better in sorted(found)
    )


@pytest.mark.parametrize(("pattern", "better", "example"), WORDS, ids=[w[0] for w in WORDS])
def test_each_word_is_found(pattern: str, better: str, example: str) -> None:
    broken = "A line.\n" + example.replace(" ", "\n").replace(":\n", ": ")
    for text in (f"A line.\n\n{example}", broken):
        assert better in [better for _, _, better in found_in(text)], text


@pytest.mark.parametrize(
    "text",
    [
        "`Health.tell` sends [a line](told.md).",
        "Within a second of the restart, a second reader connects.",
        "Two people who cross each other; who may look? Someone's persona: intolerable.",
    ],
)
def test_other_words_are_left_alone(text: str) -> None:
    assert found_in(text) == []


def test_the_place_is_named() -> None:
    assert found_in("First.\n\nIt goes\non.") == [(3, "goes on", _RULES[3][1])]
