"""Find and remove forensic instances and analysis volumes that outlived their case (crash, cancel, a worker that died)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.case_store import CaseStore
from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.correlation import case_context
from forensics.errors import CaseError, ForensicsError
from forensics.investigation.instance_operators import INSTANCE_PURPOSE, VOLUME_PURPOSE
from forensics.investigation.orphans import Holding, why_orphan
from forensics.models.case import Case, TimelineKind
from forensics.naming import TAG_CASE, TAG_PURPOSE

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, VolumeTypeDef

# SourceIdentity of the look around; removing is done in the name of the orphan's own case.
REAPER = "fc-reaper"


class ReapOrphansOperator(BaseOperator):
    """Terminate orphaned forensic instances, delete orphaned analysis volumes, tell people about each.

    A volume that its instance still holds is deleted by the next run, when the instance is gone. Snapshots are evidence:
    they are not looked at. Fails, and says so, when something that should go could not be removed.
    """

    def execute(self, context: Context) -> list[dict[str, str]]:
        """Return what was removed, and why."""
        hook, now = ForensicsHook(), datetime.now(UTC)
        limit = timedelta(hours=hook.settings.orphan_after_hours)
        removed, failed = [], []
        for holding in _holdings(hook):
            reason = why_orphan(holding, _case(hook, holding.case_id), now=now, limit=limit)
            if reason is None:
                continue
            orphan = {"id": holding.id, "kind": holding.kind, "case_id": holding.case_id, "reason": reason}
            try:
                _remove(hook, holding)
            except ForensicsError as error:
                failed.append(f"{holding.kind} {holding.id} ({reason}): {error}")
                continue
            removed.append(orphan)
        _tell(hook, removed, failed)
        if failed:
            msg = f"{len(failed)} orphans could not be removed: {'; '.join(failed)}"
            raise AirflowFailException(f"{msg}. What to do next: remove them by hand in the forensic account")
        return removed


def _holdings(hook: ForensicsHook) -> list[Holding]:
    account = hook.forensic(REAPER)
    found = [
        Holding(i["InstanceId"], "instance", _tag(i), i["LaunchTime"])
        for i in Ec2Gateway.of(account).instances(tags={TAG_PURPOSE: INSTANCE_PURPOSE})
        if i["State"]["Name"] not in {"terminated", "shutting-down"}
    ]
    return found + [
        Holding(v["VolumeId"], "volume", _tag(v), v["CreateTime"])
        for v in EbsGateway.of(account).find_volumes(tags={TAG_PURPOSE: VOLUME_PURPOSE})
        if v["State"] == "available"
    ]


def _tag(record: InstanceTypeDef | VolumeTypeDef) -> str:
    return next((str(t["Value"]) for t in record.get("Tags", []) if t["Key"] == TAG_CASE), "")


def _case(hook: ForensicsHook, case_id: str) -> Case | None:
    try:
        return CaseStore.of(hook.own(), hook.settings).case(case_id)
    except CaseError:
        return None


def _remove(hook: ForensicsHook, holding: Holding) -> None:
    if not holding.valid_case:
        msg = f"its tag {TAG_CASE} is {holding.case_id!r}, which names no case"
        raise CaseError(msg, next_action="find out in CloudTrail who made it, then remove it by hand")
    account = hook.forensic(holding.case_id)
    if holding.kind == "instance":
        Ec2Gateway.of(account).terminate([holding.id])
    else:
        EbsGateway.of(account).delete_volume(holding.id)


def _tell(hook: ForensicsHook, removed: list[dict[str, str]], failed: list[str]) -> None:
    """In each case that is known, and once to people."""
    store = CaseStore.of(hook.own(), hook.settings)
    for orphan in removed:
        what = f"orphaned {orphan['kind']} {orphan['id']} removed: {orphan['reason']}"
        with case_context(orphan["case_id"], step="orphan_reaper"):
            if _case(hook, orphan["case_id"]) is not None:
                store.note(orphan["case_id"], what, kind=TimelineKind.INVESTIGATION, source="orphan_reaper")
    if removed or failed:
        lines = [f"Removed {o['kind']} {o['id']} of case {o['case_id']}: {o['reason']}" for o in removed]
        Notifier.of(hook.own(), hook.settings).publish(
            case_id="none",
            event="orphans",
            subject=f"Forensic orphans: {len(removed)} removed, {len(failed)} not removed",
            lines=[*lines, *(f"NOT removed: {text}" for text in failed)],
            facts={"removed": removed[:50], "failed": [text[:500] for text in failed[:50]]},
        )
