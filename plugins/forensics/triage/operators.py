"""Triage: describe the target, decide the response plan (seed steps 4a to 5)."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics import case_keys
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.session import AwsSession
from forensics.aws.ssm import SsmGateway
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import AwsError, InvalidCaseError, ResourceGoneError
from forensics.models.case import Milestone, Phase
from forensics.models.custody import CustodyAction
from forensics.models.evidence import ControlPlaneEvidence, Digest, EvidenceKind, Outcome
from forensics.models.plan import Action, Decision, ResponsePlan
from forensics.models.target import SsmStatus
from forensics.models.verification import Verification
from forensics.naming import evidence_id, evidence_key
from forensics.triage.control_plane_snapshot import ControlPlaneSnapshot
from forensics.triage.decision import added
from forensics.triage.isolation_guard import IsolationGuard
from forensics.triage.planning import SETTLE_SECONDS, look_up, make_plan


class DescribeTargetOperator(ForensicOperator):
    """Freeze the control-plane facts of the target: first in the order of volatility, and it changes nothing."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Describe the instance, store the raw answers as evidence and the model in the case.

        Meanwhile the findings are looked up live: whether they are genuine decides on the isolation, and costs no time.
        """
        recorder.phase(Phase.TRIAGE)
        guard = IsolationGuard.of(self.sessions)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="look-up") as pool:
            answers = pool.submit(
                copy_context().run, partial(look_up, recorder, guard, self.settings, settle=SETTLE_SECONDS)
            )
            described = self._describe(recorder)
        return {**described, "findings": self._told(answers)}

    def _describe(self, recorder: CaseRecorder) -> dict[str, Any]:
        account = self.sessions.target("triage")
        try:
            target, raw = Ec2Gateway.of(account).describe_target(recorder.case.instance_id)
        except ResourceGoneError as error:
            raise InvalidCaseError(
                str(error), next_action=f"{error.next_action}; nothing was changed in AWS"
            ) from error
        notes: list[str] = []
        status = self._ssm_status(account, recorder, notes)
        raw["console_output"] = self._console(account, recorder, notes)
        raw["ssm"] = status.model_dump(mode="json")
        more, missing = ControlPlaneSnapshot.of(account).gather(
            recorder.case.instance_id, vpc_id=target.vpc_id, now=datetime.now(UTC)
        )
        raw |= more
        notes += missing
        target = target.model_copy(update={"ssm": status, "notes": tuple(notes), "facts": self._keep(recorder, raw)})
        recorder.put(case_keys.TARGET, target)
        return {
            "state": target.state,
            "ssm_online": target.ssm.online,
            "volumes": len(target.volumes),
            "interfaces": len(target.interfaces),
        }

    def _told(self, answers: Future[list[Verification]]) -> dict[str, str]:
        """The look-up's answers; one that failed as a whole is repeated by the planning step."""
        try:
            return {answer.finding_key: answer.standing.value for answer in answers.result()}
        except AwsError as error:
            self.log.warning("the findings could not be looked up; plan_response tries again: %s", error)
            return {}

    def _ssm_status(self, account: AwsSession, recorder: CaseRecorder, notes: list[str]) -> SsmStatus:
        """SSM is asked, not needed: without an answer the disk and containment paths go on (R75)."""
        try:
            return SsmGateway.of(account).status(recorder.case.instance_id)
        except AwsError as error:
            notes.append(f"SSM could not be asked: {error}")
            return SsmStatus()

    def _console(self, account: AwsSession, recorder: CaseRecorder, notes: list[str]) -> str | None:
        try:
            return Ec2Gateway.of(account).console_output(recorder.case.instance_id)
        except AwsError as error:
            notes.append(f"console output is missing: {error}")
            return None

    def _keep(self, recorder: CaseRecorder, raw: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC)
        item = evidence_id(EvidenceKind.CONTROL_PLANE, recorder.case.instance_id)
        body = json.dumps({"described_at": now.isoformat(), **raw}, sort_keys=True, default=str, indent=1).encode()
        key = evidence_key(
            recorder.case_id, EvidenceKind.CONTROL_PLANE, item=item, name=f"facts-{now:%Y%m%dT%H%M%S.%fZ}.json"
        )
        stored = recorder.gateways.evidence.put(key, body, content_type="application/json")
        recorder.save_evidence(
            ControlPlaneEvidence(
                evidence_id=item,
                outcome=Outcome.ACQUIRED,
                account_id=recorder.case.account_id,
                region=recorder.case.region,
                uri=stored.uri,
                version_id=stored.version_id,
                size_bytes=stored.size_bytes,
                digests=(Digest(value=stored.sha256, subject="the stored JSON object", source="control-plane"),),
                started_at=now,
                ended_at=datetime.now(UTC),
                lock={"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
            )
        )
        recorder.custody(
            CustodyAction.TARGET_DESCRIBED,
            evidence_id=item,
            detail={"uri": stored.uri, "sha256": stored.sha256},
        )
        return {"uri": stored.uri, "sha256": stored.sha256}


class PlanResponseOperator(ForensicOperator):
    """Decide what is acquired and whether the target is isolated, each with its reasons."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Decide, record and announce the plan."""
        seen = recorder.findings()
        guard = IsolationGuard.of(self.sessions)
        plan = make_plan(recorder, guard, self.settings)
        recorder.put(case_keys.PLAN, plan)
        if recorder.findings() != seen:
            # It joined while the plan was made and saw none, so that no extension was ordered for it.
            plan = make_plan(recorder, guard, self.settings, before=plan)
            recorder.put(case_keys.PLAN, plan)
        recorder.milestone(Milestone.TRIAGED, plan.decided_at)
        record_plan(recorder, plan)
        recorder.phase(Phase.ACQUISITION)
        recorder.announce(
            "triage",
            "Triage done" if not plan.warnings else "Triage done, WITH WARNINGS",
            lines=plan_lines(plan),
            facts=_facts(plan),
        )
        return {"memory": plan.memory.go, "disk": plan.disk.go, "isolate": plan.isolate.go}


class ExtendPlanOperator(ForensicOperator):
    """Extend the plan by the findings that joined after it was made; it only ever grows.

    Steps of the case's run that have not started yet follow the extended plan. Ends skipped, and what follows it too,
    unless isolation came new and needs no approval.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Decide what the later findings add; returns the actions that are new, in ``added``."""
        before = recorder.plan()
        if before is None:
            msg = "triage has not ended: the plan that it makes will know all findings"
            raise AirflowSkipException(msg)
        plan = make_plan(recorder, IsolationGuard.of(self.sessions), self.settings, before=before)
        if plan is before:
            msg = "the findings that joined ask for nothing beyond the plan"
            recorder.note(msg)
            raise AirflowSkipException(msg)
        recorder.put(case_keys.PLAN, plan)
        record_plan(recorder, plan)
        new = [action.value for action in added(before, plan)]
        recorder.announce(
            f"plan_extended:{plan.revision}",
            f"Response plan extended: {', '.join(new) or 'questions and reasons only'}",
            lines=[*plan_lines(plan), *_left_to_people(new, plan=plan, run_id=recorder.case.run_id)],
            facts={**_facts(plan), "added": new},
        )
        if Action.ISOLATE.value not in new or plan.approval.required:
            msg = f"extended by {', '.join(new) or 'questions and reasons'}; nothing is isolated by this run"
            raise AirflowSkipException(msg)
        return {"added": new}


def _left_to_people(new: list[str], *, plan: ResponsePlan, run_id: str | None) -> list[str]:
    """What this extension does not do by itself when the step of the case's run is over already."""
    steps = [
        step for action, step in (("memory", "memory.probe_target"), ("disk", "disk.snapshot_volumes")) if action in new
    ]
    if Action.ISOLATE.value in new and plan.approval.required:
        steps.append("containment.plan_containment")
    return [f"If {step} of run {run_id} is over already, clear it there with what follows it." for step in steps]


def record_plan(recorder: CaseRecorder, plan: ResponsePlan) -> None:
    """Put the decisions into ledger and timeline."""
    decisions = (plan.memory, plan.disk, plan.isolate)
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
            **{d.action.value: {"go": d.go, "reasons": list(d.reasons)} for d in decisions},
        },
    )
    recorder.note("; ".join(_sentence(d) for d in decisions))
    for warning in plan.warnings:
        recorder.note(f"warning: {warning}")


def plan_lines(plan: ResponsePlan) -> list[str]:
    """The plan for people, line by line."""
    lines = [_sentence(d) for d in (plan.memory, plan.disk, plan.isolate)]
    if plan.isolate.go:
        lines.append(f"Order: {plan.order.value.replace('_', ' ')}")
    if plan.approval.required:
        lines.append(f"Isolation waits for approval: {'; '.join(plan.approval.reasons)}")
    return [*lines, *plan.warnings]


def _facts(plan: ResponsePlan) -> dict[str, Any]:
    return {
        **{d.action.value: d.go for d in (plan.memory, plan.disk, plan.isolate)},
        "playbook": plan.playbook,
        "order": plan.order.value,
        "approval": plan.approval.required,
    }


def _sentence(decision: Decision) -> str:
    verdict = "yes" if decision.go else ("wanted but not possible" if decision.wanted else "no")
    return f"{decision.action.value}: {verdict} ({'; '.join(decision.reasons)})"
