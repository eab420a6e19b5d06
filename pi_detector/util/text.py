"""Makes foreign text safe to print: names of files, zones and labels, errors of libraries."""

from __future__ import annotations

import unicodedata

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_PLANE_0 = 0xFFFF
# By Unicode's own classes: what orders the direction of writing, beside two marks and ALM.
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_DIRECTION_MARKS = frozenset("\u200e\u200f\u061c")


def one_line(text: str) -> str:
    r"""The text on one line, without characters that speak to a terminal or to a log's reader.

    Those are control characters (ESC, line breaks, C1), what turns the direction of writing, and
    other invisible ones. Each becomes an escape such as ``\x1b`` or ``\u202e``.

    Example:
        >>> print(one_line("a\x1b[31m\nb"))
        a\x1b[31m\nb
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def several_lines(text: str) -> str:
    """As ``one_line``, but line breaks and tabs stay: for text that is laid out already.

    JSON and TOML keep their meaning: they never hold what is below 0x20 as it is, and know the
    escapes of what is above.
    """
    if text.isprintable():
        return text
    return "".join(
        # Beyond plane 0 there is nothing that a terminal obeys, and no escape that both know.
        char if char.isprintable() or char in "\n\t" or ord(char) > _PLANE_0 else _escaped(char)
        for char in text
    )


def has_controls(text: str) -> bool:
    """Whether a text has characters that no name needs: control, or turning the direction."""
    return any(
        unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(char) in _DIRECTIONS
        or char in _DIRECTION_MARKS
        for char in text
    )


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return _SHORT.get(char) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _PLANE_0 else f"\\U{code:08x}"
