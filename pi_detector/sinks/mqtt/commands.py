"""Commands that arrive by MQTT."""

from __future__ import annotations

PRESS = b"PRESS"
"""What a button of Home Assistant sends."""
COMMANDS = frozenset({"reload", "picture"})
_MOST_BYTES = 64


def command_of(topic: str, payload: bytes, *, retained: bool) -> str:
    """The command of a message.

    Args:
        topic: of the message; its last level names the command.
        payload: empty or ``PRESS``.
        retained: the broker kept the message from an earlier time.

    Raises:
        ValueError: it is none that exists, or not to be obeyed; the text says why.
    """
    name = topic.rpartition("/")[2]
    if name not in COMMANDS:
        raise ValueError(f"there is no command {name[:_MOST_BYTES]!r}")
    if retained:
        raise ValueError(f"{name}: the message is retained, and so of an unknown age")
    if len(payload) > _MOST_BYTES or payload.strip() not in (b"", PRESS):
        raise ValueError(f"{name}: the message must be empty or {PRESS.decode()}")
    return name
