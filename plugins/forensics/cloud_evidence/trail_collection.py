"""Collects the CloudTrail records of a case: found, stored under lock with the list of their sources, entered in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from forensics import partitions
from forensics.aws.cloudtrail import CloudTrailGateway, Trail
from forensics.aws.cloudtrail_lake import LakeGateway
from forensics.aws.hook import CaseSessions
from forensics.aws.iam_state import IamStateGateway
from forensics.aws.log_buckets import LogBucketGateway
from forensics.aws.session import AwsSession, Scope
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.cloud_evidence.followed import Followed
from forensics.cloud_evidence.log_evidence import case_window, enter, run_name, store_records, store_sources
from forensics.cloud_evidence.log_files import Budget, case_budget
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.cloud_evidence.trail_filter import SelectOrder
from forensics.cloud_evidence.trail_integrity import Integrity, verify_files
from forensics.cloud_evidence.trail_lake import LakeSource, lake_source
from forensics.cloud_evidence.trail_selection import Spool, search
from forensics.cloud_evidence.trail_sources import BucketSource, Found, LookupSource, readable_trail
from forensics.errors import ForensicsError, RecordSourceError
from forensics.models.evidence import (
    CloudTrailEvidence,
    Digest,
    EvidenceKind,
    LogOrigin,
    Outcome,
)
from forensics.models.target import Target
from forensics.naming import evidence_id
from forensics.printable import count
from forensics.settings import Settings

PHASE = "logs"
AnySource = BucketSource | LakeSource | LookupSource
MOST_KEYS = 20
SWITCH_ON = (
    "only management events of the last 90 days were looked up; a trail of all Regions into a bucket that role logs may read"
    " has data events (reads of objects) as well, and more than two requests a second"
)


def trail_item(case_instance: str) -> str:
    """Evidence id of a case's CloudTrail records."""
    return evidence_id(EvidenceKind.CLOUD_TRAIL, case_instance)


def followed_at_first(target: Target) -> Followed:
    """What a case follows of its target: its own id and those of its disks, interfaces and groups; its role's changes."""
    groups = {group for interface in target.interfaces for group in interface.group_ids}
    ids = (target.instance_id, *(v.id for v in target.volumes), *(i.id for i in target.interfaces), *sorted(groups))
    profile = (target.profile_arn or "").rsplit("/", 1)[-1]
    first = Followed(instance_id=target.instance_id, roles=(profile,) if profile else ())
    return first.with_more(ids=ids)


@dataclass(frozen=True)
class Collected:
    """What was found, from where."""

    spool: Spool
    source: AnySource
    found: Found | None
    window: RecordWindow
    notes: tuple[str, ...]
    integrity: Integrity | None
    keys: dict[str, dict[str, object]]


class TrailCollection:
    """One collection. ``gateway`` opens CloudTrail in a Region, ``lake`` CloudTrail Lake in one, ``open_bucket`` a bucket at home."""

    def __init__(
        self,
        recorder: CaseRecorder,
        settings: Settings,
        *,
        gateway: Callable[[str], CloudTrailGateway],
        open_bucket: Callable[[str], LogBucketGateway],
        lake: Callable[[str], LakeGateway],
        iam: IamStateGateway,
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._gateway = gateway
        self._open_bucket = open_bucket
        self._lake = lake
        self._iam = iam
        self._case = recorder.case
        self._item = trail_item(recorder.case.instance_id)

    @classmethod
    def of(cls, recorder: CaseRecorder, sessions: CaseSessions) -> Self:
        """A collection under the case's own sessions: buckets are reached at home only (docs/cloud-evidence.md)."""
        case, hook = recorder.case, sessions.hook

        def session(region: str) -> AwsSession:
            return hook.session(Scope(case.account_id, region, phase=PHASE, case_id=case.case_id))

        return cls(
            recorder,
            sessions.settings,
            gateway=lambda region: CloudTrailGateway.of(session(region)),
            open_bucket=lambda name: LogBucketGateway.of(session(sessions.settings.region), name),
            lake=lambda region: LakeGateway.of(session(region)),
            iam=IamStateGateway.of(sessions.target(PHASE)),
        )

    # ------------------------------------------------------------------ the work
    def known(self) -> CloudTrailEvidence | None:
        """What an earlier try has collected and recorded."""
        found = self._recorder.evidence_item(self._item)
        return found if isinstance(found, CloudTrailEvidence) else None

    def followed(self, evidence: CloudTrailEvidence) -> Followed:
        """What was followed in the end, as the stored list of sources has it."""
        listed = evidence.origin.sources
        found = self._recorder.gateways.evidence.read_json(listed.key) if listed else None
        first = found.get("followed") if isinstance(found, dict) else None
        return Followed.model_validate(first or {"instance_id": self._case.instance_id})

    def trails(self) -> list[Trail]:
        """The trails that record the target's Region."""
        return self._gateway(self._case.region).trails()

    def collect(
        self, target: Target, trails: list[Trail], *, waited: str = "", since: datetime | None = None
    ) -> CloudTrailEvidence:
        """Find the records, from ``since`` on where that is earlier than usual, store and record them.

        Raises :class:`LakeWait` while CloudTrail Lake is at work, an ``AwsError`` when neither a bucket nor Lake nor LookupEvents answered,
        ``ConfinedError`` when files were too much.
        """
        began = begin(self._recorder).at
        window = case_window(self._recorder, self._settings, since)
        collected = self._collected(target, trails, window)
        try:
            return self._stored(collected, began=began, waited=waited)
        finally:
            collected.spool.close()

    def _collected(self, target: Target, trails: list[Trail], window: RecordWindow) -> Collected:
        found, why = readable_trail(
            trails, self._open_bucket, account_id=self._case.account_id, region=self._case.region
        )
        if found:
            budget = case_budget(self._settings)
            source = BucketSource(self._case.account_id, found.regions, found.place, found.bucket, window, budget)
            spool = search(self._order(target, window), source.objects)
            source.gaps += source.files.gaps()
            integrity = self._verified(found, spool, window, budget) if found.place.validated else None
            return self._made(spool, source, window, why, found=found, integrity=integrity)
        asked, said = self._asked_of_lake(target, window)
        return asked or self._looked_up(target, window.of_lookup(), [*why, *said])

    def _order(self, target: Target, window: RecordWindow) -> SelectOrder:
        return SelectOrder(
            account_id=self._case.account_id, begin=window.begin, end=window.end, followed=followed_at_first(target)
        )

    def _asked_of_lake(self, target: Target, window: RecordWindow) -> tuple[Collected | None, list[str]]:
        """What CloudTrail Lake has, or None and why."""
        choice = lake_source(
            self._recorder, self._settings, item=self._item, window=window, budget=case_budget(self._settings), gateway=self._lake
        )  # fmt: skip
        source = choice.source
        if source is None:
            return None, list(choice.why)
        asked = RecordWindow(source.run.begin, source.run.end, window.alarm)
        try:
            spool = search(self._order(target, asked), source.objects)
        except RecordSourceError as error:
            failed = f"event data store {source.run.store} gave no records: {error}"[:500]
            source.book.keep(failed=failed)
            return None, [failed]
        return self._made(spool, source, asked, list(choice.why)), []

    def _looked_up(self, target: Target, window: RecordWindow, why: list[str]) -> Collected:
        regions = dict.fromkeys((self._case.region, partitions.of(self._case.region).iam_region))
        source = LookupSource(tuple(self._gateway(r) for r in regions), window, case_budget(self._settings))
        spool = search(self._order(target, window), source.objects)
        return self._made(spool, source, window, [*why, SWITCH_ON])

    def _made(
        self, spool: Spool, source: AnySource, window: RecordWindow, why: list[str], *, found: Found | None = None, integrity: Integrity | None = None
    ) -> Collected:  # fmt: skip
        if source.budget.cut:
            source.gaps.append(f"it ended with {source.budget.cut}: later files were not read")
        return Collected(spool, source, found, window, tuple(why), integrity, self._keys(spool.followed))

    def _keys(self, followed: Followed) -> dict[str, dict[str, object]]:
        """The last use of each long-lived access key that the records led to, as IAM knows it; an error in its place where it does not say."""
        found: dict[str, dict[str, object]] = {}
        for key in [i for i in followed.ids if i.startswith("AKIA")][:MOST_KEYS]:
            try:
                found[key] = {name: str(value) for name, value in self._iam.key_used(key).items()}
            except ForensicsError as error:
                found[key] = {"error": str(error)[:300]}
        return found

    def _verified(self, found: Found, spool: Spool, window: RecordWindow, budget: Budget) -> Integrity:
        # CloudTrail signs with a key of each Region: only those are asked whose API is reached anyway
        near = dict.fromkeys((self._case.region, partitions.of(self._case.region).iam_region))
        keys = {region: self._gateway(region) for region in near if region in found.regions}
        return verify_files(
            found, spool.reports, account_id=self._case.account_id, window=window, keys=keys, budget=budget
        )

    # ------------------------------------------------------------------ the record
    def _stored(self, made: Collected, *, began: datetime, waited: str) -> CloudTrailEvidence:
        recorder, run, kind = self._recorder, run_name(began), EvidenceKind.CLOUD_TRAIL
        chunks = made.spool.chunks()
        stored = store_records(recorder, kind, self._item, run=run, name="records.jsonl.gz", chunks=chunks)
        listed = store_sources(recorder, kind, self._item, run=run, sources=_sources(made))
        gaps, place, spool = self._gaps(made), made.found.place if made.found else None, made.spool
        notes = (*made.notes, *([made.integrity.note()] if made.integrity else []), waited, *_key_notes(made.keys))
        origin = LogOrigin(
            source=made.source.kind, bucket=place.bucket if place else None, prefix=place.prefix if place else None,
            begin=made.window.begin, end=made.window.end, regions=made.found.regions if made.found else (),
            objects=len(spool.sources), objects_bytes=sum(int(str(s["bytes"])) for s in spool.sources.values()),
            records=spool.records, sources=listed, notes=tuple(n[:500] for n in notes if n),
        )  # fmt: skip
        evidence = CloudTrailEvidence(
            evidence_id=self._item, outcome=Outcome.PARTIAL if gaps else Outcome.ACQUIRED, reason="; ".join(gaps)[:1000] or None,
            account_id=self._case.account_id, region=self._case.region, uri=stored.uri, version_id=stored.version_id,
            size_bytes=stored.size_bytes, started_at=began, ended_at=datetime.now(UTC), origin=origin,
            digests=(Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane"),),
            lock={"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
        )  # fmt: skip
        where = (
            f"bucket {place.bucket}" if place else "CloudTrail Lake" if made.source.kind == "lake" else "LookupEvents"
        )
        return enter(recorder, evidence, stored, what=f"CloudTrail from {where}")

    def _gaps(self, made: Collected) -> list[str]:
        reports = made.spool.reports.values()
        broken = [r for r in reports if r.problem]
        found = [*made.source.gaps, *(made.integrity.gaps() if made.integrity else [])]
        found += (
            [f"{count(len(broken), 'log file')} not read whole, the first {broken[0].name}: {broken[0].problem}"]
            if broken
            else []
        )
        if unread := sum(r.unread for r in reports):
            found.append(f"{count(unread, 'record')} not of CloudTrail's form")
        if foreign := sum(r.foreign for r in reports):
            found.append(f"{count(foreign, 'record')} of another account left out")
        if made.spool.unfinished:
            found.append("credentials led to further credentials more often than the records were read")
        return found


def _sources(made: Collected) -> dict[str, object]:
    spool = made.spool
    rows = [
        {"name": n, **facts, **spool.reports[n].model_dump(exclude={"name"})}
        for n, facts in spool.sources.items()
        if n in spool.reports
    ]
    return {
        "kind": made.source.kind, "trail": made.found.place.arn if made.found else None, "objects": rows,
        "followed": spool.followed.model_dump(mode="json"), "passes": spool.passes, "keys_last_used": made.keys,
        **({"queries": made.source.stated} if isinstance(made.source, LakeSource) else {}),
    }  # fmt: skip


def _key_notes(keys: dict[str, dict[str, object]]) -> list[str]:
    return [
        f"access key {key}: {use['error']}"
        if "error" in use
        else f"access key {key} of user {use.get('UserName')}: last used {use.get('LastUsedDate', 'never')}, {use.get('ServiceName')} in {use.get('Region')}"
        for key, use in keys.items()
    ]
