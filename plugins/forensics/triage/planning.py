"""From a described target to a response plan: policy, live verification, never-isolate list, rate limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.errors import AwsError, InvalidCaseError
from forensics.models.artifact import ArtifactDescription
from forensics.models.case import Milestone
from forensics.models.custody import CustodyAction
from forensics.models.finding import Finding, FindingSource, Severity
from forensics.models.plan import Action, ResponsePlan
from forensics.models.target import Target
from forensics.models.verification import Verification
from forensics.settings import Settings
from forensics.triage.assessment import needs_confirmation
from forensics.triage.context import TriageContext
from forensics.triage.decision import added, decide, extend, limited
from forensics.triage.isolation_guard import IsolationGuard
from forensics.triage.never_isolate import Protection
from forensics.triage.not_applicable import record_not_applicable
from forensics.triage.organization import organization_tags
from forensics.triage.plan_text import decision_text

SETTLE_SECONDS = 4.0


def look_up(
    recorder: CaseRecorder, guard: IsolationGuard, settings: Settings, *, settle: float = 0.0
) -> list[Verification]:
    """Verify the case's findings that are not confirmed yet, and record the answers in the case.

    ``settle``: seconds for which a finding that its service does not know yet is looked for again. The signature of a
    request is checked even when findings are not looked up.
    """
    known = known_verifications(recorder)
    verify = settings.verify_findings
    findings = [f for f in recorder.findings() if (verify or f.signature) and _open(f, known)]
    if not findings:
        return []
    answers = guard.verifier.verify(findings, now=datetime.now(UTC), settle=settle)
    for answer in answers:
        recorder.put(f"{case_keys.VERIFICATION}{answer.finding_key}", answer)
    return answers


def known_verifications(recorder: CaseRecorder) -> dict[str, Verification]:
    """The answers recorded so far, by finding key."""
    found = [
        Verification.stored(data) for _, data in recorder.gateways.store.items(recorder.case_id, case_keys.VERIFICATION)
    ]
    return {answer.finding_key: answer for answer in found}


def plan_response(recorder: CaseRecorder, guard: IsolationGuard, settings: Settings) -> ResponsePlan:
    """Make the case's plan and record it."""
    seen = recorder.findings()
    plan = make_plan(recorder, guard, settings)
    recorder.put(case_keys.PLAN, plan)
    if recorder.findings() != seen:
        # A finding joined while the plan was made and saw none, so that no extension was ordered for it.
        plan = make_plan(recorder, guard, settings, before=plan)
        recorder.put(case_keys.PLAN, plan)
    recorder.milestone(Milestone.TRIAGED, plan.decided_at)
    record_plan(recorder, plan)
    record_not_applicable(recorder, plan)
    return plan


def extend_plan(
    recorder: CaseRecorder, guard: IsolationGuard, settings: Settings, *, before: ResponsePlan
) -> tuple[ResponsePlan, tuple[Action, ...]]:
    """Extend the case's plan by the findings that came later and record it; returns it and the actions that are new.

    Returns ``before`` itself when nothing is added.
    """
    plan = make_plan(recorder, guard, settings, before=before)
    if plan is before:
        return before, ()
    recorder.put(case_keys.PLAN, plan)
    record_plan(recorder, plan)
    return plan, added(before, plan)


def record_plan(recorder: CaseRecorder, plan: ResponsePlan) -> None:
    """Put the decisions into ledger and timeline."""
    recorder.custody(
        CustodyAction.PLAN_DECIDED,
        detail={
            "policy": plan.policy_version,
            "policy_sha256": plan.policy_sha256,
            "revision": plan.revision,
            "playbook": plan.playbook,
            "order": plan.order.value,
            "approval": list(plan.approval.reasons),
            "verified": {v.finding_key: v.standing.value for v in plan.verifications},
            **{d.action.value: {"go": d.go, "reasons": list(d.reasons)} for d in plan.decisions},
        },
    )
    recorder.note("; ".join(decision_text(decision) for decision in plan.decisions))
    for warning in plan.warnings:
        recorder.note(f"warning: {warning}")


def make_plan(
    recorder: CaseRecorder, guard: IsolationGuard, settings: Settings, *, before: ResponsePlan | None = None
) -> ResponsePlan:
    """Decide the case's plan, or extend the one it has by the findings that came later.

    Returns ``before`` itself when nothing is added. Raises :class:`InvalidCaseError` without a described target.
    """
    target = recorder.artifact() if recorder.case.artifact else recorder.target()
    if target is None:
        msg = f"case {recorder.case_id} has no description of its target"
        raise InvalidCaseError(msg, next_action="clear triage.describe_target")
    findings, now = recorder.findings(), datetime.now(UTC)
    loaded, doubts = guard.policy()
    organization = organization_tags(recorder, lambda: guard.organization, loaded.policy.scope)
    context = replace(
        _context(recorder, guard, settings, target=target, findings=findings, doubts=doubts), organization=organization
    )
    if before is None:
        plan = decide(findings, target=target, loaded=loaded, now=now, context=context)
    else:
        plan = extend(before, findings, target=target, loaded=loaded, now=now, context=context)
    isolated_before = before is not None and before.isolate.go
    if (
        isinstance(target, ArtifactDescription)
        or isolated_before
        or not plan.isolate.go
        or plan.approval.required
        or _person_in_airflow(findings)
    ):
        return plan
    reason = _over_cap(recorder, guard, target=target)
    return limited(plan, reason=reason) if reason else plan


def _context(
    recorder: CaseRecorder,
    guard: IsolationGuard,
    settings: Settings,
    *,
    target: Target | ArtifactDescription,
    findings: Sequence[Finding],
    doubts: tuple[str, ...],
) -> TriageContext:
    known = known_verifications(recorder)
    if any(_open(f, known) for f in findings):
        # A finding that joined after triage, or a cleared task: look it up (again) before a decision against it.
        known |= {answer.finding_key: answer for answer in look_up(recorder, guard, settings)}
    # Nothing isolates an artifact, so that no list has to spare it.
    protected, more = (
        guard.protected(target, now=datetime.now(UTC)) if isinstance(target, Target) else (Protection(), ())
    )
    floor = settings.isolate_from_severity
    return TriageContext(
        own_account=settings.forensic_account_id,
        verify=settings.verify_findings,
        verifications=known,
        protected=protected.vetoes,
        spared=protected.requests,
        doubts=(*doubts, *more),
        isolate_from=Severity(floor) if floor else None,
    )


def _open(finding: Finding, known: Mapping[str, Verification]) -> bool:
    return needs_confirmation(finding) and (finding.key not in known or not known[finding.key].confirmed)


def _person_in_airflow(findings: Sequence[Finding]) -> bool:
    """Whether a person asked for the isolation in Airflow: that is an approval, and cannot come as a flood."""
    return any(
        f.source is FindingSource.MANUAL and f.signature is None and (f.requested or {}).get(Action.ISOLATE.value)
        for f in findings
    )


def _over_cap(recorder: CaseRecorder, guard: IsolationGuard, *, target: Target) -> str | None:
    try:
        return guard.over_cap(recorder.case_id, target, now=datetime.now(UTC))
    except AwsError as error:
        # The isolation can wait for the counter; acquisition must not.
        return f"the rate limit of isolations could not be checked: {error}"
