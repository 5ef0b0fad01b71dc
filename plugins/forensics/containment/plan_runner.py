"""Carries out a containment plan, stage by stage. Nothing is ever undone: a failure leaves the target more closed (R48)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from forensics.containment import calls
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.quarantine_groups import ACCESS, CONVERSION, QUARANTINE, Groups, access_rules
from forensics.errors import AwsError, ContainmentError
from forensics.models.containment import STAGES, ContainmentPlan, ContainmentStep, PlanStep, Stage
from forensics.models.target_facts import InstanceFacts, OwnGroup

PARALLEL = 6
# A new group is not always seen at once (EC2 is eventually consistent).
LOOKS = 5
LOOK_SECONDS = 0.4


class PlanRunner:
    """One run of one plan. A step that fails stops only what cannot do without it."""

    def __init__(self, gateway: ContainmentGateway, plan: ContainmentPlan, *, facts: InstanceFacts) -> None:
        self._gateway = gateway
        self._plan = plan
        self._facts = facts
        self._groups = Groups(plan.case_id, plan.token)
        self.ids: dict[str, str] = {}
        self._done: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._stripped: set[str] = set()
        self.steps: list[ContainmentStep] = []

    def run(self) -> list[ContainmentStep]:
        """Carry out every step; returns how each ended, in the plan's order."""
        for stage in STAGES:
            steps = [s for s in self._plan.steps if s.stage is stage]
            if stage is Stage.ADDRESSES:
                self._check_groups()
            if steps:
                with ThreadPoolExecutor(max_workers=min(PARALLEL, len(steps))) as pool:
                    self.steps += list(pool.map(self._step, steps))
                self._done = {s.name for s in self.steps if s.done}
            if stage is Stage.CLOSE:
                self._close_by_rules()
        return self.steps

    def _step(self, step: PlanStep) -> ContainmentStep:
        missing = [n for n in step.needs if n not in self._done]
        if missing:
            return _record(step, f"not tried: {', '.join(missing)} did not succeed", done=False)
        try:
            self._refuse_unfit(step)
            made = self._gateway.perform(step.call, ids=self.ids)
        except (AwsError, ContainmentError) as error:
            return _record(step, str(error)[:500], done=False)
        if step.gives and made:
            self.ids[step.gives] = made
        return _record(step, made or "done", done=True)

    def _refuse_unfit(self, step: PlanStep) -> None:
        for group in step.call.params.get("Groups", []):
            group_id = self.ids.get(group, group)
            if group_id in self._unfit:
                raise ContainmentError(f"group {group_id} is not used: {self._unfit[group_id]}")

    # ------------------------------------------------------------------ groups
    def _check_groups(self) -> None:
        """Before an interface is put into a group, the group must be exactly what it should be (R42)."""
        used = {g for s in self._plan.steps for g in s.call.params.get("Groups", []) if s.stage in _CHANGES}
        wanted = {self.ids.get(g, g) for g in used} - {g for g in used if g.startswith("${") and g not in self.ids}
        if not wanted:
            return
        for group_id, group in self._look(wanted).items():
            problem = self._wrong(group)
            if problem:
                self._unfit[group_id] = problem

    def _look(self, wanted: set[str]) -> dict[str, OwnGroup | None]:
        found: dict[str, OwnGroup | None] = dict.fromkeys(wanted)
        for attempt in range(LOOKS):
            try:
                seen = self._gateway.facts.facts.own_groups(case_id=self._plan.case_id, token=self._plan.token)
            except AwsError as error:
                self._unfit |= dict.fromkeys(wanted, f"it could not be read: {error}")
                return {}
            found |= {g.id: g for g in seen if g.id in wanted}
            if self._strip(g for g in found.values() if g):
                continue
            if all(g is not None and not self._wrong(g) for g in found.values()):
                break
            if attempt < LOOKS - 1:
                time.sleep(LOOK_SECONDS)
        return found

    def _strip(self, groups: Iterable[OwnGroup]) -> bool:
        """Take away what AWS gave a new quarantine group beyond the rule that the plan knew of; True when it tried."""
        name = self._groups.name(QUARANTINE)
        left = [
            g
            for g in groups
            if g.name == name and g.egress and g.id in self.ids.values() and g.id not in self._stripped
        ]
        for group in left:
            self._stripped.add(group.id)
            step = PlanStep(
                id=f"isolate.strip.read_back.{group.vpc_id}",
                stage=Stage.RULES,
                target=group.id,
                call=calls.revoke(group.id, egress=True, permissions=list(group.egress)),
                reason="the new group still lets something out",
            )
            self.steps.append(self._step(step))
        return bool(left)

    def _wrong(self, group: OwnGroup | None) -> str:
        if group is None:
            return "it is not there, or not ours any more"
        names = {self._groups.name(p): p for p in (QUARANTINE, CONVERSION, ACCESS)}
        purpose = names.get(group.name)
        if purpose == QUARANTINE and (group.ingress or group.egress):
            return "it has rules and must have none"
        if purpose == ACCESS:
            wanted = access_rules(self._facts.endpoints, vpc_id=group.vpc_id)
            ports = [(r.get("FromPort"), r.get("ToPort")) for r in group.egress]
            if group.ingress or len(group.egress) != len(wanted) or any(p != (443, 443) for p in ports):
                return "its rules are not the ones it was given"
        if purpose == CONVERSION and not (group.ingress and group.egress):
            return "it does not allow everything, so connections would stay tracked"
        return "" if purpose else f"its name {group.name} is not one of this case"

    def _close_by_rules(self) -> None:
        """An interface that went into the open group and not on is closed by taking the open group's rules away."""
        opened = {s.target for s in self.steps if s.done and s.name.startswith("isolate.open.")}
        closed = {s.target for s in self.steps if s.done and s.name.startswith("isolate.close.")}
        stuck = [i for i in self._facts.interfaces if i.id in opened - closed]
        for vpc_id in sorted({i.vpc_id for i in stuck}):
            known = self._groups.reference(self._facts, purpose=CONVERSION, vpc_id=vpc_id)
            group_id = self.ids.get(known, known)
            for side, egress in (("ingress", False), ("egress", True)):
                step = PlanStep(
                    id=f"isolate.closed_by_rules.{side}.{vpc_id}",
                    stage=Stage.CLOSE,
                    target=group_id,
                    call=calls.revoke(group_id, egress=egress, permissions=calls.EVERYTHING),
                    reason="the interface could not leave the open group, so the group is closed around it",
                )
                self.steps.append(self._step(step))


_CHANGES = frozenset({Stage.OPEN, Stage.CLOSE})


def _record(step: PlanStep, detail: str, *, done: bool) -> ContainmentStep:
    return ContainmentStep(name=step.id, target=step.target, done=done, detail=detail)
