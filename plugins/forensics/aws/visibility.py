"""What AWS does not know yet: a resource that was just made may be answered as not found for a while.

Source: Amazon EC2 developer guide, "Eventual consistency in the Amazon EC2 API", which asks callers to try again with
growing pauses; observed for snapshots up to 30 seconds after CreateSnapshots (mondoohq/mql#474, awslabs/coldsnap#43).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, retry_if_result, stop_after_delay, wait_exponential_jitter

from forensics.aws.error_map import error_code
from forensics.errors import ResourceGoneError

T = TypeVar("T")
S = TypeVar("S", bound=Sized | None)
R = TypeVar("R")

# How long "not found" means "not yet" for a resource of our own, in seconds: four times the longest that was observed.
VISIBLE_WITHIN = 120.0
# Something that should be there is called gone only after so many seconds.
GONE_AFTER = 10.0
# How long an empty list means "not yet", in seconds.
LISTED_WITHIN = 20.0
_LOOKS_ONCE: ContextVar[bool] = ContextVar("_LOOKS_ONCE", default=False)


class NotVisibleYet(Exception):
    """AWS does not know something of ours yet; ``seconds``: for how long that means "not yet", ``error``: what it means then."""

    def __init__(self, error: ResourceGoneError, seconds: float) -> None:
        super().__init__(str(error))
        self.error = error
        self.seconds = seconds


@contextmanager
def looking_once() -> Iterator[None]:
    """Here :func:`when_visible` asks once and raises :class:`NotVisibleYet`: for waits that share threads, and look again themselves."""
    before = _LOOKS_ONCE.set(True)
    try:
        yield
    finally:
        _LOOKS_ONCE.reset(before)


def when_visible(call: Callable[[], T], *, codes: Collection[str] = (), seconds: float | None = None) -> T:
    """Return what ``call`` returns, asked again while it raises :class:`ResourceGoneError`.

    For ids that this product has made. The last error is raised as it is.

    :param codes: AWS's error codes that mean "not yet"; none: every one that means "gone"
    :param seconds: for how long; :data:`VISIBLE_WITHIN` by default
    """

    def not_yet(error: BaseException) -> bool:
        return isinstance(error, ResourceGoneError) and (not codes or error_code(error) in codes)

    patience = VISIBLE_WITHIN if seconds is None else seconds
    if _LOOKS_ONCE.get():
        try:
            return call()
        except ResourceGoneError as error:
            if not_yet(error):
                raise NotVisibleYet(error, patience) from error
            raise
    again = Retrying(
        retry=retry_if_exception(not_yet),
        stop=stop_after_delay(patience),
        wait=wait_exponential_jitter(initial=0.2, max=5.0, jitter=0.1),
        reraise=True,
    )
    return again(call)


def until_found(look: Callable[[], S], *, seconds: float | None = None) -> S:
    """Return what ``look`` finds, asked again while it finds nothing (None, or an empty list).

    For a list, by tag or by filter, of what this product is known to have made: EC2 may leave it out for some seconds.

    :param seconds: for how long; :data:`LISTED_WITHIN` by default. After them nothing is what there is
    """

    return until(look, bool, seconds=LISTED_WITHIN if seconds is None else seconds)


def until(look: Callable[[], R], good: Callable[[R], bool], *, seconds: float) -> R:
    """Return what ``look`` finds, asked again while it is not ``good``; after ``seconds`` it is what it is."""

    again: Retrying = Retrying(
        retry=retry_if_result(lambda found: not good(found)),
        stop=stop_after_delay(seconds),
        wait=wait_exponential_jitter(initial=0.2, max=5.0, jitter=0.1),
        retry_error_callback=lambda last: last.outcome.result() if last.outcome else None,
    )
    return again(look)
