"""Which DAG runs a finding needs. Pure; run ids follow from case and finding, so that no run is started twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from forensics.errors import FindingError
from forensics.intake.messages import RunOrder
from forensics.models.case import Case
from forensics.models.finding import PERSONS_RANK, CustomAction, Finding


@dataclass(frozen=True)
class TriggeredDags:
    """The DAGs that findings start; without ``extension`` or ``release`` such findings only join."""

    case: str = "forensic_case"
    extension: str | None = None
    release: str | None = None


def case_orders(dags: TriggeredDags, case: Case, finding: Finding, *, wants_more: bool) -> list[RunOrder]:
    """The run of the case, and the run that extends its plan when the finding may ask for more than the plan.

    The case's run is ordered also when the finding joined: the worker that opened the case may have died before the run
    existed.
    """
    note = f"{finding.severity.value}, {finding.source.value}, {case.instance_id}: {finding.title[:200]}"
    orders = [
        RunOrder(
            dag_id=dags.case,
            run_id=case.run_id or case.case_id,
            conf=_conf(case),
            note=f"finding_intake: {note}",
            rank=finding.intake_rank,
        )
    ]
    if wants_more and dags.extension:
        orders.append(
            RunOrder(
                dag_id=dags.extension,
                run_id=_extension_id(case, finding),
                conf={"case_id": case.case_id},
                note=f"joined: {note}",
                rank=finding.intake_rank,
            )
        )
    return orders


def resume_order(dag_id: str, case: Case, *, run_id: str, why: str) -> RunOrder:
    """A run that continues a case whose own run will do nothing more."""
    note = f"case_watchdog: {why}"
    return RunOrder(dag_id=dag_id, run_id=run_id, conf=_conf(case), note=note, rank=PERSONS_RANK)


def _conf(case: Case) -> dict[str, str]:
    place = {"account_id": case.account_id, "region": case.region, "instance_id": case.instance_id}
    return {"case_id": case.case_id, **place}


def _press(finding: Finding) -> str:
    return f"-{hashlib.sha256(finding.press.encode()).hexdigest()[:8]}" if finding.press else ""


def _extension_id(case: Case, finding: Finding) -> str:
    order = f"-{hashlib.sha256(finding.order.encode()).hexdigest()[:8]}" if finding.order else ""
    return f"{case.case_id}-{finding.key[:12]}-{finding.severity.value.lower()}{order}"


def release_order(dag_id: str, finding: Finding, *, case: Case | None, received_at: datetime) -> RunOrder:
    """The release of the case that contained the finding's instance; another person approves it.

    It opens no case. Each press is a run; delivered again, it is the same run. Raises :class:`FindingError` when no
    case has contained the instance.
    """
    if case is None:
        place = f"{finding.instance_id} in account {finding.account_id}, {finding.region}"
        msg = f"{CustomAction.RELEASE.value}: no case has contained {place}"
        raise FindingError(msg, next_action="nothing was changed by this product, so there is nothing to release")
    requester = finding.requester or f"custom action {CustomAction.RELEASE.value}"
    reason = (finding.reason or f"ordered on the finding {finding.title}")[:500]
    return RunOrder(
        dag_id=dag_id,
        run_id=f"{case.case_id}-release-{received_at:%Y%m%dT%H%MZ}{_press(finding)}",
        # who pressed it is not in the event: two people have to approve (forensics.case.persons)
        conf={"case_id": case.case_id, "requester": requester[:100], "reason": reason, "ordered_by": requester[:200]},
        note=f"{requester}: {case.instance_id}",
        rank=PERSONS_RANK,
    )
