"""Release: from the signed restore point back to the target as it was, after approval, verified and logged (R49)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.isolation import restore_digest
from forensics.containment.operators import answer_of
from forensics.containment.plan import plan_digest
from forensics.containment.plan_text import call_lines
from forensics.containment.release_plan import differences, release_calls
from forensics.custody.chain import verify_chain
from forensics.errors import AwsError, ContainmentError, CustodyError
from forensics.models.case import TimelineKind
from forensics.models.containment import (
    ApiCall,
    Approval,
    ContainmentStep,
    PlanStep,
    ReleasePlan,
    ReleaseResult,
    RestorePoint,
    Stage,
)
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.target_facts import InstanceFacts

RELEASE, KEEP = "Release", "Keep it contained"


class _ReleaseOperator(ForensicOperator):
    """What the steps of a release share: the restore point, checked, and the target as it is."""

    def gateway(self, recorder: CaseRecorder) -> ContainmentGateway:
        """The target's account under the ``release`` role."""
        return ContainmentGateway.of(self.sessions.target("release"))

    def restore_point(self, recorder: CaseRecorder) -> tuple[RestorePoint, InstanceFacts]:
        """The restore point, when it is the one whose digest the signed ledger holds; raises otherwise."""
        point = recorder.get(case_keys.RESTORE_POINT, RestorePoint)
        if point is None or point.facts is None:
            msg = f"case {recorder.case_id} has no restore point: containment never began"
            raise ContainmentError(msg, next_action="nothing was changed by this case, so there is nothing to release")
        events = recorder.gateways.ledger.events(recorder.case_id)
        verify_chain(events)
        recorded = next((e for e in events if e.action is CustodyAction.RESTORE_POINT_TAKEN), None)
        if recorded is None or recorded.detail.get("sha256") != restore_digest(point):
            msg = (
                f"the restore point of case {recorder.case_id} is not the one in the custody ledger: nothing is changed"
            )
            raise CustodyError(msg, next_action="compare it with the copy under custody/ in the evidence store")
        recorder.gateways.ledger.check_signature(recorder.case_id, covers=recorded.seq)
        return point, point.facts

    def read(self, recorder: CaseRecorder, *, original: InstanceFacts) -> InstanceFacts:
        """The target as it is now; what cannot be read stops a release, for it could not be restored."""
        facts = self.gateway(recorder).facts.read(
            recorder.case.instance_id,
            case_id=recorder.case_id,
            deny_profile=self.settings.containment_profile,
            original=original,
        )
        if facts.unknown:
            msg = f"the target cannot be read completely: {'; '.join(facts.unknown)}"
            raise ContainmentError(msg, next_action="give the release role these reads, then clear the task")
        return facts

    def due(self, recorder: CaseRecorder) -> tuple[InstanceFacts, InstanceFacts, list[ApiCall]]:
        """Original, present, and the calls between them."""
        _, original = self.restore_point(recorder)
        facts = self.read(recorder, original=original)
        return original, facts, release_calls(original, facts=facts, case_id=recorder.case_id)


class PlanReleaseOperator(_ReleaseOperator, HITLOperator):
    """Show what a release would change and ask a second person; with ``dry_run`` only show it.

    The answer is bound to the digest of the calls: a target that changed in between is planned and asked about anew.
    """

    template_fields = ("case_id",)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Release the target?", options=[RELEASE, KEEP], defaults=[KEEP], **kwargs)

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Plan, record, ask."""
        original, facts, calls = self.due(recorder)
        plan = ReleasePlan(
            calls=tuple(calls), differences=tuple(differences(original, facts=facts)[:200]),
            digest=calls_digest(calls), requester=requester(context), made_at=datetime.now(UTC),
        )  # fmt: skip
        recorder.put(case_keys.RELEASE_PLAN, plan)
        recorder.note(f"release planned: {len(calls)} calls (plan {plan.digest[:12]})", kind=TimelineKind.CONTAINMENT)
        if not calls or context["params"].get("dry_run"):
            why = "nothing differs from the restore point" if not calls else "dry run: " + "; ".join(call_lines(calls))
            self.log.info("%s", why)
            raise AirflowSkipException(f"nothing is changed: {why[:1500]}")
        self._ask(recorder, plan, context)
        return None

    def _ask(self, recorder: CaseRecorder, plan: ReleasePlan, context: Context) -> None:
        settings = self.settings
        self.subject = f"Release {recorder.case.instance_id}? (case {recorder.case_id})"
        reason = str(context["params"].get("reason") or "no reason given")
        self.body = "\n".join(
            [
                f"**Plan {plan.digest}**, asked for by {plan.requester}: {reason[:500]}", "",
                "The target gets its network, addresses and credentials back. Calls, in this order:", "",
                *call_lines(plan.calls),
            ]
        )  # fmt: skip
        self.response_timeout = timedelta(seconds=settings.approval_timeout_seconds)
        recorder.announce(
            f"release:{plan.digest[:12]}",
            "Approval needed: release the target?",
            lines=[
                f"Asked for by {plan.requester}: {reason[:500]}",
                f"{len(plan.calls)} calls; no answer means: {KEEP}",
            ],
            facts={"plan_digest": plan.digest},
            once=False,
        )
        HITLOperator.execute(self, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Json:
        """Airflow's entry after the answer."""
        return self._guarded(context, lambda recorder: self._answered(recorder, event))

    def _answered(self, recorder: CaseRecorder, event: dict[str, Any]) -> Json:
        plan = recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
        if plan is None:
            msg = f"the release plan of case {recorder.case_id} is gone from the case store"
            raise ContainmentError(msg, next_action="start forensic_release again")
        answer = answer_of(
            event,
            digest=plan.digest,
            yes=RELEASE,
            requester=plan.requester,
            two=self.settings.approval_two_persons,
        )
        recorder.put(case_keys.RELEASE_APPROVAL, answer)
        action = CustodyAction.RELEASE_APPROVED if answer.granted else CustodyAction.RELEASE_REFUSED
        recorder.custody(action, detail={"plan": answer.digest, "by": answer.by or "nobody", "reason": answer.reason})
        recorder.note(
            f"release {'approved' if answer.granted else 'refused'}: {answer.reason}", kind=TimelineKind.CONTAINMENT
        )
        if not answer.granted:
            raise AirflowSkipException(f"the target stays contained: {answer.reason}")
        return {"plan": plan.digest, "calls": len(plan.calls), "approved_by": answer.by}


class ReleaseTargetOperator(_ReleaseOperator):
    """Carry out the approved release, read back, and compare with the restore point.

    It stops at the first call that fails: what is not released yet stays contained, and the next try goes on from there.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Check the approval, restore, verify."""
        answer = recorder.get(case_keys.RELEASE_APPROVAL, Approval)
        plan = recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
        if answer is None or plan is None or not answer.granted or answer.digest != plan.digest:
            raise AirflowFailException(
                "there is no approval of this release. What to do next: start forensic_release again"
            )
        original, _, calls = self.due(recorder)
        new = [str(c) for c in calls if c.operation not in {p.operation for p in plan.calls}]
        if new:
            msg = f"the target changed after approval; these calls are new: {', '.join(new[:8])}: refused"
            raise AirflowFailException(f"{msg}. What to do next: start forensic_release again")
        steps = self._restore(recorder, calls)
        result = self._compare(recorder, original, steps=steps, answer=answer)
        recorder.put(case_keys.RELEASE, result)
        recorder.custody(
            CustodyAction.TARGET_RELEASED,
            detail={
                "outcome": result.outcome.value, "plan": plan.digest, "by": answer.by or "nobody",
                "differences": list(result.differences)[:50], "calls": [s.name for s in steps],
            },
        )  # fmt: skip
        self._tell(recorder, result)
        if result.outcome is not Outcome.DONE:
            msg = f"the release of {recorder.case.instance_id} is incomplete: {result.reason}"
            raise ContainmentError(
                msg, next_action="mend the cause and clear the task: it goes on from where it stopped"
            )
        return {"outcome": result.outcome.value, "calls": len(steps)}

    def _restore(self, recorder: CaseRecorder, calls: list[ApiCall]) -> list[ContainmentStep]:
        gateway, steps, target = self.gateway(recorder), [], recorder.case.instance_id
        for call in calls:
            try:
                gateway.perform(call, ids={})
            except (AwsError, ContainmentError) as error:
                steps.append(ContainmentStep(name=str(call), target=target, done=False, detail=str(error)[:500]))
                break
            steps.append(ContainmentStep(name=str(call), target=target, done=True, detail="done"))
        return steps

    def _compare(
        self, recorder: CaseRecorder, original: InstanceFacts, *, steps: list[ContainmentStep], answer: Approval
    ) -> ReleaseResult:
        facts = self.read(recorder, original=original)
        left = differences(original, facts=facts)
        failed = [s.detail for s in steps if not s.done]
        complete = not left and not failed
        return ReleaseResult(
            outcome=Outcome.DONE if complete else Outcome.PARTIAL,
            reason=None if complete else "; ".join([*failed, *left])[:1500],
            steps=tuple(steps),
            differences=tuple(left[:200]),
            approved_by=answer.by,
            released_at=datetime.now(UTC) if complete else None,
        )

    def _tell(self, recorder: CaseRecorder, result: ReleaseResult) -> None:
        done = result.outcome is Outcome.DONE
        said = "released: it is as it was before containment" if done else f"release is PARTIAL: {result.reason}"
        recorder.note(f"target {said}", kind=TimelineKind.CONTAINMENT)
        recorder.announce(
            "released",
            "Target released" if done else "Release is PARTIAL",
            lines=[f"The target is {said}", f"Approved by {result.approved_by or 'nobody'}"],
            facts={"outcome": result.outcome.value, "differences": list(result.differences)[:20]},
            once=False,
        )
        if done:
            recorder.sign_ledger("release")


def calls_digest(calls: list[ApiCall]) -> str:
    """Digest of a release's calls, for its approval."""
    return plan_digest(
        tuple(
            PlanStep(id=f"release.{n}", stage=Stage.CLEANUP, target="", call=c, reason="") for n, c in enumerate(calls)
        )
    )


def requester(context: Context) -> str:
    """Who started the run: the Airflow user when it is known, else the parameter."""
    user = getattr(context.get("dag_run"), "triggering_user_name", None)
    return str(user or context["params"].get("requester") or "the Airflow user who started the run")
