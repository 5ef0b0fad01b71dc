"""One question to AWS for many waits: what waits of one kind, account and Region ask within a moment is asked once.

A thousand snapshots that are waited for are five requests a look instead of a thousand, and each wait still has its own answer. What
cannot be asked together waits longer, the more of it waits: a budget of looks per second for each kind, account and Region.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
Fetch = Callable[[Sequence[str]], Mapping[str, T]]
# How long a question waits for others of its kind, in seconds.
WINDOW = 0.5
# Ids in one request: a filter of EC2 takes 200 values (Amazon EC2 API reference, Filter).
CHUNK = 200
# Looks per second that the waits of one kind, account and Region make together: 50 waits look every five seconds, 500 every fifty.
LOOKS_PER_SECOND = 10.0


@dataclass
class _Batch(Generic[T]):
    """What is asked together. ``fetch`` is the one of the waiter with the smallest name, so that the same session asks again and again."""

    name: str
    fetch: Fetch[T]
    answer: asyncio.Future[Mapping[str, T]]
    ids: set[str] = field(default_factory=set)
    # kept here: the loop itself keeps tasks weakly (asyncio.create_task)
    sending: asyncio.Task[None] | None = None


class SharedLooks(Generic[T]):
    """Questions by ids, asked together by the waits of one event loop."""

    def __init__(self, executor: Executor | None = None, *, window: float = WINDOW, chunk: int = CHUNK) -> None:
        self._executor = executor
        self._window = window
        self._chunk = chunk
        self._open: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Batch[T]]] = WeakKeyDictionary()

    async def ask(self, key: Hashable, name: str, ids: Iterable[str], fetch: Fetch[T]) -> Mapping[str, T]:
        """What ``fetch`` says of the ids, and of others that were asked for at the same time; an id that it does not know is left out.

        ``key``: what may be asked together. Raises what ``fetch`` raises, in each of the waits.
        """
        loop = asyncio.get_running_loop()
        waiting = self._open.setdefault(loop, {})
        batch = waiting.get(key)
        if batch is None:
            batch = waiting[key] = _Batch(name, fetch, loop.create_future())
            # a wait that is cancelled meanwhile takes its answer from nobody, and an error that nobody reads is no event of its own
            batch.answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())
            batch.sending = loop.create_task(self._send(waiting, key))
        elif name < batch.name:
            batch.name, batch.fetch = name, fetch
        batch.ids.update(ids)
        return await asyncio.shield(batch.answer)

    async def _send(self, waiting: dict[Hashable, _Batch[T]], key: Hashable) -> None:
        await asyncio.sleep(self._window)
        batch = waiting.pop(key)
        ids, loop = sorted(batch.ids), asyncio.get_running_loop()
        parts = [ids[at : at + self._chunk] for at in range(0, len(ids), self._chunk)]
        try:
            found: dict[str, T] = {}
            for part in parts:
                found.update(await loop.run_in_executor(self._executor, batch.fetch, part))
        except Exception as error:  # whatever it is, each wait has to hear of it
            batch.answer.set_exception(error)
        else:
            batch.answer.set_result(found)


class Pace:
    """How many waits share a budget of looks, and how long each sleeps because of it."""

    def __init__(self, per_second: float = LOOKS_PER_SECOND) -> None:
        self._per_second = per_second
        self._waiting: Counter[Hashable] = Counter()

    def join(self, key: Hashable) -> None:
        """One more wait."""
        self._waiting[key] += 1

    def leave(self, key: Hashable) -> None:
        """One wait less."""
        self._waiting[key] -= 1
        if self._waiting[key] <= 0:
            del self._waiting[key]

    def pause(self, key: Hashable, *, poll: float) -> float:
        """Seconds until the next look: ``poll``, or longer where so many wait that the budget would be exceeded.

        Longer ones differ by up to a half, so that waits that began together do not look together.
        """
        return max(poll, self._waiting[key] / self._per_second * random.uniform(0.5, 1.5))
