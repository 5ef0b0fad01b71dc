"""The priority queue: highest rank first, oldest first within a rank, and a wait that ends."""

from __future__ import annotations

import threading
import time

from forensics.intake.priority_queue import PriorityQueue


def filled() -> PriorityQueue[str]:
    queue: PriorityQueue[str] = PriorityQueue()
    for name, rank in (("a", 1), ("b", 3), ("c", 1), ("d", 3)):
        queue.put(name, rank=rank)
    return queue


def test_the_highest_rank_comes_first_and_the_oldest_of_a_rank() -> None:
    queue = filled()
    assert len(queue) == 4
    assert [queue.get(timeout=0) for _ in range(5)] == ["b", "d", "a", "c", None]


def test_lower_ranks_are_left_when_only_urgent_ones_are_wanted() -> None:
    queue = filled()
    assert [queue.get(timeout=0, at_least=2) for _ in range(3)] == ["b", "d", None]
    assert len(queue) == 2


def test_a_wait_ends_when_an_item_arrives() -> None:
    queue: PriorityQueue[str] = PriorityQueue()
    threading.Timer(0.05, queue.put, ("late",), {"rank": 0}).start()
    assert queue.get(timeout=10) == "late"


def test_a_wait_ends_with_its_timeout() -> None:
    began = time.monotonic()
    assert PriorityQueue[str]().get(timeout=0.05) is None
    assert time.monotonic() - began >= 0.05
