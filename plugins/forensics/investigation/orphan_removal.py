"""Removes forensic instances and analysis volumes that outlived their case (crash, cancellation, a lost worker)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from forensics.aws.case_store import CaseStore
from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.session import AwsSession
from forensics.aws.sns import Notifier
from forensics.correlation import case_context
from forensics.errors import CaseError, ForensicsError
from forensics.investigation.forensic_instance import INSTANCE_PURPOSE, VOLUME_PURPOSE
from forensics.investigation.orphans import CaseResource, why_orphan
from forensics.models.case import Case, TimelineKind
from forensics.naming import TAG_CASE, TAG_PURPOSE

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import TagTypeDef

# SourceIdentity of the search; an orphan is removed under the identity of its own case.
REAPER = "fc-reaper"
SOURCE = "orphan_reaper"


@dataclass(frozen=True)
class Orphan:
    """A resource that was removed, and why."""

    id: str
    kind: str
    case_id: str
    reason: str


class OrphanRemoval:
    """One search for orphans.

    :param session_of: opens the forensic account under an identity (a case id, or ``REAPER``)
    :param limit: age at which a resource is removed, whatever its case's state
    """

    def __init__(
        self, store: CaseStore, notifier: Notifier, *, session_of: Callable[[str], AwsSession], limit: timedelta
    ) -> None:
        self._store = store
        self._notifier = notifier
        self._session_of = session_of
        self._limit = limit

    def run(self, now: datetime) -> tuple[list[Orphan], list[str]]:
        """Remove every orphan and report each; returns those removed, and a line for each that could not be removed."""
        removed, failed = [], []
        for resource in self._resources():
            reason = why_orphan(resource, self._case(resource.case_id), now=now, limit=self._limit)
            if reason is None:
                continue
            try:
                self._remove(resource)
            except ForensicsError as error:
                failed.append(f"{resource.kind} {resource.id} ({reason}): {error}")
                continue
            removed.append(Orphan(resource.id, resource.kind, resource.case_id, reason))
        self._note(removed)
        if removed or failed:
            self._notify(removed, failed)
        return removed, failed

    def _resources(self) -> list[CaseResource]:
        """What may have become an orphan. A volume that is still attached is found once its instance is gone."""
        account = self._session_of(REAPER)
        found = [
            CaseResource(i["InstanceId"], "instance", _case_tag(i.get("Tags", [])), i["LaunchTime"])
            for i in Ec2Gateway.of(account).instances(tags={TAG_PURPOSE: INSTANCE_PURPOSE})
            if i["State"]["Name"] not in {"terminated", "shutting-down"}
        ]
        return found + [
            CaseResource(v["VolumeId"], "volume", _case_tag(v.get("Tags", [])), v["CreateTime"])
            for v in EbsGateway.of(account).find_volumes(tags={TAG_PURPOSE: VOLUME_PURPOSE})
            if v["State"] == "available"
        ]

    def _case(self, case_id: str) -> Case | None:
        try:
            return self._store.case(case_id)
        except CaseError:
            return None

    def _remove(self, resource: CaseResource) -> None:
        if not resource.valid_case:
            msg = f"its tag {TAG_CASE} is {resource.case_id!r}, which names no case"
            raise CaseError(msg, next_action="find out in CloudTrail who made it, then remove it manually")
        account = self._session_of(resource.case_id)
        if resource.kind == "instance":
            Ec2Gateway.of(account).terminate([resource.id])
        else:
            EbsGateway.of(account).delete_volume(resource.id)

    def _note(self, removed: list[Orphan]) -> None:
        """One line in the timeline of each case that is known."""
        for orphan in removed:
            what = f"orphaned {orphan.kind} {orphan.id} removed: {orphan.reason}"
            with case_context(orphan.case_id, step=SOURCE):
                if self._case(orphan.case_id) is not None:
                    self._store.note(orphan.case_id, what, kind=TimelineKind.INVESTIGATION, source=SOURCE)

    def _notify(self, removed: list[Orphan], failed: list[str]) -> None:
        lines = [f"Removed {o.kind} {o.id} of case {o.case_id}: {o.reason}" for o in removed]
        self._notifier.publish(
            case_id="none",
            event="orphans",
            subject=f"Forensic orphans: {len(removed)} removed, {len(failed)} not removed",
            lines=[*lines, *(f"NOT removed: {text}" for text in failed)],
            facts={
                "removed": [asdict(orphan) for orphan in removed[:50]],
                "failed": [text[:500] for text in failed[:50]],
            },
        )


def _case_tag(tags: Sequence[TagTypeDef]) -> str:
    return next((tag["Value"] for tag in tags if tag.get("Key") == TAG_CASE and "Value" in tag), "")
