"""All cases as the board searches them, in this process's memory: read by the table's index, kept for seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from forensics.errors import ForensicsError, StoredItemError
from forensics.models.board import Entry

# Younger than FRESH it is shown as it is; younger than STALE it is shown while it is read again; older ones are not shown.
FRESH, STALE = timedelta(seconds=5), timedelta(seconds=60)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """The cases as they were at a moment; ``unread``: why the records of others cannot be read by this release."""

    entries: tuple[Entry, ...]
    at: datetime
    unread: tuple[str, ...] = ()


class BoardIndex:
    """The last reading of all cases.

    :param read: reads every case; may raise :class:`ForensicsError`
    """

    def __init__(self, read: Callable[[], Iterable[Entry | StoredItemError]]) -> None:
        self._read = read
        self._known: Snapshot | None = None
        self._lock = threading.Lock()

    def entries(self, *, oldest: timedelta = STALE) -> Snapshot:
        """The cases, not older than ``oldest``. Raises :class:`ForensicsError` when there are none so young and none can be read."""
        known, now = self._known, datetime.now(UTC)
        if known is None or now - known.at > oldest:
            with self._lock:
                if self._known is known:  # nobody has read them meanwhile
                    self._reread()
                known = self._known
        elif now - known.at > FRESH and self._lock.acquire(blocking=False):
            threading.Thread(target=self._again, name="board-index", daemon=True).start()
        if known is None:  # not reached: _reread raises or sets it
            return Snapshot((), now)
        return known

    def _again(self) -> None:
        """Read while the last reading is shown; the lock is this thread's."""
        try:
            self._reread()
        except ForensicsError as error:
            # What is shown says how old it is; once it is too old, the error is the answer.
            log.warning("the cases could not be read again", error=error.message, kind=type(error).__name__)
        finally:
            self._lock.release()

    def _reread(self) -> None:
        began = datetime.now(UTC)
        found = tuple(self._read())
        unread = tuple(f"{item.message}. {item.next_action}" for item in found if isinstance(item, StoredItemError))
        self._known = Snapshot(tuple(item for item in found if isinstance(item, Entry)), began, unread)
