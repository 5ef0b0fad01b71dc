"""Reads log files of a bucket one after another, some ahead of their turn, within what a case may read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from forensics.aws.log_buckets import LogBucketGateway, LogBytes, LogFile
from forensics.cloud_evidence.trail_selection import LogObject
from forensics.confined import MIB
from forensics.errors import AwsError, EvidenceTransferError
from forensics.printable import count
from forensics.settings import Settings

# AWS closes a flow log file at 75 MB (VPC user guide, *Flow log files*); a child takes no piece of more than 80 MiB.
LARGEST_FILE = 78 * MIB
_AHEAD = 8


@dataclass
class Budget:
    """What a collection may still read; ``cut`` says which limit ended it."""

    objects: int
    size: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    cut: str = ""
    _began: float = field(default=-1.0)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def spent_seconds(self) -> float:
        """Seconds since it was made."""
        return self.clock() - self._began

    def take(self, file: LogFile) -> bool:
        """Whether another file may be read; it is counted then."""
        if self.in_time():
            if self.objects <= 0:
                self.cut = self.cut or "the number of log files that one case reads (setting record_objects)"
            elif self.size < file.size:
                self.cut = self.cut or "the MiB of log files that one case reads (setting record_mib)"
            else:
                self.objects -= 1
                self.size -= file.size
                return True
        return False

    def take_page(self, size: int) -> bool:
        """Whether a page that was read may be used; it is counted then as a file of so many bytes."""
        if self.in_time():
            if self.objects > 0 and self.size >= size:
                self.objects -= 1
                self.size -= size
                return True
            self.cut = self.cut or "the pages of log groups that one case reads (settings record_objects, record_mib)"
        return False

    def in_time(self) -> bool:
        """Whether there is time left."""
        if self.spent_seconds > self.seconds:
            self.cut = self.cut or "the seconds that a collection may take (setting record_seconds)"
            return False
        return True


def case_budget(settings: Settings) -> Budget:
    """What one collection of a case may read."""
    return Budget(
        objects=settings.record_objects, size=settings.record_mib * MIB, seconds=float(settings.record_seconds)
    )


MOST_CAUSES = 5


@dataclass
class LogFiles:
    """The files of a bucket; ``unread`` are those that could not be had, and why."""

    bucket: LogBucketGateway
    unread: dict[str, str] = field(default_factory=dict)

    def objects(self, files: Iterable[LogFile], *, may: Callable[[LogFile], bool]) -> Iterator[LogObject]:
        """Each file as it is read; ``may`` says of each whether it may still be read."""
        with ThreadPoolExecutor(max_workers=_AHEAD, thread_name_prefix="log-files") as pool:
            ahead: deque[tuple[LogFile, Future[LogBytes]]] = deque()
            for file in files:
                if not may(file):
                    break
                ahead.append((file, pool.submit(self.bucket.read, file.key, limit=LARGEST_FILE)))
                if len(ahead) >= _AHEAD:
                    yield from self._next(ahead)
            while ahead:
                yield from self._next(ahead)

    def gaps(self) -> list[str]:
        """One line for each cause: how many files, the first of them, and why."""
        causes: dict[str, list[str]] = {}
        for key, why in self.unread.items():
            causes.setdefault(why, []).append(key)
        return [
            f"{count(len(keys), 'log file')} could not be read: {why} (the first: {keys[0].rpartition('/')[2]})"
            for why, keys in list(causes.items())[:MOST_CAUSES]
        ]

    def _next(self, ahead: deque[tuple[LogFile, Future[LogBytes]]]) -> Iterator[LogObject]:
        file, pending = ahead.popleft()
        try:
            read = pending.result()
        except (AwsError, EvidenceTransferError) as error:
            # what was refused stands behind the name, which is known: without it there is room for both
            self.unread[file.key] = str(error).replace(file.key, "…")[:500]
            return
        source: dict[str, object] = {
            "version_id": read.version_id,
            "etag": file.etag,
            "modified": file.modified.isoformat(),
        }
        yield LogObject(file.key, read.body, gzip=file.key.endswith(".gz"), source=source)
