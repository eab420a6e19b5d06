"""Commands that arrive by MQTT."""

from __future__ import annotations

PRESS = b"PRESS"
"""What a button of Home Assistant sends."""
ON, OFF = b"ON", b"OFF"
"""What the switch of Home Assistant sends to the command ``detection``."""
COMMANDS = frozenset({"reload", "picture", "pause", "resume", "detection"})
_MOST_BYTES = 64


def command_of(topic: str, payload: bytes, *, retained: bool) -> str:
    """The command of a message.

    Args:
        topic: of the message; its last level names the command.
        payload: empty or ``PRESS``; of ``detection`` ``ON`` or ``OFF``.
        retained: the broker kept the message from an earlier time.

    Returns:
        ``reload``, ``picture``, ``pause`` or ``resume``.

    Raises:
        ValueError: it is none that exists, or not to be obeyed; the text says why.
    """
    name = topic.rpartition("/")[2]
    if name not in COMMANDS:
        raise ValueError(f"there is no command {name[:_MOST_BYTES]!r}")
    if retained:
        raise ValueError(f"{name}: the message is retained, and so of an unknown age")
    words = payload.strip() if len(payload) <= _MOST_BYTES else None
    if name == "detection":
        if words not in (ON, OFF):
            raise ValueError(f"{name}: the message must be {ON.decode()} or {OFF.decode()}")
        return "resume" if words == ON else "pause"
    if words not in (b"", PRESS):
        raise ValueError(f"{name}: the message must be empty or {PRESS.decode()}")
    return name
