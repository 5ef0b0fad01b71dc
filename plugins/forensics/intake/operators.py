"""Open the case of a run."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException
from pydantic import ValidationError

from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.case.recorder import CaseRecorder, open_recorder
from forensics.correlation import case_context
from forensics.errors import CaseConflictError, ForensicsError, InvalidCaseError
from forensics.intake.admission import CaseAdmission
from forensics.intake.annotation import annotate
from forensics.intake.write_back import FindingWriteBack
from forensics.models.case import Case, CaseStatus, Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.finding import Finding, FindingSource, Severity


def manual_finding(params: dict[str, Any], *, run_id: str, requested_at: datetime, user: str | None = None) -> Finding:
    """The finding that a person's request in the Airflow UI is; ``user`` is who Airflow says started the run.

    Raises :class:`InvalidCaseError` naming every parameter that is wrong.
    """
    wanted = params.get("actions") or "by-policy"
    asked = None if wanted == "by-policy" else {a: a in wanted.split("+") for a in ("memory", "disk", "isolate")}
    instance = str(params.get("instance_id") or "")
    try:
        return Finding(
            key=hashlib.sha256(f"manual|{run_id}|{instance}".encode()).hexdigest()[:32],
            source=FindingSource.MANUAL,
            finding_id=f"manual:{run_id}",
            title=f"Manual request: {str(params.get('reason') or 'no reason given')[:200]}",
            severity=Severity.HIGH,
            account_id=str(params.get("account_id") or ""),
            region=str(params.get("region") or ""),
            instance_id=instance,
            created_at=requested_at,
            requester=_requester(params, user=user),
            reason=str(params.get("reason") or "") or None,
            requested=asked,
        )
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))} = {str(e['input'])[:40]!r}: {e['msg']}" for e in error.errors()
        )
        msg = f"the request is not valid: {wrong}"
        raise InvalidCaseError(
            msg, next_action="start the DAG again with the parameters mended; nothing was changed in AWS"
        ) from error


def _user(dag_run: Any) -> str | None:
    # Airflow names the user of runs that a person started in the UI or by the API, and of no others.
    return getattr(dag_run, "triggering_user_name", None)


def _requester(params: dict[str, Any], *, user: str | None) -> str:
    """What the person typed, and whom Airflow knows: the one is a name or ticket, the other is proven."""
    typed, known = str(params.get("requester") or ""), f"Airflow user {user}" if user else ""
    if typed and known:
        return f"{typed} ({known})"
    return typed or known or "the Airflow user who started the run"


def _same_place(case: Case, params: dict[str, Any]) -> None:
    """A run started with a case's id works that case's instance and no other one."""
    for name in ("account_id", "region", "instance_id"):
        given = params.get(name)
        if given and given != getattr(case, name):
            msg = f"case {case.case_id} is about {name} {getattr(case, name)}, not {str(given)[:40]}"
            raise InvalidCaseError(
                msg, next_action="start the DAG again without a case id, or with the case's own instance"
            )


class OpenCaseOperator(BaseOperator):
    """Open the case of this run and return its id (seed step 3).

    Started by the intake, the case exists and its id is in the run's configuration; started by a person, the parameters
    become a finding and open one. An instance with an open case is refused: its case is named.
    """

    def execute(self, context: Context) -> str:
        """Return the case id."""
        params, run_id = dict(context["params"]), context["dag_run"].run_id
        hook = ForensicsHook()
        try:
            requested_at = context["dag_run"].run_after or datetime.now(UTC)
            case_id = (
                str(params["case_id"])
                if params.get("case_id")
                else self._open_manual(hook, params, run_id, requested_at, user=_user(context["dag_run"]))
            )
            with case_context(case_id, step=self.task_id):
                recorder = open_recorder(hook, case_id, step=self.task_id)
                _same_place(recorder.case, params)
                self._record(recorder, run_id)
                annotate(
                    recorder.findings(),
                    case=recorder.case,
                    store=recorder.gateways.store,
                    write_back=lambda: FindingWriteBack.of(hook.for_case(recorder.case)),
                    settings=hook.settings,
                    step=self.task_id,
                )
        except ForensicsError as error:
            if error.retryable and context["ti"].try_number <= context["ti"].max_tries:
                raise
            self._refused(hook, params, error)
            raise AirflowFailException(f"{error}. What to do next: {error.next_action}") from error
        return case_id

    def _open_manual(
        self, hook: ForensicsHook, params: dict[str, Any], run_id: str, requested_at: datetime, *, user: str | None
    ) -> str:
        # Key and day follow from the run, so that a repeated try finds the case that the first one opened.
        finding = manual_finding(params, run_id=run_id, requested_at=requested_at, user=user)
        admitted = CaseAdmission.of(hook.own(), hook.settings).admit(finding, received_at=requested_at, run_id=run_id)
        if admitted.how in {"joined", "raised"} or admitted.case.run_id != run_id:
            holder = admitted.case.case_id
            msg = f"instance {finding.instance_id} already has an open case: {holder}"
            raise CaseConflictError(msg, next_action=f"go on in the run of case {holder}; the request was noted there")
        return admitted.case.case_id

    def _record(self, recorder: CaseRecorder, run_id: str) -> None:
        case = recorder.case
        recorder.gateways.store.hold_lock(case)
        recorder.gateways.store.update_case(case.case_id, run_id=run_id, status=CaseStatus.OPEN)
        recorder.milestone(Milestone.RECEIVED, case.received_at or case.opened_at)
        recorder.milestone(Milestone.OPENED, case.opened_at)
        finding = recorder.findings()[0]
        if finding.updated_at or finding.created_at:
            recorder.milestone(Milestone.FINDING_EVENT, finding.updated_at or finding.created_at)
        recorder.custody(
            CustodyAction.CASE_OPENED,
            detail={
                "finding": finding.finding_id[:500],
                "source": finding.source.value,
                "run_id": run_id,
                "reason": case.reason or "",
            },
            once="case-opened",
        )
        recorder.note(
            f"finding: {case.title} ({case.severity}, {case.source})",
            kind=TimelineKind.FINDING,
            at=finding.updated_at or case.opened_at,
        )
        recorder.note("case opened", at=case.opened_at)
        recorder.announce(
            "case_opened",
            f"Case opened: {case.title[:60]}",
            lines=[f"Severity {case.severity}, from {case.source}"],
        )

    def _refused(self, hook: ForensicsHook, params: dict[str, Any], error: ForensicsError) -> None:
        """Nothing was opened: say so to people who are not looking at the UI."""
        Notifier.of(hook.own(), hook.settings).publish(
            case_id="none",
            event="request_refused",
            subject=f"Forensic case refused: {type(error).__name__}",
            lines=[str(error), f"What to do next: {error.next_action}"],
            facts={
                "instance_id": str(params.get("instance_id"))[:40],
                "account_id": str(params.get("account_id"))[:20],
            },
        )
