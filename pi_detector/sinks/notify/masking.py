"""What services and programs say of a failure, without what they were given in confidence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from pi_detector.util.uri import redact_within, split_uri

_SHORTEST_PART = 3
_HIDDEN = "***"
_MOST_CHARACTERS = 300


def masked(text: str, given: Sequence[str]) -> str:
    """One line of a text of others, in which what they were given does not occur.

    Args:
        text: of a service or a program.
        given: URLs, of which no part but the scheme is shown; and arguments, of which options are.
    """
    parts = {part for word in given for part in _parts(word)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_PART:
            text = text.replace(part, _HIDDEN)
    return redact_within(" ".join(text.split()))[:_MOST_CHARACTERS]


def _parts(word: str) -> set[str]:
    """What may be a secret in a URL or an argument."""
    scheme, rest = split_uri(word)
    if not rest.startswith("//"):
        option, equals, value = word.partition("=")
        if word.startswith("-"):
            return {value} if equals else set()
        return {word, value or option}
    wholes = {rest, unquote(rest)}
    parts = {part for whole in wholes for part in re.split(r"[/:@?&=#,;\s]+", whole)}
    return (parts | {whole.strip("/") for whole in wholes}) - {scheme}
