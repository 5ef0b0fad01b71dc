"""What the containment steps share: restore point and plan before, the change itself, and the read-back after."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.containment_state import assess, ended, unreadable
from forensics.containment.plan import ContainmentPolicy, assemble, beyond, make_plan
from forensics.containment.plan_runner import PlanRunner
from forensics.containment.quarantine_groups import QUARANTINE, Groups, access_missing, altered, network_steps
from forensics.custody.chain import canonical
from forensics.errors import AwsError, ContainmentError, ResourceGoneError
from forensics.models.base import Model
from forensics.models.case import TimelineKind
from forensics.models.containment import (
    Approval,
    ContainmentPlan,
    ContainmentResult,
    ContainmentState,
    ContainmentStep,
    InterfaceRestorePoint,
    RestorePoint,
)
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.plan import ResponsePlan
from forensics.models.target_facts import InstanceFacts
from forensics.naming import case_prefix
from forensics.settings import Settings


class _Seal(Model):
    """That the restore point is under Object Lock and its digest in the signed ledger."""

    uri: str


LEASE_SECONDS = 180
SETTLE_LOOKS = 4
SETTLE_SECONDS = 1.0


class Containment:
    """Containment of one case's target. Every method may be called again after a kill at any point."""

    def __init__(
        self,
        recorder: CaseRecorder,
        open_gateway: Callable[[], ContainmentGateway],
        settings: Settings,
        *,
        response: ResponsePlan,
    ) -> None:
        self.recorder = recorder
        self._open_gateway = open_gateway
        self.settings = settings
        self.response = response

    @cached_property
    def gateway(self) -> ContainmentGateway:
        """The target's account under the ``contain`` role; assumed when it is first asked."""
        return self._open_gateway()

    @property
    def policy(self) -> ContainmentPolicy:
        """What settings and response plan want; the response plan's order and approval are optional there."""
        settings = self.settings
        approval = getattr(self.response, "approval", None)
        reasons = tuple(getattr(approval, "reasons", ())) or ("the response plan asks for it",)
        measures = tuple(str(m) for m in getattr(self.response, "containment", ()))
        return ContainmentPolicy(
            credentials_first="credentials_first" in measures,
            asks=measures,
            contain_first=str(getattr(self.response, "order", "")) == "contain_first",
            break_flows=settings.break_tracked_flows,
            idle_seconds=settings.idle_flow_seconds,
            deny_profile=settings.containment_profile,
            revoke_role=settings.revoke_role_sessions,
            approval=reasons if getattr(approval, "required", False) else (),
        )

    # ------------------------------------------------------------------ before
    def prepare(self) -> tuple[ContainmentPlan, RestorePoint]:
        """Restore point and plan, both written once, before any change. A retry gets the ones that are there."""
        plan = self.plan()
        restore = self.restore_point()
        if plan and restore:
            self._seal(restore)
            return plan, restore
        token = secrets.token_hex(6)
        facts = self.read(token=token, original=restore.facts if restore else None)
        if restore is None:
            restore = self._take_restore_point(facts)
        self._seal(restore)
        plan = self.plan_from(facts, restore=restore, token=token)
        if self.recorder.put_once(case_keys.CONTAINMENT_PLAN, plan):
            self.recorder.note(
                f"containment planned: {len(plan.steps)} changes (plan {plan.digest[:12]})",
                kind=TimelineKind.CONTAINMENT,
            )
        return self.plan() or plan, restore

    def plan(self) -> ContainmentPlan | None:
        """The plan that was shown."""
        return self.recorder.get(case_keys.CONTAINMENT_PLAN, ContainmentPlan)

    def restore_point(self) -> RestorePoint | None:
        """What the target looked like before."""
        return self.recorder.get(case_keys.RESTORE_POINT, RestorePoint)

    def read(self, *, token: str, original: InstanceFacts | None) -> InstanceFacts:
        """The target as it is now."""
        return self.gateway.facts.read(
            self.recorder.case.instance_id,
            case_id=self.recorder.case_id,
            token=token,
            deny_profile=self.policy.deny_profile,
            original=original,
            endpoints=self.policy.contain_first,
        )

    def plan_from(self, facts: InstanceFacts, *, restore: RestorePoint, token: str) -> ContainmentPlan:
        """What is still to be done from here."""
        return make_plan(
            facts,
            original=restore.facts or facts,
            case_id=self.recorder.case_id,
            token=token,
            policy=self.policy,
            now=datetime.now(UTC),
        )

    def _take_restore_point(self, facts: InstanceFacts) -> RestorePoint:
        recorder = self.recorder
        point = RestorePoint(
            restore_id="original",
            instance_id=facts.instance_id,
            interfaces=tuple(InterfaceRestorePoint(interface_id=i.id, group_ids=i.group_ids) for i in facts.interfaces),
            termination_protected=facts.termination_protected,
            stop_protected=facts.stop_protected,
            facts=facts,
            taken_at=datetime.now(UTC),
        )
        if not recorder.put_once(case_keys.RESTORE_POINT, point):
            point = self.restore_point() or point
        return point

    def _seal(self, point: RestorePoint) -> None:
        """Put it under Object Lock and its digest into the signed ledger.

        Once, also when an earlier try was killed before it got here; always before the first change.
        """
        recorder = self.recorder
        if recorder.get(case_keys.RESTORE_SEAL, _Seal) is not None:
            return
        body = canonical(point.model_dump(mode="json"))
        name = f"{case_prefix(recorder.case_id)}custody/restore-point-{point.taken_at:%Y%m%dT%H%M%S.%fZ}.json"
        stored = recorder.gateways.evidence.put(name, body, content_type="application/json")
        recorder.custody(
            CustodyAction.RESTORE_POINT_TAKEN,
            detail={"sha256": restore_digest(point), "uri": stored.uri, "object_sha256": stored.sha256},
            once="restore-point",
        )
        recorder.sign_ledger("restore-point")
        recorder.put_once(case_keys.RESTORE_SEAL, _Seal(uri=stored.uri))
        recorder.note("restore point written and signed before the first change", kind=TimelineKind.CONTAINMENT)

    # ------------------------------------------------------------------ approval
    def approval(self) -> Approval | None:
        """The answer to the plan, if there is one."""
        return self.recorder.get(case_keys.APPROVAL, Approval)

    def permitted(self, plan: ContainmentPlan, *, open_steps: ContainmentPlan) -> str | None:
        """None when the steps may be carried out; otherwise why not (yet)."""
        if not plan.approval and not open_steps.approval:
            return None
        answer = self.approval()
        if answer is None:
            return "PENDING"
        if not answer.granted:
            return f"not approved: {answer.reason}"
        if answer.digest != plan.digest:
            return f"the plan changed after approval (approved {answer.digest[:12]}, now {plan.digest[:12]}): refused"
        more = beyond(open_steps, approved=plan)
        return f"the plan changed after approval, these steps are new: {', '.join(more[:5])}: refused" if more else None

    # ------------------------------------------------------------------ the change
    def contain(self) -> ContainmentResult:
        """Carry out what is still open, read everything back, record the result. Raises when it is not complete."""
        plan, restore = self.prepare()
        with_token = self._fresh_token(plan, restore)
        facts = self._read_current(with_token, restore)
        if facts is None or ended(facts):
            return self._gone(facts)
        todo = self.plan_from(facts, restore=restore, token=with_token.token)
        refusal = self.permitted(plan, open_steps=todo)
        if refusal:
            return self._withheld(refusal)
        self._lease()
        try:
            steps = PlanRunner(self.gateway, todo, facts=facts).run()
            result = self._read_back(with_token, restore, steps=self._earlier(steps))
            if result is None:
                return self._gone(self._read_current(with_token, restore))
            self.recorder.put(case_keys.CONTAINMENT, result)
        finally:
            self.recorder.gateways.store.release_lease(self.recorder.case_id, "ISOLATING")
        self._log(result)
        return result

    def _earlier(self, steps: list[ContainmentStep]) -> tuple[ContainmentStep, ...]:
        """Steps of earlier tries that this one did not repeat, then this one's."""
        before = self.recorder.get(case_keys.CONTAINMENT, ContainmentResult)
        names = {s.name for s in steps}
        kept = [s for s in (before.steps if before else ()) if s.done and s.name not in names]
        return (*kept, *steps)

    def _read_current(self, plan: ContainmentPlan, restore: RestorePoint) -> InstanceFacts | None:
        try:
            return self.read(token=plan.token, original=restore.facts)
        except ResourceGoneError:
            return None

    def _fresh_token(self, plan: ContainmentPlan, restore: RestorePoint) -> ContainmentPlan:
        """A quarantine group that somebody gave rules is left alone; groups with a new name are made instead (R42)."""
        groups = self.gateway.facts.facts.own_groups(case_id=self.recorder.case_id, token=plan.token)
        if restore.facts is None or not groups:
            return plan
        bad = altered(restore.facts.model_copy(update={"own_groups": groups}), groups=Groups(plan.case_id, plan.token))
        if not bad:
            return plan
        names = ", ".join(f"{g.id} ({g.name})" for g in bad)
        self.recorder.note(
            f"ALERT: somebody changed the quarantine group {names}; it is not used again", kind=TimelineKind.CONTAINMENT
        )
        self.recorder.announce(
            f"group_altered:{plan.token}",
            "ALERT: the quarantine group was changed by somebody else",
            lines=[f"Group {names} got rules that this product did not give it; a new group is made."],
        )
        fresh = plan.model_copy(update={"token": secrets.token_hex(6)})
        self.recorder.put(case_keys.CONTAINMENT_PLAN, fresh)
        return fresh

    def _lease(self) -> None:
        """Two tasks of a case may want to isolate at the same moment: one waits until the other's turn is over."""
        key, store = f"{case_keys.ISOLATING}{self.recorder.step}", self.recorder.gateways.store
        end = time.monotonic() + LEASE_SECONDS
        while not store.lease(self.recorder.case_id, "ISOLATING", holder=key, seconds=LEASE_SECONDS):
            if time.monotonic() > end:
                msg = f"another task of case {self.recorder.case_id} has been isolating for {LEASE_SECONDS} s"
                raise ContainmentError(msg, next_action="look at the other containment task; this one tries again")
            time.sleep(1)

    # ------------------------------------------------------------------ after
    def _read_back(
        self, plan: ContainmentPlan, restore: RestorePoint, *, steps: tuple[ContainmentStep, ...]
    ) -> ContainmentResult | None:
        """State from what AWS says now; whatever a plan made from that would still do is what is open.

        None when the instance ended meanwhile.
        """
        state, problems, facts, groups = ContainmentState.FAILED, ["the target could not be read back"], None, {}
        for look in range(SETTLE_LOOKS):
            try:
                facts = self.read(token=plan.token, original=restore.facts)
                if ended(facts):
                    return None
                groups = self._quarantine(facts, plan)
                rules = {g: self.gateway.facts.facts.rule_count(g) for g in groups.values()}
            except ResourceGoneError:
                return None
            except AwsError as error:
                problems = [f"the target could not be read back: {error}"]
                continue
            state, problems = assess(facts, groups=groups, rules=rules)
            left = self.plan_from(facts, restore=restore, token=plan.token).steps
            problems += [f"{s.id} is open ({s.call})" for s in left if not s.id.startswith("isolate.close.")]
            if not left and not problems:
                break
            if any(not s.done for s in steps) or look == SETTLE_LOOKS - 1:
                break
            time.sleep(SETTLE_SECONDS)
        if facts:
            problems += unreadable(facts)
        return self._result(plan, state=state, problems=problems, groups=groups, steps=steps)

    def _quarantine(self, facts: InstanceFacts, plan: ContainmentPlan) -> dict[str, str]:
        groups = Groups(plan.case_id, plan.token)
        found = {v: groups.find(facts, purpose=QUARANTINE, vpc_id=v) for v in {i.vpc_id for i in facts.interfaces}}
        return {vpc_id: group.id for vpc_id, group in sorted(found.items()) if group}

    def _result(
        self,
        plan: ContainmentPlan,
        *,
        state: ContainmentState,
        problems: list[str],
        groups: dict[str, str],
        steps: tuple[ContainmentStep, ...],
    ) -> ContainmentResult:
        failed = [f"{s.name} on {s.target}: {s.detail}" for s in steps if not s.done]
        complete = not problems
        return ContainmentResult(
            outcome=Outcome.DONE if complete else Outcome.PARTIAL,
            state=state,
            reason=None if complete else "; ".join(dict.fromkeys([*problems, *failed]))[:1500],
            group_id=next(iter(groups.values()), None),
            groups=groups,
            steps=steps,
            residuals=plan.residuals,
            hardening_options=plan.hardening_options if state is ContainmentState.NEW_FLOWS_BLOCKED else (),
            manual_steps=plan.manual_steps,
            plan_digest=plan.digest,
            contained_at=datetime.now(UTC) if state in _CLOSED else None,
        )

    def _log(self, result: ContainmentResult) -> None:
        self.recorder.custody(
            CustodyAction.TARGET_CONTAINED,
            detail={
                "state": result.state.value,
                "outcome": result.outcome.value,
                "groups": dict(result.groups),
                "steps": [s.model_dump(mode="json") for s in result.steps],
                "reason": result.reason or "",
            },
        )

    def _gone(self, facts: InstanceFacts | None) -> ContainmentResult:
        """The instance went away between triage and isolation: nothing is left to contain, and that is said."""
        state = facts.state if facts else "gone"
        result = ContainmentResult(
            outcome=Outcome.NOT_APPLICABLE,
            state=ContainmentState.NOT_CONTAINED,
            reason=f"the instance is {state}: it ended before it could be isolated",
        )
        self.recorder.put(case_keys.CONTAINMENT, result)
        self.recorder.note(f"not isolated: {result.reason}", kind=TimelineKind.CONTAINMENT)
        self.recorder.announce(
            "target_gone", f"The target is {state}: it ended before isolation", lines=[str(result.reason)]
        )
        return result

    def _withheld(self, reason: str) -> ContainmentResult:
        pending = reason == "PENDING"
        said = "isolation waits for a person's approval" if pending else reason
        result = ContainmentResult(
            outcome=Outcome.PENDING if pending else Outcome.SKIPPED, state=ContainmentState.NOT_CONTAINED, reason=said
        )
        self.recorder.put(case_keys.CONTAINMENT, result)
        self.recorder.note(f"not isolated: {said}", kind=TimelineKind.CONTAINMENT)
        return result

    # ------------------------------------------------------------------ contain first
    def contain_access(self) -> list[str]:
        """Contain-first: into a group that reaches only the VPC endpoints of SSM and S3; returns what is open (R43)."""
        plan, restore = self.prepare()
        facts = self.read(token=plan.token, original=restore.facts)
        missing = access_missing(facts)
        if missing:
            return [f"there is no VPC endpoint for {', '.join(missing)}: acquisition goes first"]
        if facts.state != "running" or self._is_quarantined(facts, plan):
            return []
        steps = network_steps(
            facts,
            original=restore.facts or facts,
            groups=Groups(plan.case_id, plan.token),
            break_flows=self.policy.break_flows,
            idle_seconds=0,
            final="access",
        )
        access = assemble(
            facts, steps=list(steps), case_id=plan.case_id, token=plan.token, policy=self.policy, now=datetime.now(UTC)
        )
        done = PlanRunner(self.gateway, access, facts=facts).run()
        return [f"{s.name} on {s.target}: {s.detail}" for s in done if not s.done]

    def _is_quarantined(self, facts: InstanceFacts, plan: ContainmentPlan) -> bool:
        groups = self._quarantine(facts, plan)
        return all(i.group_ids == (groups.get(i.vpc_id),) for i in facts.interfaces)


_CLOSED = frozenset({ContainmentState.NEW_FLOWS_BLOCKED, ContainmentState.ALL_FLOWS_VERIFIED})


def restore_digest(point: RestorePoint) -> str:
    """SHA-256 of a restore point's canonical JSON: what the ledger holds and release checks."""
    return hashlib.sha256(canonical(point.model_dump(mode="json"))).hexdigest()


def open_items(result: ContainmentResult) -> list[str]:
    """Steps that did not succeed, for messages."""
    return [f"{s.name} on {s.target}: {s.detail}" for s in result.steps if not s.done]
