"""Open and close the case, and report on it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from pydantic import ValidationError

from forensics.aws.desk import CaseDesk
from forensics.correlation import case_context
from forensics.domain.naming import case_prefix
from forensics.domain.verdict import gaps
from forensics.errors import CaseConflictError, ForensicsError, InvalidCaseError
from forensics.export import exports
from forensics.hooks.session import PAGES, ForensicsHook
from forensics.models.case import Case, CaseStatus, Milestone, Phase, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.finding import Finding, FindingSource, Severity
from forensics.operators.base import ForensicOperator, Json
from forensics.operators.investigation import remove_forensic_resources
from forensics.operators.killed_steps import tell_killed_steps
from forensics.operators.write_back import annotate
from forensics.report import render_html, render_json


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

    def execute(self, context: Any) -> str:
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
                desk = hook.desk(case_id, step=self.task_id)
                _same_place(desk.case, params)
                self._record(desk, run_id)
                annotate(hook, desk.gw.store, desk.case, desk.findings(), step=self.task_id)
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
        admitted = hook.door().admit(finding, received_at=requested_at, run_id=run_id)
        if admitted.how in {"joined", "raised"} or admitted.case.run_id != run_id:
            holder = admitted.case.case_id
            msg = f"instance {finding.instance_id} already has an open case: {holder}"
            raise CaseConflictError(msg, next_action=f"go on in the run of case {holder}; the request was noted there")
        return admitted.case.case_id

    def _record(self, desk: CaseDesk, run_id: str) -> None:
        case = desk.case
        desk.gw.store.hold_lock(case)
        desk.gw.store.update_case(case.case_id, run_id=run_id, status=CaseStatus.OPEN)
        desk.milestone(Milestone.RECEIVED, case.received_at or case.opened_at)
        desk.milestone(Milestone.OPENED, case.opened_at)
        finding = desk.findings()[0]
        if finding.updated_at or finding.created_at:
            desk.milestone(Milestone.FINDING_EVENT, finding.updated_at or finding.created_at)
        desk.custody(
            CustodyAction.CASE_OPENED,
            detail={
                "finding": finding.finding_id[:500],
                "source": finding.source.value,
                "run_id": run_id,
                "reason": case.reason or "",
            },
            once="case-opened",
        )
        desk.note(
            f"finding: {case.title} ({case.severity}, {case.source})",
            kind=TimelineKind.FINDING,
            at=finding.updated_at or case.opened_at,
        )
        desk.note("case opened", at=case.opened_at)
        desk.announce(
            "case_opened",
            f"Case opened: {case.title[:60]}",
            lines=[f"Severity {case.severity}, from {case.source}"],
        )

    def _refused(self, hook: ForensicsHook, params: dict[str, Any], error: ForensicsError) -> None:
        """Nothing was opened: say so to people who are not looking at the UI."""
        hook.forensic(PAGES, phase="reader").notifier.publish(
            case_id="none",
            event="request_refused",
            subject=f"Forensic case refused: {type(error).__name__}",
            lines=[str(error), f"What to do next: {error.next_action}"],
            facts={
                "instance_id": str(params.get("instance_id"))[:40],
                "account_id": str(params.get("account_id"))[:20],
            },
        )


class WriteReportOperator(ForensicOperator):
    """Render the case and store the report, HTML and JSON, and its exports in the evidence store."""

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Write a new version of the report; earlier ones stay."""
        desk.phase(Phase.REPORT)
        tell_killed_steps(desk, context)
        ended = [i.ended_at for i in desk.view().investigations if i.ended_at]
        if ended:
            desk.milestone(Milestone.INVESTIGATION_COMPLETE, max(ended))
        desk.sign_ledger("report")
        view = desk.view()
        prefix = f"{case_prefix(desk.case_id)}report/{view.generated_at.strftime('%Y%m%dT%H%M%S.%fZ')}/"
        stored = {
            made.name: desk.gw.evidence.put(prefix + made.name, made.text.encode(), content_type=made.content_type)
            for made in exports(view)
        }
        # The report lists the exports beside it.
        view = view.model_copy(update={"objects": (*view.objects, *(item.uri for item in stored.values()))})
        for name, text, kind in (
            ("html", render_html(view), "text/html; charset=utf-8"),
            ("json", render_json(view), "application/json"),
        ):
            stored[name] = desk.gw.evidence.put(f"{prefix}report.{name}", text.encode(), content_type=kind)
        desk.milestone(Milestone.REPORTED)
        uris = {name: item.uri for name, item in stored.items()}
        desk.custody(
            CustodyAction.REPORT_WRITTEN,
            detail={n: {"uri": s.uri, "sha256": s.sha256} for n, s in stored.items()},
        )
        desk.note(f"report written: {uris['html']}")
        missing = gaps(view)
        desk.announce(
            "report",
            "Report written" + (f", with {len(missing)} gaps" if missing else ""),
            lines=[f"Report: {uris['html']}", *[f"Gap: {gap}" for gap in missing]],
            facts={"report": uris},
            once=False,
        )
        return uris


class CloseCaseOperator(ForensicOperator):
    """Close the case; fails when anything that the plan wanted is missing, so that the run's state tells the truth."""

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Decide the status, sign the ledger, release the instance's lock."""
        now = datetime.now(UTC)
        missing = self._sweep(desk)
        view = desk.view()
        missing += gaps(view)
        if not any("/report/" in uri for uri in view.objects):
            missing.append("no report was written")
        closing = CaseStatus.CLOSED_WITH_GAPS if missing else CaseStatus.CLOSED
        desk.milestone(Milestone.CLOSED, now)
        desk.custody(
            CustodyAction.CASE_CLOSED,
            detail={"status": closing.value, "gaps": [g[:300] for g in missing][:50]},
        )
        desk.note(f"case closed: {closing.value}")
        unsigned = self._sign(desk)
        missing += unsigned
        if unsigned:
            closing = CaseStatus.CLOSED_WITH_GAPS
        desk.gw.store.update_case(desk.case_id, status=closing, phase=Phase.DONE, closed_at=now)
        desk.gw.store.release_lock(desk.case)
        closed = desk.gw.store.case(desk.case_id)
        annotate(self.hook, desk.gw.store, closed, desk.findings(), step=self.task_id)
        desk.announce(
            "case_closed",
            "Case closed: complete" if not missing else f"Case closed WITH GAPS: {len(missing)}",
            lines=[f"Gap: {gap}" for gap in missing] or ["Everything that the plan wanted was done and verified."],
            facts={"status": closing.value, "gaps": missing[:50]},
            once=False,
        )
        if missing:
            msg = "the case is closed with gaps: " + "; ".join(missing)
            raise AirflowFailException(
                f"{msg}. What to do next: mend the causes and clear the failed tasks in this run"
            )
        return closing.value

    def _sweep(self, desk: CaseDesk) -> list[str]:
        """No forensic instance of this case may outlive it, whatever happened to the teardown."""
        try:
            remove_forensic_resources(self.hook, desk)
        except ForensicsError as error:
            return [f"the forensic instance may still be there: {error}"]
        return []

    def _sign(self, desk: CaseDesk) -> list[str]:
        """A broken ledger is told and does not keep the case, and its lock on the instance, open for ever."""
        try:
            desk.sign_ledger("close")
        except ForensicsError as error:
            return [f"the custody ledger could not be signed: {error}"]
        return []
