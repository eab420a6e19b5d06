"""Texts of messages: words with fields in braces, such as ``{label} in {zones}``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pi_detector.util.suggest import nearest

FIELDS: dict[str, str] = {
    "what": "what happened, in words: `person, car ×2 appeared`",
    "labels": "what was seen: `person, car ×2`",
    "label": "the label of the first event",
    "count": "how many events the message is about",
    "when": "`new`, `loitering`, `crossing` or `end`",
    "zones": "zones that the objects are in, or were in where the event ended",
    "line": "the lines that were crossed",
    "direction": "`in` or `out`, of a crossing; of a group perhaps both",
    "score": "the best score, in per cent: `87 %`",
    "duration": "how long the first event has lasted: `12 s`",
    "time": "local time of the first event: `21:04:10`",
    "date": "local date of the first event: `2026-11-24`",
    "source": "the source, without its secrets",
    "detector": "the host's name",
    "rule": "the rule's name",
    "id": "the id of the first event",
    "link": "the address of the first event on the page; empty where there is no page",
}
"""The fields of ``notify.NAME.title`` and ``notify.NAME.body``, and what each stands for."""

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def template_problem(text: str) -> str | None:
    """What is wrong with a template, and the fix; None where nothing is.

    Example:
        >>> template_problem("{label} at {tim}")
        'unknown field {tim}; did you mean {time}?'
    """
    for piece in _PIECE.finditer(text):
        if piece[0] in ("{{", "}}"):
            continue
        if piece[1] is None:
            return f"a lone '{piece[0]}'; write '{piece[0] * 2}' for the character itself"
        if piece[1] not in FIELDS:
            near = nearest(piece[1], FIELDS)
            fix = f"did you mean {{{near}}}?" if near else f"use one of {', '.join(FIELDS)}"
            return f"unknown field {{{piece[1][:40]}}}; {fix}"
    return None


def filled(text: str, values: Mapping[str, str]) -> str:
    """A template with its fields filled in; values are never read as templates themselves.

    Args:
        text: without a ``template_problem``.
        values: of all ``FIELDS``.

    Example:
        >>> filled("{label} {{1}}", {"label": "cat"})
        'cat {1}'
    """

    def value(piece: re.Match[str]) -> str:
        return piece[0][0] if piece[1] is None else values[piece[1]]

    return _PIECE.sub(value, text)
