"""The bounded queue between two threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST_PRECIOUS = 1000


class BoundedQueue(Generic[T]):
    """Passes items from one thread to another.

    A lossless queue makes its producer wait while it is full. A lossy one replaces the oldest item
    (with a capacity of one: the newest wins) and counts what it dropped.

    Args:
        capacity: most items in the queue.
        lossless: see above.
        is_precious: an item that a lossy queue drops only when there are a thousand of them; they
            count towards the capacity of the others, but may exceed it.

    Attributes:
        dropped: number of items replaced so far.
    """

    def __init__(
        self,
        capacity: int,
        lossless: bool,
        is_precious: Callable[[T], bool] = lambda _: False,
    ) -> None:
        self.dropped = 0
        self._capacity = capacity
        self._lossless = lossless
        self._is_precious = is_precious
        self._items: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Give an item. Returns False if the queue is closed, and the item not taken."""
        with self._changed:
            while self._lossless and len(self._items) >= self._capacity and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            if len(self._items) > self._capacity:
                self._drop_one()
            self._changed.notify_all()
            return True

    def _drop_one(self) -> None:
        for index, item in enumerate(self._items):
            if not self._is_precious(item):
                del self._items[index]
                self.dropped += 1
                return
        if len(self._items) > _MOST_PRECIOUS:
            self._items.popleft()
            self.dropped += 1

    def get(self, timeout_s: float | None = None) -> T | None:
        """Take the oldest item.

        Returns None when nothing came within ``timeout_s``, or ever will: see ``ended``.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._items and not self._closed:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    @property
    def waiting(self) -> int:
        """How many items are in it."""
        with self._changed:
            return len(self._items)

    @property
    def ended(self) -> bool:
        """Whether it is closed, with nothing left in it."""
        with self._changed:
            return self._closed and not self._items

    def close(self, discard: bool = False) -> None:
        """Take no more items; those inside can still be taken, unless discarded."""
        with self._changed:
            self._closed = True
            if discard:
                self._items.clear()
            self._changed.notify_all()
