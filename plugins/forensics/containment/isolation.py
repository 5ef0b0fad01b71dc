"""Isolates the target: carries out what is open of its plan, under approval and one task at a time, and reads it back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import JsonValue

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.case.waiting import seal_waits
from forensics.containment.announcements import announce_altered_groups, announce_gone, announce_held, note
from forensics.containment.approval import Withheld, finished, why_not_restored, withheld
from forensics.containment.approval_record import Approvals
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.calls import delete_group
from forensics.containment.containment_state import has_ended
from forensics.containment.credential_end import CredentialEnd
from forensics.containment.network_steps import network_steps
from forensics.containment.other_deployments import holder
from forensics.containment.plan_runner import PlanRunner
from forensics.containment.planner import ContainmentPlanner, new_token
from forensics.containment.quarantine_groups import ACCESS, CaseGroups, altered_groups, missing_endpoints
from forensics.containment.read_back import ReadBack
from forensics.containment.watch_list import watch
from forensics.errors import AwsError, ContainmentError, HeldElsewhereError, ResourceGoneError
from forensics.models.approval import ApprovalSubject
from forensics.models.case import CaseStatus
from forensics.models.containment import (
    ContainmentPlan,
    ContainmentResult,
    ContainmentState,
    ContainmentStep,
    ReleaseResult,
    RestorePoint,
)
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.plan import Decision, ResponsePlan
from forensics.models.target_facts import LIVE_STATES, InstanceFacts, OwnGroup
from forensics.settings import Settings

LEASE = "ISOLATING"
LEASE_SECONDS = 180


class TargetIsolation:
    """Isolation of one case's target. Every method may be called again after a kill at any point.

    ``restoring``: what others opened on the contained target is closed again, under the approval by which it was contained.
    """

    def __init__(
        self,
        recorder: CaseRecorder,
        gateway: ContainmentGateway,
        settings: Settings,
        *,
        response: ResponsePlan,
        restoring: bool = False,
    ) -> None:
        self._restoring = restoring
        self._yields = True  # to another deployment that has begun in the same moment: once
        self._recorder = recorder
        self._gateway = gateway
        self._settings = settings
        self._planner = ContainmentPlanner(recorder, gateway, settings, response=response)
        self._read_back = ReadBack(gateway, self._planner)
        self._approvals = Approvals(recorder, ApprovalSubject.CONTAINMENT)

    def isolate(self) -> ContainmentResult:
        """Carry out what is still open, read everything back and record the result, complete or not.

        The network comes first: IAM is asked and the restore point sealed when it has been closed, or beside it where the
        playbook wants the credentials first. Neither can keep the target open.
        """
        try:
            recorded, restore = self._planner.prepare()
        except HeldElsewhereError as error:
            return self._held(error.message)
        plan, altered = self._with_untouched_groups(recorded, restore)
        facts = self._read(plan, restore, undisturbed=True)
        if facts is None or has_ended(facts):
            return self._gone(facts)
        if held := holder(facts, self._settings):
            return self._held(f"{held} has contained {facts.instance_id}", facts=facts)
        network = self._planner.remaining(facts, restore=restore, token=plan.token).network
        if reason := self._not_approved(recorded, network):
            return self._withheld(reason)
        if altered:
            self._recorder.put(case_keys.CONTAINMENT_PLAN, plan)
        with self._lease():
            asked = bool(recorded.approval or network.approval)
            runner = PlanRunner(self._gateway, network, facts=facts, yields_to=lambda: self._begun_meanwhile(facts))
            steps, restore = self._carry_out(plan, runner, facts=facts, restore=restore, asked=asked)
            if altered:
                announce_altered_groups(self._recorder, altered, token=plan.token)
            if runner.yielded:
                note(self._recorder, f"not isolated from here yet: {runner.yielded}")
                self._yields = False
                return self.isolate()
            try:
                result = self._read_back.result(plan, restore, steps=self._with_earlier(steps))
            except ResourceGoneError:
                return self._gone(self._read(plan, restore))
            self._recorder.put(case_keys.CONTAINMENT, result)
            watch(self._recorder.gateways.store, self._recorder.case_id, result)
            result = self._sealed(result)
            if asked and result.outcome is Outcome.DONE:
                self._approvals.spend()
        self._log(result)
        return result

    def _not_approved(self, recorded: ContainmentPlan, network: ContainmentPlan) -> Withheld | None:
        """Why the plan may not be carried out now; when it may, its approval is in use, and no release's counts any more."""
        recorder, approval = self._recorder, self._approvals.current()
        if self._restoring:
            still = recorder.case.status is CaseStatus.OPEN
            reason = why_not_restored(recorded, remaining=network, approval=approval, case_open=still)
            return Withheld(Outcome.PENDING, reason) if reason else None
        run_id = recorder.run.run_id
        if why := withheld(recorded, remaining=network, approval=approval, run_id=run_id, now=datetime.now(UTC)):
            return why
        done = approval is not None and finished(approval, remaining=network, run_id=run_id)
        if (recorded.approval or network.approval) and not done and (why_not := self._approvals.use(recorded.digest)):
            return Withheld(Outcome.PENDING, f"{why_not}: isolation waits for another approval")
        if network.steps:
            Approvals(recorder, ApprovalSubject.RELEASE).withdraw("the target was contained again")
        return None

    def _carry_out(
        self,
        plan: ContainmentPlan,
        runner: PlanRunner,
        *,
        facts: InstanceFacts,
        restore: RestorePoint,
        asked: bool,
    ) -> tuple[list[ContainmentStep], RestorePoint]:
        """Close the network and end the credentials; neither waits for the other where credentials come first."""
        credentials = CredentialEnd(self._gateway, self._planner, plan=plan, restore=restore, only_planned=asked)
        run = runner.run
        if not self._planner.policy.credentials_first:
            steps = run()
            if runner.yielded:
                return steps, restore
            return [*steps, *credentials.run(facts)], credentials.restore
        with ThreadPoolExecutor(max_workers=1) as pool:
            beside = pool.submit(credentials.run, facts)
            steps = run()
            return [*beside.result(), *steps], credentials.restore

    def _sealed(self, result: ContainmentResult) -> ContainmentResult:
        """The result with what became of the restore point's seal: without it the outcome is PARTIAL."""
        why = self._planner.try_to_seal()
        seal_waits(self._recorder, "restore point", why)
        if why is None:
            return result
        changes = {"unsealed": why, "outcome": Outcome.PARTIAL, "reason": "; ".join(filter(None, (result.reason, why)))}
        result = result.model_copy(update=changes)
        self._recorder.put(case_keys.CONTAINMENT, result)
        return result

    def restrict_to_endpoints(self) -> list[str]:
        """Contain first: move the target into a group that reaches only the VPC endpoints of SSM and S3.

        Returns what could not be done. A target that is isolated already stays so.
        """
        plan, restore = self._planner.prepare()
        facts = self._planner.undisturbed(token=plan.token, original=restore.facts)
        if missing := missing_endpoints(facts):
            return [f"there is no VPC endpoint for {', '.join(missing)}: acquisition goes first"]
        groups = CaseGroups(plan.case_id, plan.token)
        if held := holder(facts, self._settings):
            return [f"{held} has contained it already: nothing of that is opened"]
        if facts.state not in LIVE_STATES or _is_quarantined(facts, groups):
            return []
        steps = network_steps(
            facts,
            original=restore.facts or facts,
            groups=groups,
            break_flows=self._planner.policy.break_flows,
            idle_seconds=0,
            final=ACCESS,
        )
        access = self._planner.assemble(facts, steps=list(steps), token=plan.token)
        runner = PlanRunner(self._gateway, access, facts=facts, yields_to=lambda: self._planner.begun_meanwhile(facts))
        done = runner.run()
        return [f"{s.name} on {s.target}: {s.detail}" for s in done if not s.done]

    def _begun_meanwhile(self, facts: InstanceFacts) -> str:
        """Who has begun to contain the target since it was read. Asked once: whoever only looks so keeps it open for no second time."""
        return self._planner.begun_meanwhile(facts) if self._yields else ""

    def _read(self, plan: ContainmentPlan, restore: RestorePoint, *, undisturbed: bool = False) -> InstanceFacts | None:
        """The target as it is now, or when no other deployment is just moving it; None when EC2 no longer knows it."""
        read = self._planner.undisturbed if undisturbed else self._planner.read
        try:
            return read(token=plan.token, original=restore.facts)
        except ResourceGoneError:
            return None

    def _with_untouched_groups(
        self, plan: ContainmentPlan, restore: RestorePoint
    ) -> tuple[ContainmentPlan, list[OwnGroup]]:
        """The plan, with a new token when somebody gave rules to its quarantine groups, and those groups.

        New groups are made for a new token; it is recorded only when the plan may be carried out.
        """
        found = self._gateway.facts.facts.own_groups(case_id=plan.case_id, token=plan.token)
        if restore.facts is None or not found:
            return plan, []
        facts = restore.facts.model_copy(update={"own_groups": found})
        altered = altered_groups(facts, groups=CaseGroups(plan.case_id, plan.token))
        return (plan.model_copy(update={"token": new_token()}), altered) if altered else (plan, [])

    @contextmanager
    def _lease(self) -> Iterator[None]:
        """Two tasks of a case may want to isolate at the same moment: one waits until the other has finished."""
        case_id, store = self._recorder.case_id, self._recorder.gateways.store
        holder = f"{case_keys.ISOLATING}{self._recorder.step}"
        end = time.monotonic() + LEASE_SECONDS
        while not store.lease(case_id, LEASE, holder=holder, seconds=LEASE_SECONDS):
            if time.monotonic() > end:
                msg = f"another task of case {case_id} has been isolating for {LEASE_SECONDS} s"
                raise ContainmentError(msg, next_action="look at the other containment task; this one tries again")
            time.sleep(1)
        try:
            yield
        finally:
            store.release_lease(case_id, LEASE, holder=holder)

    def _with_earlier(self, steps: list[ContainmentStep]) -> tuple[ContainmentStep, ...]:
        """Steps that earlier tries carried out and this one did not repeat, then this one's."""
        before = self._recorder.get(case_keys.CONTAINMENT, ContainmentResult)
        names = {s.name for s in steps}
        kept = [s for s in (before.steps if before else ()) if s.done and s.name not in names]
        return (*kept, *steps)

    def _log(self, result: ContainmentResult) -> None:
        self._recorder.custody(
            CustodyAction.TARGET_CONTAINED,
            detail={
                "state": result.state.value,
                "outcome": result.outcome.value,
                "groups": dict(result.groups),
                "steps": sorted((s.model_dump(mode="json") for s in result.steps), key=lambda step: str(step["name"])),
                "reason": result.reason or "",
                **self._approved_by(),
            },
        )

    def _approved_by(self) -> dict[str, JsonValue]:
        """For the ledger: whose approval a restoration rests on."""
        approval = self._approvals.current() if self._restoring else None
        return {"restored_under": f"{approval.digest}, {approval.reason}"} if approval and approval.granted else {}

    def _gone(self, facts: InstanceFacts | None) -> ContainmentResult:
        """The instance ended between triage and isolation: nothing is left to contain, and the case says so."""
        state = facts.state if facts else "gone"
        result = ContainmentResult(
            outcome=Outcome.NOT_APPLICABLE,
            state=ContainmentState.NOT_CONTAINED,
            reason=f"the instance is {state}: it ended before it could be isolated",
        )
        self._recorder.put(case_keys.CONTAINMENT, result)
        announce_gone(self._recorder, result, state=state)
        return result

    def _held(self, reason: str, *, facts: InstanceFacts | None = None) -> ContainmentResult:
        """Another deployment has closed it: nothing is changed, people are told, and the watchdog looks whether it stays so.

        Groups that an earlier try of this case made go: no interface is in them any more.
        """
        for group in facts.own_groups if facts else ():
            try:
                self._gateway.perform(delete_group(group.id), ids={group.id: group.id})
            except (AwsError, ContainmentError) as error:
                note(self._recorder, f"the group {group.name} was not removed: {error}"[:500])
        result = self._withheld(Withheld(Outcome.SKIPPED, reason)).model_copy(update={"held_elsewhere": True})
        self._recorder.put(case_keys.CONTAINMENT, result)
        watch(self._recorder.gateways.store, self._recorder.case_id, result)
        announce_held(self._recorder, reason)
        return result

    def _withheld(self, why: Withheld) -> ContainmentResult:
        """Nothing is changed; what an earlier try closed stays on record as closed."""
        before = self._recorder.get(case_keys.CONTAINMENT, ContainmentResult)
        release = self._recorder.get(case_keys.RELEASE, ReleaseResult)
        if before is not None and before.network_closed and not (release and release.undoes(before)):
            reason = f"network closed; what is left is withheld: {why.reason}"
            result = before.model_copy(update={"outcome": Outcome.PARTIAL, "reason": reason})
        else:
            result = ContainmentResult(outcome=why.outcome, state=ContainmentState.NOT_CONTAINED, reason=why.reason)
        self._recorder.put(case_keys.CONTAINMENT, result)
        note(self._recorder, f"not isolated: {why.reason}")
        return result


def _is_quarantined(facts: InstanceFacts, groups: CaseGroups) -> bool:
    quarantine = groups.quarantine_by_vpc(facts)
    return all(i.group_ids == (quarantine.get(i.vpc_id),) for i in facts.interfaces)


def record_not_isolated(recorder: CaseRecorder, decision: Decision) -> str:
    """Record that the response plan does not isolate, or cannot; returns why."""
    reason = "; ".join(decision.reasons)
    outcome = Outcome.NOT_APPLICABLE if decision.wanted else Outcome.SKIPPED
    result = ContainmentResult(outcome=outcome, state=ContainmentState.NOT_CONTAINED, reason=reason)
    recorder.put_once(case_keys.CONTAINMENT, result)
    note(recorder, f"not isolated: {reason}")
    return reason


def record_failure(recorder: CaseRecorder, cause: str) -> None:
    """Record that containment failed for good, unless it is known to be complete."""
    known = recorder.get(case_keys.CONTAINMENT, ContainmentResult)
    if known is not None and known.outcome is Outcome.DONE:
        return
    result = known or ContainmentResult(outcome=Outcome.FAILED, state=ContainmentState.FAILED)
    outcome = Outcome.PARTIAL if result.steps else Outcome.FAILED
    recorder.put(case_keys.CONTAINMENT, result.model_copy(update={"reason": cause[:1500], "outcome": outcome}))
