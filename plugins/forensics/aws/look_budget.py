"""How often waits look at AWS: a token bucket for each kind, account and Region, from which the urgent ones are served first.

Quotas of AWS are per account, Region and API. A look takes a token; where more waits look than there are tokens, they stand in line: those of
critical cases first, then those that isolation waits for, then the others, each in the order in which they came. Every fifth token goes to
whoever has stood longest, so that nobody starves. When AWS throttles, the bucket fills at half the rate, for all of its waits together,
and recovers slowly.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

# Looks per second that the waits of one kind, account and Region make together: fifty waits look every five seconds.
LOOKS_PER_SECOND = 10.0
# Tokens that a bucket holds: so many look at once when nothing has looked for a while.
BURST = 10.0
# The rate is never lower than this share of its own, and grows by this part of itself with each answer.
LOWEST, RECOVERY = 1 / 32, 0.02
# Of so many tokens one goes to the wait that has stood longest, whatever its urgency.
FAIR = 5


@dataclass(order=True)
class _Turn:
    """A wait in line."""

    order: tuple[int, int]
    came: asyncio.Future[None] = field(compare=False)


@dataclass
class _Bucket:
    """Tokens, rate and line of one kind, account and Region. Times are the loop's."""

    rate: float
    tokens: float
    at: float
    slowed_at: float = float("-inf")
    line: list[_Turn] = field(default_factory=list)  # a heap: the most urgent first
    oldest: deque[_Turn] = field(default_factory=deque)
    served: int = 0
    timer: asyncio.TimerHandle | None = None

    def fill(self, now: float) -> None:
        """Add what has come since."""
        self.tokens = min(BURST, self.tokens + (now - self.at) * self.rate)
        self.at = now

    def next(self) -> _Turn | None:
        """Whose turn it is; those that are gone, or were served from the other end, are left out."""
        self.served += 1
        if self.served % FAIR == 0:
            while self.oldest:
                turn = self.oldest.popleft()
                if not turn.came.done():
                    return turn
        while self.line:
            turn = heapq.heappop(self.line)
            if not turn.came.done():
                return turn
        self.oldest.clear()
        return None


class LookBudget:
    """The buckets of one process; a loop has its own."""

    def __init__(self, per_second: float = LOOKS_PER_SECOND) -> None:
        self._per_second = per_second
        self._buckets: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Bucket]] = WeakKeyDictionary()
        self._count = itertools.count()

    async def take(self, key: Hashable, *, urgency: int = 0, within: float | None = None) -> None:
        """Return when it is this wait's turn, or after ``within`` seconds: then something of its own is due.

        ``urgency``: the larger, the earlier.
        """
        loop = asyncio.get_running_loop()
        bucket = self._bucket(key)
        bucket.fill(loop.time())
        if bucket.tokens >= 1 and not bucket.line:
            bucket.tokens -= 1
            return
        turn = _Turn((-urgency, next(self._count)), loop.create_future())
        heapq.heappush(bucket.line, turn)
        bucket.oldest.append(turn)
        self._serve_later(bucket, loop)
        try:
            await asyncio.wait_for(turn.came, within)
        except TimeoutError:
            return

    def throttled(self, key: Hashable) -> None:
        """AWS refused a look: all waits of this bucket slow down, once a second at most however many were refused."""
        bucket, now = self._bucket(key), asyncio.get_running_loop().time()
        bucket.fill(now)
        if now - bucket.slowed_at >= 1:
            bucket.slowed_at = now
            bucket.rate = max(self._per_second * LOWEST, bucket.rate / 2)
            bucket.tokens = min(bucket.tokens, 0.0)

    def answered(self, key: Hashable) -> None:
        """AWS answered a look: the rate recovers."""
        bucket = self._bucket(key)
        if bucket.rate < self._per_second:
            bucket.fill(asyncio.get_running_loop().time())
            bucket.rate = min(self._per_second, bucket.rate * (1 + RECOVERY))

    def rate(self, key: Hashable) -> float:
        """Looks per second now."""
        return self._bucket(key).rate

    def _bucket(self, key: Hashable) -> _Bucket:
        loop = asyncio.get_running_loop()
        buckets = self._buckets.setdefault(loop, {})
        if key not in buckets:
            buckets[key] = _Bucket(self._per_second, max(1.0, min(BURST, self._per_second)), loop.time())
        return buckets[key]

    def _serve_later(self, bucket: _Bucket, loop: asyncio.AbstractEventLoop) -> None:
        if bucket.timer is None:
            bucket.timer = loop.call_later(max(0.0, (1 - bucket.tokens) / bucket.rate), self._serve, bucket, loop)

    def _serve(self, bucket: _Bucket, loop: asyncio.AbstractEventLoop) -> None:
        bucket.timer = None
        bucket.fill(loop.time())
        while bucket.tokens > 1 - 1e-9:  # what a timer of exactly one token's time has filled
            turn = bucket.next()
            if turn is None:
                return
            bucket.tokens -= 1
            turn.came.set_result(None)
        if bucket.line:
            self._serve_later(bucket, loop)
