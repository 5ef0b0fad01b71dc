"""Makes the containment plan of a case: reads the target, takes the restore point, records the plan once."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.containment.announcements import note
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.plan import assemble_plan, make_plan
from forensics.containment.policy import ContainmentPolicy
from forensics.containment.restore_points import RestorePoints
from forensics.models.containment import ContainmentPlan, PlanStep, RestorePoint
from forensics.models.plan import ResponsePlan
from forensics.models.target_facts import InstanceFacts
from forensics.settings import Settings


class ContainmentPlanner:
    """The plan of one case's containment. Every method may be called again after a kill at any point."""

    def __init__(
        self, recorder: CaseRecorder, gateway: ContainmentGateway, settings: Settings, *, response: ResponsePlan
    ) -> None:
        self._recorder = recorder
        self._gateway = gateway
        self._restore_points = RestorePoints(recorder)
        self.policy = ContainmentPolicy.of(settings, response)

    def prepare(self) -> tuple[ContainmentPlan, RestorePoint]:
        """Plan and restore point, each written once, before any change. A retry gets the ones that exist."""
        plan, restore = recorded_plan(self._recorder), self._restore_points.get()
        if plan and restore:
            self._restore_points.seal(restore)
            return plan, restore
        token = new_token()
        facts = self.read(token=token, original=restore.facts if restore else None)
        if restore is None:
            restore = self._restore_points.take(facts)
        self._restore_points.seal(restore)
        plan = self.remaining(facts, restore=restore, token=token)
        if self._recorder.put_once(case_keys.CONTAINMENT_PLAN, plan):
            note(self._recorder, f"containment planned: {len(plan.steps)} changes (plan {plan.digest[:12]})")
        return recorded_plan(self._recorder) or plan, restore

    def read(self, *, token: str, original: InstanceFacts | None) -> InstanceFacts:
        """The target as it is now."""
        return self._gateway.facts.read(
            self._recorder.case.instance_id,
            case_id=self._recorder.case_id,
            token=token,
            deny_profile=self.policy.deny_profile,
            original=original,
            endpoints=self.policy.contain_first,
        )

    def remaining(self, facts: InstanceFacts, *, restore: RestorePoint, token: str) -> ContainmentPlan:
        """What is still to be done on the target as it is."""
        return make_plan(
            facts,
            original=restore.facts or facts,
            case_id=self._recorder.case_id,
            token=token,
            policy=self.policy,
            now=datetime.now(UTC),
        )

    def assemble(self, facts: InstanceFacts, *, steps: list[PlanStep], token: str) -> ContainmentPlan:
        """A plan of these steps alone."""
        return assemble_plan(
            facts,
            steps=steps,
            case_id=self._recorder.case_id,
            token=token,
            policy=self.policy,
            now=datetime.now(UTC),
        )


def recorded_plan(recorder: CaseRecorder) -> ContainmentPlan | None:
    """The plan that was recorded, and shown where a person had to approve it."""
    return recorder.get(case_keys.CONTAINMENT_PLAN, ContainmentPlan)


def new_token() -> str:
    """The part of the names of a case's groups that nobody can guess."""
    return secrets.token_hex(6)
