"""Commands that arrive by MQTT."""

from __future__ import annotations

import re

PRESS = b"PRESS"
"""What a button of Home Assistant sends."""
ON, OFF = b"ON", b"OFF"
"""What the switch of Home Assistant sends to the command ``detection``."""
SWITCHES = frozenset({"motion", "notifications", "recording"})
"""Commands that switch a setting on and off until the next start."""
COMMANDS = frozenset(
    {"reload", "picture", "pause", "resume", "detection", "min_score", "keep", *SWITCHES}
)
_MOST_BYTES = 64
_EVENT_ID = re.compile(rb"[A-Za-z0-9-]+")
_MOST_KEPT = 16
_KINDS = {"pause": "detection", "resume": "detection"}


def command_of(topic: str, payload: bytes, *, retained: bool) -> str:
    """Return the command of a message.

    Args:
        topic: topic of the message; its last level names the command.
        payload: empty or ``PRESS``; for ``detection``, ``ON`` or ``OFF``.
        retained: the broker retained the message from an earlier time.

    Returns:
        ``reload``, ``picture``, ``pause``, ``resume``, or a setting with its value, such as
        ``motion=off``, ``min_score=0.6``, or
        ``keep=`` and an id.

    Raises:
        ValueError: the command does not exist or must be refused; the text is the reason.
    """
    name = topic.rpartition("/")[2]
    if name not in COMMANDS:
        raise ValueError(f"unknown command {name[:_MOST_BYTES]!r}")
    if retained:
        raise ValueError(f"{name}: the message is retained, so its age is unknown")
    words = payload.strip() if len(payload) <= _MOST_BYTES else None
    if name == "detection":
        if words not in (ON, OFF):
            raise ValueError(f"{name}: the message must be {ON.decode()} or {OFF.decode()}")
        return "resume" if words == ON else "pause"
    if name == "keep":
        if words is None or not _EVENT_ID.fullmatch(words):
            raise ValueError(f"{name}: the message must be the id of an event")
        return f"{name}={words.decode()}"
    if name in SWITCHES:
        if words not in (ON, OFF):
            raise ValueError(f"{name}: the message must be {ON.decode()} or {OFF.decode()}")
        return f"{name}={words.decode().lower()}"
    if name == "min_score":
        return f"{name}={_score(words)}"
    if words not in (b"", PRESS):
        raise ValueError(f"{name}: the message must be empty or {PRESS.decode()}")
    return name


def _score(words: bytes | None) -> float:
    """The score of a message. Raises ValueError."""
    try:
        score = float((words or b"").decode("ascii"))
    except ValueError:  # also of what is not ASCII
        score = -1.0
    if not 0 <= score <= 1:
        raise ValueError("min_score: the message must be a number from 0 to 1")
    return score


class CommandLimit:
    """Passes a command of each kind at most once per interval; of those in between, the last one.

    ``pause`` and ``resume`` are of one kind: the last one wins.

    Args:
        interval_s: shortest time between two commands of a kind.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._obeyed_s: dict[str, float] = {}
        self._waiting: dict[str, str] = {}

    def add(self, command: str) -> None:
        """A command arrived."""
        kind = command.partition("=")[0]
        if kind == "keep":  # each event counts, not the last one alone
            kind = command
            if sum(each.startswith("keep=") for each in self._waiting) >= _MOST_KEPT:
                return
        self._waiting[_KINDS.get(kind, kind)] = command

    def due(self, now_s: float) -> list[str]:
        """The commands to obey now."""
        kinds = [kind for kind in self._waiting if self._left_s(kind, now_s) <= 0]
        rated = [kind for kind in kinds if not kind.startswith("keep=")]  # ids are without end
        self._obeyed_s |= dict.fromkeys(rated, now_s)
        return [self._waiting.pop(kind) for kind in kinds]

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until a command is due; None where none waits."""
        return min((self._left_s(kind, now_s) for kind in self._waiting), default=None)

    def _left_s(self, kind: str, now_s: float) -> float:
        return max(0.0, self._obeyed_s.get(kind, -self._interval_s) + self._interval_s - now_s)
