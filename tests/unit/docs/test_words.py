"""Plain English in the documentation and the code: the words to avoid, each with a better one.

Of the code, what a user or a newcomer reads: docstrings (a setting's explanation is one), errors,
log messages, help texts, and the page.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from where import CHECKOUT

PAGES = [
    *(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((CHECKOUT / "docs").glob("*.md")),
]

CODE = sorted((CHECKOUT / "pi_detector").rglob("*.py"))
STATIC = CHECKOUT / "pi_detector" / "sinks" / "web" / "static"
PAGE_FILES = sorted(path for path in STATIC.iterdir() if path.suffix in {".html", ".js"})

# Calls whose strings a user reads, by the name of what is called; any exception is one of them.
_LOGS = {"debug", "info", "warning", "error", "critical", "exception"}
_PRINTS = {
    "print",
    "print_error",
    "add_parser",
    "add_command",
    "add_argument",
    "ok",
    "warn",
    "fail",
}

# Words that a text needs all the same: by file, with the reason.
EXCEPTIONS: dict[str, set[str]] = {}

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
    (r"(?:answer(?:s|ed) )?nonsense", "an invalid reply", "a server that answered nonsense"),
    (r"the same of", "name the subject", "the same of an object that stood still"),
    (r"of the interpreter; 0", "interpreter threads; 0 =", "of the interpreter; 0 takes one"),
    (r"cannot be;", "min_hits (5) exceeds window (3)", "5 of 3 frames cannot be; raise it"),
    (r"as well as (?:it|they) can", "say what happens", "it tidies as well as it can"),
]  # fmt: skip
_RULES = [
    (re.compile(rf"(?<!\w)(?:{pattern})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE), better)
    for pattern, better, _ in WORDS
]
_NAMES = re.compile(r"`[^`\n]+`|\]\([^)\n]+\)")


def _called(node: ast.Call) -> str:
    function = node.func
    return getattr(function, "attr", None) or getattr(function, "id", "")


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """The strings below a node, those of an f-string joined; not those of a call's arguments."""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
        yield node.lineno, "_".join(map(str, parts))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)


def words_of_code(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of what people read of a module: docstrings, and strings of messages."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text
            case ast.Raise(exc=ast.expr() as raised):
                yield from _texts(raised)
            case ast.Call() if _called(node) in _LOGS | _PRINTS or _called(node).endswith("Error"):
                yield from _texts(node)
            case ast.Assign(value=ast.Constant() | ast.JoinedStr() | ast.BinOp() as value):
                yield from _texts(value)
            case ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value):
                yield from _texts(value)


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


@pytest.mark.parametrize("module", CODE, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_module_in_plain_english(module: Path) -> None:
    name = module.relative_to(CHECKOUT)
    found = {
        (line + inner - 1, words, better)
        for line, text in words_of_code(module.read_text("utf-8"))
        for inner, words, better in found_in(text)
        if words.lower() not in EXCEPTIONS.get(str(name), ())
    }
    assert not found, "\n".join(
        f'{name}:{line}: "{words}"; better: {better}' for line, words, better in sorted(found)
    )


@pytest.mark.parametrize("file", PAGE_FILES, ids=lambda path: path.name)
def test_a_file_of_the_page_in_plain_english(file: Path) -> None:
    text = file.read_text("utf-8")
    shown = [text] if file.suffix == ".html" else re.findall(r"\"[^\"\n]+\"|`[^`]+`", text)
    assert [each for part in shown for each in found_in(part.strip("`"))] == []


@pytest.mark.parametrize(
    "source",
    [
        '"""It goes on."""',
        'class A:\n    """A.\n\n    Attributes:\n        a: the run goes on.\n    """',
        'raise SinkError(f"{path}: goes on; stop it") from error',
        'log.warning("%s: " "goes on", name)',
        'parser.add_argument("--a", help="what goes on")',
        'def f():\n    return f"{name} goes on"',
        '_DESCRIPTION = f"""It goes on at {place}."""',
        'yield path, f"{name}: goes on; stop it"',
    ],
)
def test_words_are_found_in_what_people_read_of_code(source: str) -> None:
    assert [each for _, text in words_of_code(source) for each in found_in(text)]


def test_other_strings_of_code_are_left_alone() -> None:
    source = 'if kind == "told":\n    anew = wanted["goes on"]  # goes on\n'
    assert not [each for _, text in words_of_code(source) for each in found_in(text)]


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
