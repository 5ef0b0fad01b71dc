"""Carries out a containment plan, stage by stage. Nothing is ever undone: a failure leaves the target more closed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from forensics.containment import calls
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.quarantine_groups import CONVERSION, QUARANTINE, CaseGroups
from forensics.errors import AwsError, ContainmentError
from forensics.models.containment import STAGES, ContainmentPlan, ContainmentStep, PlanStep, Stage
from forensics.models.target_facts import InstanceFacts, OwnGroup

PARALLEL = 6
# A new group is not always visible at once (EC2 is eventually consistent): pauses between looks, in seconds; 30 in all.
LOOK_PAUSES = (0.3, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 8.2)
# So many looks does a group get that another try made and that is not as it should be.
FEW_LOOKS = 3
DENIED = "the deny is on the role: it takes effect on sessions that exist within seconds to about a minute"
_MOVES = frozenset({Stage.OPEN, Stage.CLOSE})
_FROM_ADDRESSES = frozenset({Stage.ADDRESSES, *_MOVES, Stage.CLEANUP})


class PlanRunner:
    """One run of one plan. A step that fails stops only the steps that need it.

    ``yields_to`` is asked before the target's addresses and interfaces are touched: who has begun to contain it meanwhile. Then they are left to
    that one, and the groups that this run made go again.
    """

    def __init__(
        self,
        gateway: ContainmentGateway,
        plan: ContainmentPlan,
        *,
        facts: InstanceFacts,
        yields_to: Callable[[], str] = lambda: "",
    ) -> None:
        self._yields_to = yields_to
        self.yielded = ""
        self._gateway = gateway
        self._plan = plan
        self._facts = facts
        self._groups = CaseGroups(plan.case_id, plan.token)
        self._ids: dict[str, str] = {}
        # groups that an earlier try made, seconds ago perhaps: EC2 may not know them everywhere yet
        self._earlier = {g.id: g.id for g in facts.own_groups}
        self._done: set[str] = set()
        self._unusable: dict[str, str] = {}
        self._stripped: set[str] = set()
        self.steps: list[ContainmentStep] = []

    def run(self) -> list[ContainmentStep]:
        """Carry out every step; returns how each ended, in the plan's order."""
        for stage in STAGES:
            steps = [s for s in self._plan.steps if s.stage is stage]
            if stage is Stage.ADDRESSES:
                self._check_groups()
                self._yield(moves=[s for s in self._plan.steps if s.stage in _MOVES])
            if self.yielded and stage in _FROM_ADDRESSES:
                self.steps += [_record(s, f"not tried: {self.yielded}", done=False) for s in steps]
                continue
            if steps:
                with ThreadPoolExecutor(max_workers=min(PARALLEL, len(steps))) as pool:
                    self.steps += list(pool.map(self._step, steps))
                self._done = {s.name for s in self.steps if s.done}
            if stage is Stage.CLOSE:
                self._close_by_rules()
        return self.steps

    def _yield(self, *, moves: Iterable[PlanStep]) -> None:
        """Leave the target to whoever has begun to contain it meanwhile. Interfaces that this case has begun to move it closes."""
        begun = any(set(i.group_ids) & set(self._earlier) for i in self._facts.interfaces)
        self.yielded = "" if begun or not any(moves) else self._yields_to()
        if self.yielded:
            for made in dict.fromkeys((*self._ids.values(), *self._earlier)):
                step = PlanStep(
                    id=f"isolate.unmake.{made}",
                    stage=Stage.CLEANUP,
                    target=made,
                    call=calls.delete_group(made),
                    reason="the target is left to the other deployment",
                )
                self.steps.append(self._step(step))

    def _step(self, step: PlanStep) -> ContainmentStep:
        missing = [n for n in step.needs if n not in self._done]
        if missing:
            return _record(step, f"not tried: {', '.join(missing)} did not succeed", done=False)
        try:
            self._refuse_unusable(step)
            made = self._gateway.perform(step.call, ids=self._earlier | self._ids)
        except (AwsError, ContainmentError) as error:
            return _record(step, str(error)[:500], done=False)
        if step.gives and made:
            self._ids[step.gives] = made
        return _record(step, made or (DENIED if step.call.operation == "put_role_policy" else "done"), done=True)

    def _refuse_unusable(self, step: PlanStep) -> None:
        if calls.waits_for_role(step.call):
            why = "; ".join(self._facts.iam_unknown) or "IAM was not asked"
            raise ContainmentError(f"it is not known which role the instance profile holds: {why}")
        for group in step.call.group_ids:
            group_id = self._ids.get(group, group)
            if group_id in self._unusable:
                raise ContainmentError(f"group {group_id} is not used: {self._unusable[group_id]}")

    # ------------------------------------------------------------------ groups
    def _check_groups(self) -> None:
        """Before an interface is put into a group, the group must be exactly what it should be."""
        used = {g for s in self._plan.steps if s.stage in _MOVES for g in s.call.group_ids}
        wanted = {self._ids.get(g, g) for g in used if g in self._ids or not g.startswith("${")}
        if not wanted:
            return
        for group_id, group in self._look(wanted).items():
            if problem := self._problem(group):
                self._unusable[group_id] = problem

    def _look(self, wanted: set[str]) -> dict[str, OwnGroup | None]:
        """The groups as EC2 shows them now, once it shows all of them as they should be, or after a few looks."""
        found: dict[str, OwnGroup | None] = dict.fromkeys(wanted)
        for number, pause in enumerate((*LOOK_PAUSES, None)):
            try:
                seen = self._gateway.facts.facts.own_groups(case_id=self._plan.case_id, token=self._plan.token)
            except AwsError as error:
                self._unusable |= dict.fromkeys(wanted, f"it could not be read: {error}")
                return {}
            found |= {g.id: g for g in seen if g.id in wanted}
            if self._strip(g for g in found.values() if g):
                continue
            if not any(self._problem(g) for g in found.values()):
                break
            if pause is None or (number >= FEW_LOOKS and not self._may_appear(found)):
                break
            time.sleep(pause)
        return found

    def _may_appear(self, found: Mapping[str, OwnGroup | None]) -> bool:
        """Whether a group that this run made, or that EC2 does not show, is not as it should be yet."""
        new = set(self._ids.values())
        return any(group is None or (group_id in new and self._problem(group)) for group_id, group in found.items())

    def _problem(self, group: OwnGroup | None) -> str:
        return self._groups.problem_of(group, endpoints=self._facts.endpoints)

    def _strip(self, groups: Iterable[OwnGroup]) -> bool:
        """Take away what AWS gave a new quarantine group beyond the rule that the plan knew of; True when it tried."""
        name = self._groups.name(QUARANTINE)
        new = set(self._ids.values()) - self._stripped
        left = [g for g in groups if g.name == name and g.egress and g.id in new]
        for group in left:
            self._stripped.add(group.id)
            step = PlanStep(
                id=f"isolate.strip.read_back.{group.vpc_id}",
                stage=Stage.RULES,
                target=group.id,
                call=calls.revoke(group.id, egress=True, permissions=group.egress),
                reason="the new group still lets something out",
            )
            self.steps.append(self._step(step))
        return bool(left)

    def _close_by_rules(self) -> None:
        """Close an interface that is stuck in the open group by taking the open group's rules away."""
        opened = {s.target for s in self.steps if s.done and s.name.startswith("isolate.open.")}
        closed = {s.target for s in self.steps if s.done and s.name.startswith("isolate.close.")}
        stuck = [i for i in self._facts.interfaces if i.id in opened - closed]
        for vpc_id in sorted({i.vpc_id for i in stuck}):
            known = self._groups.reference(self._facts, purpose=CONVERSION, vpc_id=vpc_id)
            group_id = self._ids.get(known, known)
            for side, egress in (("ingress", False), ("egress", True)):
                step = PlanStep(
                    id=f"isolate.closed_by_rules.{side}.{vpc_id}",
                    stage=Stage.CLOSE,
                    target=group_id,
                    call=calls.revoke(group_id, egress=egress, permissions=calls.EVERYTHING),
                    reason="the interface could not leave the open group, so the group is closed around it",
                )
                self.steps.append(self._step(step))


def _record(step: PlanStep, detail: str, *, done: bool) -> ContainmentStep:
    return ContainmentStep(name=step.id, target=step.target, done=done, detail=detail)
