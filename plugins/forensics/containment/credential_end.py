"""Ends the target's credentials under its plan: asks IAM first, and does what needs no IAM when that does not answer."""

from __future__ import annotations

from collections.abc import Iterator

from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.plan import unapproved_steps
from forensics.containment.plan_runner import PlanRunner
from forensics.containment.planner import ContainmentPlanner
from forensics.models.containment import ContainmentPlan, ContainmentStep, PlanStep, RestorePoint
from forensics.models.target_facts import InstanceFacts

REVOKE, PROFILE = "credentials.revoke", "credentials.profile"
NOT_APPROVED = (
    "not done: the plan that was approved does not have this step; clear containment.plan_containment, which asks"
)


class CredentialEnd:
    """The credentials' part of one try. ``plan`` is the recorded one; ``restore`` is completed by what IAM says.

    ``only_planned``: a person approved the plan, so that steps which it does not have are left out and said to be open.
    """

    def __init__(
        self,
        gateway: ContainmentGateway,
        planner: ContainmentPlanner,
        *,
        plan: ContainmentPlan,
        restore: RestorePoint,
        only_planned: bool,
    ) -> None:
        self._gateway = gateway
        self._planner = planner
        self._plan = plan
        self.restore = restore
        self._only_planned = only_planned

    def run(self, facts: InstanceFacts) -> list[ContainmentStep]:
        """Ask IAM and carry out what is left; ``facts`` is the target as EC2 knows it. Returns how each step ended."""
        known, self.restore = self._planner.identity(facts, self.restore)
        known = self._as_planned(known)
        left = self._planner.remaining(known, restore=self.restore, token=self._plan.token).credentials
        withheld = set(self._withheld(left))
        steps = tuple(s for s in left.steps if s.id not in withheld)
        done = PlanRunner(self._gateway, left.with_steps(steps), facts=known).run()
        return [*done, *(_not_done(s) for s in left.steps if s.id in withheld)]

    def _as_planned(self, facts: InstanceFacts) -> InstanceFacts:
        """The target; whether the profile is replaced or taken off stays as the plan says, whatever IAM says now."""
        planned = next((s for s in self._plan.steps if s.id == PROFILE), None)
        if planned is None:
            return facts
        replaced = planned.call.operation == "replace_iam_instance_profile_association"
        return facts.model_copy(update={"deny_profile_exists": replaced})

    def _withheld(self, left: ContainmentPlan) -> Iterator[str]:
        if self._only_planned:
            yield from (s.id for s in left.steps if unapproved_steps(left.with_steps((s,)), approved=self._plan))
        elif left.approval:
            # nobody was asked, because IAM had not said who else uses the role: only the revocation concerns them
            yield REVOKE


def _not_done(step: PlanStep) -> ContainmentStep:
    return ContainmentStep(name=step.id, target=step.target, done=False, detail=NOT_APPROVED)
