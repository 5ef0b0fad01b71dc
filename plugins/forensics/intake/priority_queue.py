"""A queue that hands out the highest rank first. Pure."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class PriorityQueue(Generic[T]):
    """The highest rank first, in order of arrival within a rank; thread-safe."""

    def __init__(self) -> None:
        self._items: list[tuple[int, int, T]] = []
        self._number = itertools.count()
        self._changed = threading.Condition()

    def put(self, item: T, *, rank: int) -> None:
        """Add an item."""
        with self._changed:
            heapq.heappush(self._items, (-rank, next(self._number), item))
            self._changed.notify()

    def get(self, *, timeout: float, at_least: int | None = None) -> T | None:
        """Take the item of the highest rank; None when there is none (of rank ``at_least``) within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        with self._changed:
            while not self._items or (at_least is not None and -self._items[0][0] < at_least):
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            return heapq.heappop(self._items)[2]

    def __len__(self) -> int:
        return len(self._items)
