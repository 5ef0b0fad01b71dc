"""Where AWS writes records of one a line: folders of a bucket, or a log group. Their files and pages come as objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from forensics.aws.log_buckets import LogBucketGateway, LogFile
from forensics.aws.log_groups import TAG, TAG_VALUE, LogGroupGateway
from forensics.cloud_evidence.log_files import Budget, LogFiles
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.cloud_evidence.trail_selection import LogObject
from forensics.errors import AccessDeniedError, ForensicsError

# Pages of a group that come one after another without an event: a pattern that nothing matches is looked for in all of a window.
_MOST_PAGES = 5_000


@dataclass(frozen=True)
class BucketPlace:
    """Folders of a bucket; ``ours`` says whether a key is one of this log's files of the window."""

    name: str
    bucket: str
    prefixes: tuple[str, ...]
    ours: Callable[[str], bool]

    @property
    def what(self) -> str:
        """For messages."""
        return f"bucket {self.bucket}"


@dataclass(frozen=True)
class GroupPlace:
    """A log group: streams whose names begin so, events that match a pattern; ``head`` is the line that names their fields."""

    name: str
    group: str
    streams: tuple[str, ...] = ("",)
    pattern: str = ""
    head: str = ""

    @property
    def what(self) -> str:
        """For messages."""
        return f"log group {self.group}"


Place = BucketPlace | GroupPlace


@dataclass
class Places:
    """Reads places one after another. ``gaps`` says what could not be had, ``read`` which of them could."""

    open_bucket: Callable[[str], LogBucketGateway]
    groups: LogGroupGateway
    window: RecordWindow
    budget: Budget
    gaps: list[str] = field(default_factory=list)
    read: list[Place] = field(default_factory=list)

    def objects(self, places: tuple[Place, ...]) -> Iterator[LogObject]:
        """Everything of the window, as far as the budget goes."""
        for place in places:
            try:
                yield from self._files(place) if isinstance(place, BucketPlace) else self._pages(place)
                self.read.append(place)
            except ForensicsError as error:
                self.gaps.append(f"the records of {place.name} in {place.what} cannot be read: {error}"[:400])
                if isinstance(place, GroupPlace) and isinstance(error, AccessDeniedError):
                    self.gaps.append(f"tag log group {place.group} with {TAG}={TAG_VALUE} to let role logs read it")

    def _files(self, place: BucketPlace) -> Iterator[LogObject]:
        files = LogFiles(self.open_bucket(place.bucket))

        def listed() -> Iterator[LogFile]:
            for prefix in place.prefixes:
                yield from (file for file in files.bucket.files(prefix) if place.ours(file.key))

        try:
            for item in files.objects(listed(), may=self.budget.take):
                yield LogObject(
                    item.name, item.body, item.gzip, {**item.source, "bucket": place.bucket, "log": place.name}
                )
        finally:
            self.gaps += files.gaps()

    def _pages(self, place: GroupPlace) -> Iterator[LogObject]:
        for stream in place.streams:
            pages = self.groups.pages(
                place.group, begin=self.window.begin, end=self.window.end, streams=stream, pattern=place.pattern
            )
            for number, page in enumerate(pages):
                if not self.budget.take_page(page.size) or number >= _MOST_PAGES:
                    self.gaps += [f"{place.what} has more than {_MOST_PAGES} pages"] if number >= _MOST_PAGES else []
                    return
                if page.messages:
                    lines = [*([place.head] if place.head else []), *(m.strip("\r\n") for m in page.messages)]
                    body = ("\n".join(lines) + "\n").encode()
                    name = f"logs:{place.group}/{stream}#{number}"
                    yield LogObject(name, body, gzip=False, source={"log_group": place.group, "log": place.name})
