"""Containment as a picture: what of the target was how before, how it is now, and how a release puts it back. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.containment.call_sentences import call_sentence
from forensics.models.case import CaseView
from forensics.models.containment import PlanStep, RestorePoint, Stage

STAGE_WORDS = {
    Stage.CREDENTIALS_FIRST: "credentials",
    Stage.PROTECT: "protection",
    Stage.SCALING: "Auto Scaling",
    Stage.STANDBY: "Auto Scaling",
    Stage.BALANCERS: "load balancer",
    Stage.GROUPS: "quarantine group",
    Stage.RULES: "quarantine group",
    Stage.ADDRESSES: "public address",
    Stage.OPEN: "security groups",
    Stage.CLOSE: "security groups",
    Stage.CLEANUP: "clean-up",
    Stage.CREDENTIALS: "credentials",
}
MOST = 60


@dataclass(frozen=True)
class Change:
    """One change: ``state`` is done, not done, not tried or undone, ``level`` how it is shown; empty texts are not known."""

    kind: str
    target: str
    before: str
    now: str
    after: str
    state: str
    level: str


def containment_picture(view: CaseView) -> list[Change]:
    """Every change of the plan in its order, at most :data:`MOST`; none without a plan or where nothing was tried."""
    plan, result = view.containment_plan, view.containment
    if plan is None or result is None:
        return []
    ended = {(step.name, step.target): step.done for step in result.steps}
    return [
        _change(step, ended.get((step.id, step.target)), view.restore_point, released=view.released)
        for step in plan.steps[:MOST]
    ]


def _change(step: PlanStep, done: bool | None, restore: RestorePoint | None, *, released: bool) -> Change:
    state, level = {True: ("done", "good"), False: ("NOT done", "bad"), None: ("not tried", "idle")}[done]
    if done and released:
        state, level = "undone by the release", "idle"
    return Change(
        kind=STAGE_WORDS[step.stage],
        target=step.target,
        before=_before(step, restore),
        now=call_sentence(step.call),
        after="; ".join(call_sentence(call) for call in step.undo) or "goes with the quarantine group",
        state=state,
        level=level,
    )


def _before(step: PlanStep, restore: RestorePoint | None) -> str:
    """How it was, as the restore point has it."""
    if restore is None:
        return ""
    groups = next((i.group_ids for i in restore.interfaces if i.interface_id == step.target), ())
    if step.call.group_ids and groups:
        return ", ".join(groups)
    facts = restore.facts
    if facts is None:
        return ""
    named = set(map(str, step.call.params.values())) | {step.target}
    known: dict[Stage, list[str]] = {
        Stage.ADDRESSES: [
            f"{a.public_ip} on {i.id}"
            for i in facts.interfaces
            for a in i.addresses
            if named & {str(a.association_id), str(a.allocation_id), i.id, a.public_ip}
        ],
        Stage.SCALING: [f"in group {facts.scaling.group}"] if facts.scaling else [],
        Stage.STANDBY: [f"in group {facts.scaling.group}"] if facts.scaling else [],
        Stage.BALANCERS: [f"registered in {m.balancer}" for m in facts.memberships if m.balancer in named],
        Stage.CREDENTIALS: [f"profile {facts.profile.name}"] if facts.profile else [],
        Stage.CREDENTIALS_FIRST: [f"profile {facts.profile.name}"] if facts.profile else [],
    }
    return ", ".join(known.get(step.stage, []))
