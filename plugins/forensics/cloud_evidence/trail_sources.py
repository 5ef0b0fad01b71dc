"""Where a case's CloudTrail records come from: the bucket of a trail that records the account, or at last LookupEvents.

Between the two is CloudTrail Lake (``trail_lake.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from forensics.aws.cloudtrail import CloudTrailGateway, LookupKey, Trail
from forensics.aws.log_buckets import LogBucketGateway, LogFile
from forensics.cloud_evidence.log_files import Budget, LogFiles
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.cloud_evidence.trail_filter import SelectOrder
from forensics.cloud_evidence.trail_keys import TrailPlace, log_name, within
from forensics.cloud_evidence.trail_selection import LogObject
from forensics.errors import AwsError, ForensicsError

# Calls by which one blinds an account, worth a look-up of their own (each costs a request).
_LOOKED_UP = ("StopLogging", "DeleteTrail", "DeleteFlowLogs", "DeleteDetector", "LeaveOrganization")
_MOST_LOOKUPS, _MOST_PAGES = 60, 40


@dataclass
class BucketSource:
    """A trail's log files, of every Region in which the account's calls were logged, the target's first."""

    account_id: str
    regions: tuple[str, ...]
    place: TrailPlace
    bucket: LogBucketGateway
    window: RecordWindow
    budget: Budget
    kind: str = "s3"
    gaps: list[str] = field(default_factory=list)
    files: LogFiles = field(init=False)
    _listed: list[LogFile] | None = None

    def __post_init__(self) -> None:
        self.files = LogFiles(self.bucket)

    def objects(self, order: SelectOrder) -> Iterator[LogObject]:
        """Every file of the window; what was read before the budget's end is read again for what is followed later."""
        if self._listed is None:
            self._listed = taken = []

            def first(file: LogFile) -> bool:
                may = self.budget.take(file)
                taken.extend([file] if may else [])
                return may

            yield from self.files.objects(self._list(), may=first)
        else:
            again = LogFiles(self.bucket)
            yield from again.objects(self._listed, may=lambda _file: self.budget.in_time())

    def _list(self) -> Iterator[LogFile]:
        begin, end = self.window.begin, self.window.end
        for region in self.regions:
            for prefix in self.place.day_prefixes(self.account_id, region, begin=begin, end=end):
                for file in self.bucket.files(prefix):
                    name = log_name(file.key)
                    if name and name.account_id == self.account_id and within(file.key, begin=begin, end=end):
                        yield file


@dataclass
class LookupSource:
    """LookupEvents, Region by Region: management events of the last 90 days, by what they are about and by who made them."""

    gateways: tuple[CloudTrailGateway, ...]
    window: RecordWindow
    budget: Budget
    kind: str = "lookup"
    gaps: list[str] = field(default_factory=list)
    answered: int = 0

    def objects(self, order: SelectOrder) -> Iterator[LogObject]:
        """A page of events is an object. Raises an ``AwsError`` when no Region has answered at all."""
        failed: AwsError | None = None
        for gateway in self.gateways:
            try:
                yield from self._of(gateway, order)
            except AwsError as error:
                failed = error
                self.gaps.append(f"LookupEvents in {gateway.region}: {error}"[:400])
        if failed is not None and not self.answered:
            raise failed

    def _of(self, gateway: CloudTrailGateway, order: SelectOrder) -> Iterator[LogObject]:
        for key, value in _asked(order, home=gateway is self.gateways[0]):
            for number, page in enumerate(gateway.lookup(key, value, begin=self.window.begin, end=self.window.end)):
                self.answered += 1
                name = f"LookupEvents/{gateway.region}/{key}={value}/{number}"
                yield LogObject(name, b'{"Records":[' + ",".join(page).encode() + b"]}", gzip=False)
                if number + 1 >= _MOST_PAGES:
                    self.gaps.append(
                        f"LookupEvents in {gateway.region} by {key} {value}: more than {_MOST_PAGES} pages"
                    )
                    break
                if not self.budget.in_time():
                    return


def _asked(order: SelectOrder, *, home: bool) -> list[tuple[LookupKey, str]]:
    """What is looked up: the instance by its id, its sessions by the same as their name, keys, resources and users by theirs.

    In the Region of global services (not ``home``) there are no calls about the target's own resources.
    """
    followed = order.followed
    found: list[tuple[LookupKey, str]] = []
    for item in followed.ids:
        if item.startswith(("AKIA", "ASIA")):
            found.append(("AccessKeyId", item))
        elif home:
            found.append(("ResourceName", item))
    found += [("Username", name) for name in followed.names]
    found += [("ResourceName", name) for name in followed.roles]
    if order.known is None:
        found += [("Username", followed.instance_id), *(("EventName", name) for name in _LOOKED_UP)]
    return list(dict.fromkeys(found))[:_MOST_LOOKUPS]


@dataclass(frozen=True)
class Found:
    """A trail whose log files can be read, and the Regions that it has of the account."""

    place: TrailPlace
    bucket: LogBucketGateway
    regions: tuple[str, ...]
    trail: Trail


def readable_trail(
    trails: Iterable[Trail], open_bucket: Callable[[str], LogBucketGateway], *, account_id: str, region: str
) -> tuple[Found | None, list[str]]:
    """The first trail whose files can be listed, those of all Regions first, and why the others cannot."""
    why: list[str] = []
    for trail in sorted(trails, key=lambda t: (not t.everywhere, t.organization, t.arn)):
        if not trail.bucket:
            continue
        try:
            bucket = open_bucket(trail.bucket)
            place = _place(trail, bucket)
            folders = bucket.folders(place.regions_prefix(account_id))
        except ForensicsError as error:
            why.append(f"the log files of {trail.arn} in bucket {trail.bucket} cannot be read: {error}"[:500])
            continue
        if region not in folders:
            why.append(f"bucket {trail.bucket} of {trail.arn} has no log files of account {account_id} in {region}")
            continue
        others = sorted(name for name in folders if name != region)
        return Found(place, bucket, (region, *others), trail), why
    return None, why


def _place(trail: Trail, bucket: LogBucketGateway) -> TrailPlace:
    place = TrailPlace(arn=trail.arn, bucket=trail.bucket, prefix=trail.prefix, validated=trail.validated)
    if not trail.organization:
        return place
    root = f"{trail.prefix.strip('/')}/AWSLogs/" if trail.prefix.strip("/") else "AWSLogs/"
    ids = [name for name in bucket.folders(root) if name.startswith("o-")]
    return place.model_copy(update={"organization": ids[0] if ids else ""})
