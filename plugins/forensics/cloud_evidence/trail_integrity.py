"""Holds the log files that a case read against CloudTrail's own digest files: what was changed, what is gone, what is not covered."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from forensics.aws.cloudtrail import CloudTrailGateway
from forensics.cloud_evidence.log_files import LARGEST_FILE, Budget
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.cloud_evidence.trail_digests import FUNCTION, DigestEnd, DigestHeader, DigestOrder, DigestReport
from forensics.cloud_evidence.trail_filter import ObjectReport
from forensics.cloud_evidence.trail_keys import LATE, within
from forensics.cloud_evidence.trail_sources import Found
from forensics.confined import MIB, Confined, Limits
from forensics.errors import ForensicsError

_LIMITS = Limits(memory=512 * MIB, cpu_seconds=900, output=512 * MIB)


@dataclass
class Integrity:
    """What CloudTrail's digests say. ``changed`` and ``gone`` are log files, ``bad`` digest files with what is wrong."""

    digests: int = 0
    verified: int = 0
    changed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    uncovered: int = 0
    problem: str = ""

    def gaps(self) -> list[str]:
        """One sentence for each thing that is not as CloudTrail left it."""
        found = [f"{len(self.bad)} digest files are not CloudTrail's: {_first(self.bad)}"] if self.bad else []
        found += (
            [f"{len(self.changed)} log files were changed after CloudTrail wrote them: {self.changed[0]}"]
            if self.changed
            else []
        )
        found += [f"{len(self.gone)} log files that CloudTrail wrote are gone: {self.gone[0]}"] if self.gone else []
        return [*found, *([self.problem] if self.problem else [])]

    def note(self) -> str:
        """What is proven, in a sentence."""
        rest = f"; {self.uncovered} came too late for a digest file, or have none" if self.uncovered else ""
        return f"{self.verified} log files are as CloudTrail wrote them ({self.digests} signed digest files){rest}"


def verify_files(
    found: Found,
    reports: Mapping[str, ObjectReport],
    *,
    account_id: str,
    window: RecordWindow,
    keys: Mapping[str, CloudTrailGateway],
    budget: Budget,
) -> Integrity:
    """Compare every log file that was read with the digest files of its Region; ``keys`` gives CloudTrail in a Region."""
    made, named = Integrity(), {}
    for region in found.regions:
        if region not in keys:
            continue
        try:
            for report in _digests(
                found, region, account_id=account_id, window=window, keys=keys[region], budget=budget
            ):
                made.digests += 1
                if report.problem:
                    made.bad[report.key] = report.problem
                else:
                    named.update(report.files)
        except ForensicsError as error:
            made.problem = f"the digest files of {region} could not be read: {error}"[:400]
    _compare(made, named, reports, window)
    return made


def _digests(
    found: Found, region: str, *, account_id: str, window: RecordWindow, keys: CloudTrailGateway, budget: Budget
) -> Iterator[DigestReport]:
    public = keys.public_keys(begin=window.begin - 2 * LATE, end=window.end + 2 * LATE)
    order = DigestOrder(keys={name: base64.b64encode(value).decode() for name, value in public.items()})

    def pieces() -> Iterator[bytes]:
        for prefix in found.place.digest_prefixes(account_id, region, begin=window.begin, end=window.end):
            for file in found.bucket.files(prefix):
                if not budget.in_time():
                    return
                read = found.bucket.read(file.key, limit=LARGEST_FILE)
                signature = read.metadata.get("signature", "")
                yield (
                    DigestHeader(bucket=found.place.bucket, key=file.key, signature=signature)
                    .model_dump_json()
                    .encode()
                )
                yield read.body

    with Confined(FUNCTION, order, limits=_LIMITS) as child:
        for said in child.passing(pieces()):
            yield DigestReport.model_validate_json(said)
        child.result(DigestEnd)


def _compare(made: Integrity, named: dict[str, str], reports: Mapping[str, ObjectReport], window: RecordWindow) -> None:
    for key, report in reports.items():
        if key not in named:
            made.uncovered += 1
        elif report.plain_sha256 == named[key]:
            made.verified += 1
        elif report.plain_sha256 or report.problem:
            made.changed.append(key)
    made.gone = [k for k in named if k not in reports and within(k, begin=window.begin, end=window.end)]


def _first(found: Mapping[str, str]) -> str:
    key, why = next(iter(found.items()))
    return f"{key}: {why}"
