"""Find the line of a setting in a TOML text, for messages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]

_DEEPEST = 4  # settings nest less deeply; deeper keys have the line of their parent
# Tokens that decide where a statement ends: strings and comments, which may contain anything,
# brackets and line breaks. Up to two quotes before the closing three belong to a multi-line string.
_TOKEN = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'{3}.*?\'{3,5}|"(?:[^"\\]|\\.)*"|\'[^\']*\'|\#[^\n]*|[][{}\n]''',
    re.DOTALL,
)


def line_index(text: str) -> dict[Path, int]:
    """Return the line of the first mention of each table and key of a valid TOML text.

    Each statement of TOML (a header, or a key and its value) starts on a line of its own and is a
    TOML text by itself, which ``tomllib`` reads once. Keys of an inline table have the line on
    which their statement starts.

    Args:
        text: TOML that ``tomllib`` accepts.

    Returns:
        Line numbers, from 1, by path of names from the root.
    """
    index: dict[Path, int] = {}
    table: Path = ()
    for number, statement in _statements(text):
        tree = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(tree)
            for depth in range(1, len(table) + 1):
                index.setdefault(table[:depth], number)
        else:
            for path in _paths(tree):
                index.setdefault(table + path, number)
    return index


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The statements of a valid TOML text, each with the number of its first line."""
    number, start, depth = 1, 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] == "\n" and depth == 0:
            yield number, text[start : token.end()]
            number += text.count("\n", start, token.end())
            start = token.end()
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
    yield number, text[start:]


def line_of(index: dict[Path, int], path: Path) -> int:
    """Return the line of ``path``, or of the nearest table around it; 1 if none is known."""
    for depth in range(len(path), 0, -1):
        if path[:depth] in index:
            return index[path[:depth]]
    return 1


def _header(tree: dict[str, Any]) -> Path:
    """The path of a single ``[a.b]`` or ``[[a.b]]``."""
    path: list[str] = []
    node: Any = tree
    while isinstance(node, dict) and node:
        ((name, node),) = node.items()
        path.append(name)
    return tuple(path)


def _paths(tree: dict[str, Any]) -> list[Path]:
    found: list[Path] = []
    pending: list[tuple[Path, Any]] = [((), tree)]
    while pending:
        path, node = pending.pop()
        if path:
            found.append(path)
        if isinstance(node, dict) and len(path) < _DEEPEST:
            pending.extend(((*path, name), item) for name, item in node.items())
    return found
