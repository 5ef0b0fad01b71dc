"""Containment: preserve, isolate, read back (seed step 6, after the memory flow)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.desk import CaseDesk
from forensics.aws.ec2 import Ec2Gateway
from forensics.domain.containment import assess, group_name, residuals
from forensics.domain.naming import TAG_CASE, tags
from forensics.errors import AwsError, ContainmentError
from forensics.models.case import Milestone, Phase, TimelineKind
from forensics.models.containment import (
    ContainmentResult,
    ContainmentState,
    ContainmentStep,
    InterfaceRestorePoint,
    RestorePoint,
)
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.target import NetworkInterface
from forensics.operators.base import ForensicOperator, Json

PROTECTIONS = (("DisableApiTermination", "disableApiTermination"), ("DisableApiStop", "disableApiStop"))
GROUP_ATTEMPTS = 5


class IsolateTargetOperator(ForensicOperator):
    """Isolate the target on every network interface, and state only what was read back.

    Nothing is ever undone when a later step fails: a failure leaves the target more closed, never less (R48).
    """

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Write the restore point, protect, swap the groups, verify."""
        plan = desk.plan()
        if plan is None:
            msg = "there is no response plan: triage did not end, nothing is changed"
            raise AirflowSkipException(msg)
        if not plan.isolate.go:
            self._not_done(desk)
        desk.phase(Phase.CONTAINMENT)
        ec2 = self.hook.account(self.hook.scope(desk.case, "contain")).ec2
        before = ec2.interfaces(desk.case.instance_id)
        steps: list[ContainmentStep] = []
        self._restore_point(desk, ec2, before, steps)
        self._protect(desk, ec2, steps)
        group_id, errors = self._swap(desk, ec2, before, steps)
        result = self._read_back(desk, ec2, group_id=group_id, errors=errors, steps=steps)
        desk.gw.store.put(desk.case_id, "CONTAINMENT", result)
        desk.custody(
            CustodyAction.TARGET_CONTAINED,
            detail={
                "state": result.state.value,
                "group": group_id,
                "steps": [s.model_dump(mode="json") for s in steps],
                "reason": result.reason or "",
            },
        )
        if result.outcome is not Outcome.DONE:
            raise ContainmentError(f"isolation of {desk.case.instance_id} is incomplete: {result.reason}")
        self._announce(desk, result)
        return {"state": result.state.value, "group_id": group_id}

    def _not_done(self, desk: CaseDesk) -> None:
        plan = desk.plan()
        reason = "; ".join(plan.isolate.reasons) if plan else "no plan"
        wanted = bool(plan and plan.isolate.wanted)
        outcome = Outcome.NOT_APPLICABLE if wanted else Outcome.SKIPPED
        result = ContainmentResult(outcome=outcome, state=ContainmentState.NOT_CONTAINED, reason=reason)
        desk.gw.store.put_once(desk.case_id, "CONTAINMENT", result)
        desk.note(f"not isolated: {reason}", kind=TimelineKind.CONTAINMENT)
        raise AirflowSkipException(f"the target is not isolated: {reason}")

    def _restore_point(
        self,
        desk: CaseDesk,
        ec2: Ec2Gateway,
        before: tuple[NetworkInterface, ...],
        steps: list[ContainmentStep],
    ) -> None:
        """Written before the first change and never replaced: a retry must not record the isolated state as the original."""
        values: dict[str, bool | None] = {}
        for _, attribute in PROTECTIONS:
            try:
                values[attribute] = ec2.protection(desk.case.instance_id, attribute=attribute)
            except AwsError as error:
                values[attribute] = None
                steps.append(
                    ContainmentStep(
                        name=f"read {attribute}",
                        target=desk.case.instance_id,
                        done=False,
                        detail=str(error)[:500],
                    )
                )
        point = RestorePoint(
            restore_id="original",
            instance_id=desk.case.instance_id,
            interfaces=tuple(InterfaceRestorePoint(interface_id=i.id, group_ids=i.group_ids) for i in before),
            termination_protected=values["disableApiTermination"],
            stop_protected=values["disableApiStop"],
            taken_at=datetime.now(UTC),
        )
        if desk.gw.store.put_once(desk.case_id, "RESTORE#original", point):
            desk.note("restore point written before the first change", kind=TimelineKind.CONTAINMENT)

    def _protect(self, desk: CaseDesk, ec2: Ec2Gateway, steps: list[ContainmentStep]) -> None:
        """Preserve before pulling (R45). A protection that cannot be set is recorded and does not stop the isolation."""
        instance = desk.case.instance_id
        for attribute, _ in PROTECTIONS:
            self._attempt(
                steps,
                name=f"set {attribute}",
                target=instance,
                change=lambda a=attribute: ec2.protect(instance, attribute=a),
            )
        target = desk.target()
        devices = [v.device for v in target.volumes if v.delete_on_termination] if target else []
        if devices:
            self._attempt(
                steps,
                name="keep volumes on termination",
                target=", ".join(devices),
                change=lambda: ec2.keep_volumes(instance, devices=devices),
            )

    def _attempt(self, steps: list[ContainmentStep], *, name: str, target: str, change: Any) -> str | None:
        try:
            change()
        except AwsError as error:
            steps.append(ContainmentStep(name=name, target=target, done=False, detail=str(error)[:500]))
            return str(error)
        steps.append(ContainmentStep(name=name, target=target, done=True, detail="done"))
        return None

    def _swap(
        self,
        desk: CaseDesk,
        ec2: Ec2Gateway,
        before: tuple[NetworkInterface, ...],
        steps: list[ContainmentStep],
    ) -> tuple[str | None, list[str]]:
        """Put every interface into the empty group of its VPC; one that fails does not stop the others."""
        if not before:
            return None, ["the instance has no network interfaces"]
        group_id = self._group(desk, ec2, vpc_id=before[0].vpc_id)
        errors = []
        for interface in before:
            if interface.group_ids == (group_id,):
                steps.append(
                    ContainmentStep(
                        name="isolate interface",
                        target=interface.id,
                        done=True,
                        detail="was isolated already",
                    )
                )
                continue
            error = self._attempt(
                steps,
                name="isolate interface",
                target=interface.id,
                change=lambda i=interface.id: ec2.set_groups(i, group_ids=[group_id]),
            )
            if error:
                errors.append(error)
        return group_id, errors

    def _group(self, desk: CaseDesk, ec2: Ec2Gateway, *, vpc_id: str) -> str:
        for attempt in range(GROUP_ATTEMPTS):
            name = group_name(desk.case_id, attempt)
            group_id = ec2.quarantine_group(
                vpc_id=vpc_id,
                name=name,
                tags=tags(desk.case_id, "quarantine"),
                case_tag=(TAG_CASE, desk.case_id),
            )
            if group_id:
                return group_id
            desk.note(f"security group {name} exists and is not ours: it is not used", kind=TimelineKind.CONTAINMENT)
        msg = f"no quarantine group could be made in {vpc_id}: {GROUP_ATTEMPTS} names are taken by groups that are not ours"
        raise ContainmentError(msg)

    def _read_back(
        self,
        desk: CaseDesk,
        ec2: Ec2Gateway,
        *,
        group_id: str | None,
        errors: list[str],
        steps: list[ContainmentStep],
    ) -> ContainmentResult:
        state, problems = ContainmentState.FAILED, list(errors)
        if group_id:
            after = ec2.interfaces(desk.case.instance_id)
            state, found = assess(after, group_id=group_id, rules=ec2.rule_count(group_id))
            problems += found
        target = desk.target()
        complete = state is ContainmentState.NEW_FLOWS_BLOCKED and not problems
        return ContainmentResult(
            outcome=Outcome.DONE if complete else Outcome.PARTIAL,
            state=state,
            reason="; ".join(problems)[:1500] or None,
            group_id=group_id,
            steps=tuple(steps),
            residuals=residuals(has_profile=bool(target and target.profile_arn)),
            contained_at=datetime.now(UTC) if complete else None,
        )

    def _announce(self, desk: CaseDesk, result: ContainmentResult) -> None:
        desk.milestone(Milestone.CONTAINED, result.contained_at)
        desk.note(
            f"target isolated: {result.state.value} (group {result.group_id})",
            kind=TimelineKind.CONTAINMENT,
            at=result.contained_at,
        )
        open_steps = [f"{s.name} on {s.target}: {s.detail}" for s in result.steps if not s.done]
        desk.announce(
            "contained",
            f"Target isolated: {result.state.value}",
            lines=[
                *[f"Not proven: {r}" for r in result.residuals],
                *[f"Could not be done: {s}" for s in open_steps],
            ],
            facts={"state": result.state.value, "group_id": result.group_id},
        )
        desk.sign_ledger("containment")

    def on_final_failure(self, desk: CaseDesk, cause: str) -> None:
        """The case says that the target may be reachable."""
        known = desk.gw.store.get(desk.case_id, "CONTAINMENT", ContainmentResult)
        if known is None or known.outcome is not Outcome.DONE:
            result = known or ContainmentResult(outcome=Outcome.FAILED, state=ContainmentState.FAILED)
            desk.gw.store.put(desk.case_id, "CONTAINMENT", result.model_copy(update={"reason": cause[:1500]}))
