"""One question to AWS for many waits: what waits of one kind, account and Region ask within a moment is asked once.

A thousand snapshots that are waited for are five requests a look instead of a thousand, and each wait still has its own answer. One question
of a kind, account and Region is asked at a time, and the next begins as long after it as it took: half of the time nothing is asked, however
slow AWS is. When AWS throttles, that pause doubles. What cannot be asked together has a budget (:mod:`.look_budget`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from forensics.errors import ThrottledError

T = TypeVar("T")
Fetch = Callable[[Sequence[str]], Mapping[str, T]]
# How long a question waits for others of its kind, in seconds.
WINDOW = 0.5
# Ids in one request: a filter of EC2 takes 200 values (Amazon EC2 API reference, Filter).
CHUNK = 200
# The longest pause between two questions, in seconds, where AWS throttles them.
LONGEST = 60.0


@dataclass
class _Batch(Generic[T]):
    """What is asked together. ``fetch`` is the one of the waiter with the smallest name, so that the same session asks again and again."""

    name: str
    fetch: Fetch[T]
    answer: asyncio.Future[Mapping[str, T]]
    ids: set[str] = field(default_factory=set)
    # kept here: the loop itself keeps tasks weakly (asyncio.create_task)
    sending: asyncio.Task[None] | None = None


@dataclass
class _Line:
    """Questions of one kind, account and Region, one at a time. Times are the loop's."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    rest: float = 0.0
    free_at: float = float("-inf")


class SharedLooks(Generic[T]):
    """Questions by ids, asked together by the waits of one event loop; ``rest``: seconds between two at least."""

    def __init__(
        self, executor: Executor | None = None, *, window: float = WINDOW, chunk: int = CHUNK, rest: float = 0.0
    ) -> None:
        self._rest = rest
        self._executor = executor
        self._window = window
        self._chunk = chunk
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Line]] = WeakKeyDictionary()
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
        loop = asyncio.get_running_loop()
        line = self._lines.setdefault(loop, {}).setdefault(key, _Line())
        await asyncio.sleep(self._window)
        async with line.turn:
            await asyncio.sleep(max(0.0, line.free_at - loop.time()))
            batch, began = waiting.pop(key), loop.time()
            try:
                found = await self._fetch(batch)
            except Exception as error:  # whatever it is, each wait has to hear of it
                throttled = isinstance(error, ThrottledError)
                line.rest = min(LONGEST, max(1.0, 2 * line.rest)) if throttled else max(self._rest, loop.time() - began)
                batch.answer.set_exception(error)
            else:
                line.rest = max(self._rest, loop.time() - began)
                batch.answer.set_result(found)
            line.free_at = loop.time() + line.rest

    async def _fetch(self, batch: _Batch[T]) -> Mapping[str, T]:
        ids, loop = sorted(batch.ids), asyncio.get_running_loop()
        found: dict[str, T] = {}
        for part in (ids[at : at + self._chunk] for at in range(0, len(ids), self._chunk)):
            found.update(await loop.run_in_executor(self._executor, batch.fetch, part))
        return found
