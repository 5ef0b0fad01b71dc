"""Makes the containment plan of a case: reads the target, takes the restore point, records the plan once.

The network's side comes first and needs EC2 and the case store alone. IAM completes the plan afterwards; until it has answered,
steps that need a role's name carry a placeholder for it.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.containment.announcements import announce_imitation, note
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.calls import waits_for_role
from forensics.containment.other_deployments import entered, holder, imitation
from forensics.containment.plan import assemble_plan, make_plan, unapproved_steps
from forensics.containment.policy import ContainmentPolicy
from forensics.containment.restore_points import RestorePoints
from forensics.errors import AwsError, HeldElsewhereError
from forensics.models.approval import Approval
from forensics.models.containment import ContainmentPlan, ContainmentResult, PlanStep, RestorePoint
from forensics.models.plan import ResponsePlan
from forensics.models.target_facts import InstanceFacts, ProfileFacts
from forensics.printable import count
from forensics.settings import Settings, names

# Another deployment's containment is waited for so long, in seconds: 30 in all. The target is open meanwhile, unless that one closes it.
OTHERS_PAUSES = (1.0, 1.0, 2.0, 4.0, 4.0, 6.0, 6.0, 6.0)


class ContainmentPlanner:
    """The plan of one case's containment. Every method may be called again after a kill at any point."""

    def __init__(
        self, recorder: CaseRecorder, gateway: ContainmentGateway, settings: Settings, *, response: ResponsePlan
    ) -> None:
        self._recorder = recorder
        self._gateway = gateway
        self._settings = settings
        self._restore_points = RestorePoints(recorder)
        self.policy = ContainmentPolicy.of(settings, response)

    def prepare(self) -> tuple[ContainmentPlan, RestorePoint]:
        """Plan and restore point, each written once, before any change. A retry gets the ones that exist.

        Nothing that is not the network's is asked: no IAM, no seal. Raises :class:`HeldElsewhereError` when another deployment has
        contained the target.
        """
        plan, restore = recorded_plan(self._recorder), self._restore_points.get()
        if plan and restore:
            return plan, restore
        token = new_token()
        facts = self.undisturbed(token=token, original=restore.facts if restore else None)
        if held := holder(facts, self._settings):
            # as a restore point its groups would be the other deployment's
            raise HeldElsewhereError(f"{held} has contained {facts.instance_id}")
        if held := imitation(facts, self._settings):
            announce_imitation(self._recorder, held)
        if restore is None:
            restore = self._restore_points.take(facts)
        plan = self.remaining(facts, restore=restore, token=token)
        if self._recorder.put_once(case_keys.CONTAINMENT_PLAN, plan):
            note(self._recorder, f"containment planned: {count(len(plan.steps), 'change')} (plan {plan.digest[:12]})")
        return recorded_plan(self._recorder) or plan, restore

    def complete(self, plan: ContainmentPlan, restore: RestorePoint) -> ContainmentPlan:
        """Ask IAM what the plan does not know yet and record the plan with it, before anybody is asked to approve it.

        A plan that somebody has answered to stays as it is. What IAM does not say is noted, and the plan says what that
        leaves open.
        """
        approval = self._recorder.get(case_keys.APPROVAL, Approval)
        answered = approval is not None and not approval.open
        result = self._recorder.get(case_keys.CONTAINMENT, ContainmentResult)
        ended = result is not None and result.network_closed and not result.credentials_open
        if answered or ended or not _waits_for_iam(plan, restore):
            return plan
        facts, restore = self.identity(self.read(token=plan.token, original=restore.facts), restore)
        if facts.iam_unknown:
            note(self._recorder, f"the plan does without IAM: {'; '.join(facts.iam_unknown)[:800]}")
        known = self.remaining(facts, restore=restore, token=plan.token)
        completed = self.assemble(facts, steps=[*plan.network.steps, *known.credentials.steps], token=plan.token)
        self._recorder.put(case_keys.CONTAINMENT_PLAN, completed)
        return completed

    def renewed(self, plan: ContainmentPlan) -> tuple[ContainmentPlan, ContainmentPlan]:
        """The plan for the target as it is, and what of its network side is still to be done; nothing is changed.

        When the target needs steps that the plan does not have, the plan is recorded with them: it has another digest then,
        and no approval that was given before. Raises :class:`ResourceGoneError` when EC2 no longer knows the target.
        """
        restore = self._restore_points.get()
        facts = self.undisturbed(token=plan.token, original=restore.facts if restore else None)
        if restore is None:
            restore = self._restore_points.take(facts)
        remaining = self.remaining(facts, restore=restore, token=plan.token).network
        new = unapproved_steps(remaining, approved=plan)
        if not new:
            return plan, remaining
        known = {s.id for s in remaining.steps}
        steps = [*(s for s in plan.steps if s.id not in known), *remaining.steps]
        changed = self.assemble(facts, steps=steps, token=plan.token)
        changed = changed.model_copy(update={"approval": plan.approval})
        self._recorder.put(case_keys.CONTAINMENT_PLAN, changed)
        note(
            self._recorder,
            f"the target has changed; the plan {changed.digest[:12]} has new steps: {', '.join(new[:5])}",
        )
        return changed, remaining

    def try_to_seal(self) -> str | None:
        """Seal the restore point where it is not sealed yet; why not, when that fails."""
        return self._restore_points.try_to_seal()

    def read(self, *, token: str, original: InstanceFacts | None) -> InstanceFacts:
        """The target as it is now, without what IAM knows of it."""
        return self._gateway.facts.network(
            self._recorder.case.instance_id,
            case_id=self._recorder.case_id,
            token=token,
            original=original,
            endpoints=self.policy.contain_first,
        )

    def undisturbed(self, *, token: str, original: InstanceFacts | None) -> InstanceFacts:
        """As :meth:`read`, once no other known deployment is just moving the target.

        What another one has begun it ends within seconds, and then it holds the target; a reading in between would give a restore point
        with the other's groups. One that has died half-way keeps nobody from containing: it is not waited for any longer.
        """
        facts = self.read(token=token, original=original)
        for pause in OTHERS_PAUSES:
            if entered(facts, self._settings) is None:
                break
            time.sleep(pause)
            facts = self.read(token=token, original=original)
        return facts

    def begun_meanwhile(self, facts: InstanceFacts) -> str:
        """Another known deployment that has begun to contain the target since it was read so; empty when none has, or nobody can say.

        Asked just before the target is moved. One that had left it half-way before is not waited for a second time.
        """
        known = set(names(self._settings.other_deployments))
        if not known or entered(facts, self._settings):
            return ""
        try:
            begun = self._gateway.facts.begun_elsewhere(facts.instance_id)
        except AwsError as error:
            note(
                self._recorder,
                f"whether another deployment has begun to contain the target is not known, it is contained: {error}",
            )
            return ""
        return next((f"{other} has begun to contain it" for other in begun if other.deployment in known), "")

    def identity(self, facts: InstanceFacts, restore: RestorePoint) -> tuple[InstanceFacts, RestorePoint]:
        """The target with what IAM says of it now; what it said first is recorded as part of the restore point."""
        known = self.with_identity(facts, restore)
        before, now = _profile_before(restore), known.profile
        if before is None or not before.role_unread:
            return known, restore
        if now is not None and now.name == before.name:
            # the target still has the profile: what IAM said of it, or did not say, is in the facts
            return known, restore if now.role_unread else self._with_origin(restore, now, known.role_policies)
        try:
            resolved = self._gateway.facts.resolve(before, instance_id=facts.instance_id)
        except AwsError as error:
            return known.model_copy(update={"iam_unknown": (*known.iam_unknown, str(error))}), restore
        restore = self._with_origin(restore, resolved, known.role_policies)
        return self.with_identity(facts, restore), restore

    def _with_origin(self, restore: RestorePoint, profile: ProfileFacts, policies: tuple[str, ...]) -> RestorePoint:
        return self._restore_points.add_identity(restore, profile=profile, role_policies=policies)

    def with_identity(self, facts: InstanceFacts, restore: RestorePoint) -> InstanceFacts:
        """The target with what IAM says of it now."""
        return self._gateway.facts.with_identity(facts, deny_profile=self.policy.deny_profile, original=restore.facts)

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


def _waits_for_iam(plan: ContainmentPlan, restore: RestorePoint) -> bool:
    before = _profile_before(restore)
    unread = before is not None and before.role_unread
    return unread or any(waits_for_role(s.call) for s in plan.steps)


def _profile_before(restore: RestorePoint) -> ProfileFacts | None:
    return restore.facts.profile if restore.facts else None


def recorded_plan(recorder: CaseRecorder) -> ContainmentPlan | None:
    """The plan that was recorded, and shown where a person had to approve it."""
    return recorder.get(case_keys.CONTAINMENT_PLAN, ContainmentPlan)


def new_token() -> str:
    """The part of the names of a case's groups that nobody can guess."""
    return secrets.token_hex(6)
