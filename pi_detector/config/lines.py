"""On which line of a TOML text a setting stands, for messages."""

from __future__ import annotations

import tomllib
from typing import Any

Path = tuple[str, ...]

_DEEPEST = 4  # settings nest less deeply; what lies below is found by its parent's line


def line_index(text: str) -> dict[Path, int]:
    """The line of the first mention of each table and key of a valid TOML text.

    Each statement of TOML (a header, or a key and its value) starts on a line of its own and is a
    TOML text by itself; one that is not finished never is. So the text is cut into statements
    with ``tomllib`` alone. What stands in an inline table is found at the line where its
    statement starts.

    Args:
        text: TOML that ``tomllib`` accepts.

    Returns:
        Path of names from the root to line number, from 1.
    """
    index: dict[Path, int] = {}
    table: Path = ()
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            start = number
        statement += line + "\n"
        try:
            tree = tomllib.loads(statement)
        except ValueError:  # goes on in the next line
            continue
        if statement.lstrip().startswith("["):
            table = _header(tree)
            for depth in range(1, len(table) + 1):
                index.setdefault(table[:depth], start)
        else:
            for path in _paths(tree):
                index.setdefault(table + path, start)
        statement = ""
    return index


def line_of(index: dict[Path, int], path: Path) -> int:
    """The line of ``path``, or of the nearest table around it; 1 where none is known."""
    for depth in range(len(path), 0, -1):
        if path[:depth] in index:
            return index[path[:depth]]
    return 1


def _header(tree: dict[str, Any]) -> Path:
    """The path of a lone ``[a.b]`` or ``[[a.b]]``."""
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
