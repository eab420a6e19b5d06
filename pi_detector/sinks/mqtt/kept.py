"""Messages that stay valid until the next one of their topic."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple


class Message(NamedTuple):
    """What is to be sent; an empty payload has the broker forget the topic."""

    topic: str
    payload: bytes


class Kept:
    """The newest message of each topic, and when it is due. For any thread.

    Example:
        >>> kept = Kept()
        >>> kept.put("a/count", b"1")
        True
        >>> kept.take()
        [Message(topic='a/count', payload=b'1')]
        >>> kept.take()
        []
    """

    def __init__(self) -> None:
        self._messages: dict[str, bytes] = {}
        self._before: dict[str, bytes] = {}
        self._due_s: dict[str, float] = {}
        self._sent_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def put(
        self,
        topic: str,
        payload: bytes,
        *,
        interval_s: float = 0.0,
        delay_s: float = 0.0,
        before: bytes | None = None,
    ) -> bool:
        """Keep a message, in the place of the one before.

        Args:
            topic: of the message.
            payload: empty to delete what the broker retains.
            interval_s: since the last message of this topic; until it is over a newer one may
                replace this one.
            delay_s: from now.
            before: sent once, right before this message.

        Returns:
            Whether there is something to send.
        """
        with self._lock:
            if before is not None:
                self._before[topic] = before
            elif self._messages.get(topic) == payload:
                return False
            self._messages[topic] = payload
            due_s = time.monotonic() + delay_s
            if topic in self._sent_s:
                due_s = max(due_s, self._sent_s[topic] + interval_s)
            self._due_s[topic] = due_s
            return True

    def repeat(self, first: str, delay_s: float = 0.0) -> None:
        """Have all messages sent again, ``first`` before the others."""
        due_s = time.monotonic() + delay_s
        with self._lock:
            waiting, self._due_s = self._due_s, {}
            for topic in dict.fromkeys([first, *self._messages]):
                self._due_s[topic] = min(due_s, waiting.get(topic, due_s))

    def repeat_one(self, topic: str, interval_s: float) -> None:
        """Have one message sent again, at most once per interval."""
        with self._lock:
            self._due_s[topic] = self._sent_s.get(topic, -interval_s) + interval_s

    def take(self, *, early: bool = False) -> list[Message]:
        """The messages that are due, in their order; with ``early`` also those that are not yet."""
        now_s = time.monotonic()
        messages: list[Message] = []
        with self._lock:
            for topic in [each for each, due_s in self._due_s.items() if early or due_s <= now_s]:
                del self._due_s[topic]
                self._sent_s[topic] = now_s
                if (before := self._before.pop(topic, None)) is not None:
                    messages.append(Message(topic, before))
                payload = self._messages[topic]
                messages.append(Message(topic, payload))
                if not payload:
                    del self._messages[topic], self._sent_s[topic]
        return messages

    @property
    def wait_s(self) -> float | None:
        """Seconds until a message is due; None where none is."""
        with self._lock:
            due_s = min(self._due_s.values(), default=None)
        return None if due_s is None else max(0.0, due_s - time.monotonic())
