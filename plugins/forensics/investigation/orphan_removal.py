"""Removes forensic instances and analysis volumes that outlived their case (crash, cancellation, a lost worker).

What is about to be removed is written down first: a worker that dies of it leaves the list, and the next one reports what is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from forensics import case_keys
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
from forensics.models.orphans import Orphan, OrphansBegun
from forensics.naming import NOTICES, TAG_CASE, TAG_PURPOSE

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import TagTypeDef

# SourceIdentity of the search; an orphan is removed under the identity of its own case.
REAPER = "fc-reaper"
SOURCE = "orphan_reaper"
# Of one look; the next one, an hour later, removes the others. As many fit into an item of the case table.
MOST = 500


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
        resources = self._resources()
        there = {resource.id for resource in resources}
        earlier = self._store.get(NOTICES, case_keys.ORPHANS, OrphansBegun) or OrphansBegun()
        unreported = tuple(orphan for orphan in earlier.orphans if orphan.id not in there)
        found = list(self._orphans(resources, now))[:MOST]
        if found:
            begun = OrphansBegun(orphans=(*unreported, *(orphan for _, orphan in found)))
            self._store.put(NOTICES, case_keys.ORPHANS, begun)
        removed, failed = self._remove_all(found)
        removed = [*unreported, *removed]
        self._note(removed)
        if removed or failed:
            self._notify(removed, failed)
        if found or earlier.orphans:
            self._store.remove(NOTICES, case_keys.ORPHANS)
        return removed, failed

    def _remove_all(self, found: Sequence[tuple[CaseResource, Orphan]]) -> tuple[list[Orphan], list[str]]:
        removed, failed = [], []
        for resource, orphan in found:
            try:
                self._remove(resource)
            except ForensicsError as error:
                failed.append(f"{resource.kind} {resource.id} ({orphan.reason}): {error}")
            else:
                removed.append(orphan)
        return removed, failed

    def _orphans(self, resources: Sequence[CaseResource], now: datetime) -> Iterator[tuple[CaseResource, Orphan]]:
        for resource in resources:
            reason = why_orphan(resource, self._case(resource.case_id), now=now, limit=self._limit)
            if reason is not None:
                yield resource, Orphan(id=resource.id, kind=resource.kind, case_id=resource.case_id, reason=reason)

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
                "removed": [orphan.model_dump() for orphan in removed[:50]],
                "failed": [text[:500] for text in failed[:50]],
            },
        )


def _case_tag(tags: Sequence[TagTypeDef]) -> str:
    return next((tag["Value"] for tag in tags if tag.get("Key") == TAG_CASE and "Value" in tag), "")
