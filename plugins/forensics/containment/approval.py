"""A person's answer to a plan, and whether a plan may be carried out under it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from forensics.containment.plan import unapproved_steps
from forensics.models.containment import Approval, ContainmentPlan
from forensics.models.evidence import Outcome


class Responder(BaseModel):
    """Who answered, as Airflow knows them."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    id: str | None = None
    name: str | None = None


class HumanResponse(BaseModel):
    """The event of Airflow's human-in-the-loop trigger; with ``error`` there is no valid answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    chosen_options: tuple[str, ...] = ()
    responded_by_user: Responder | None = None
    timedout: bool = False
    error: str | None = None

    @property
    def name(self) -> str | None:
        """Name of the person, or the id where there is no name."""
        user = self.responded_by_user
        return (user.name or user.id or None) if user else None


def approval_of(
    response: HumanResponse, *, digest: str, accept: str, requester: str | None, two_persons: bool, at: datetime
) -> Approval:
    """The approval that a response gives or denies, bound to the plan's digest; ``accept`` is the option that grants it.

    With ``two_persons``, whoever requested the action may not approve it. When nobody answers, policy's default counts.
    """

    def answered(reason: str, *, granted: bool, by: str | None = None) -> Approval:
        return Approval(digest=digest, granted=granted, by=by, at=at, reason=reason)

    if response.error is not None:
        return answered(f"no valid answer: {response.error}", granted=False)
    chosen, name = accept in response.chosen_options, response.name
    if response.timedout or name is None:
        return answered("nobody answered in time; policy's default counts", granted=chosen)
    if chosen and two_persons and requester and name.casefold() == requester.casefold():
        return answered(f"{name} requested it and may not approve it", granted=False, by=name)
    return answered(f"{'approved' if chosen else 'refused'} by {name}", granted=chosen, by=name)


@dataclass(frozen=True)
class Withheld:
    """Why a plan is not carried out (yet)."""

    outcome: Outcome
    reason: str


def withheld(plan: ContainmentPlan, *, remaining: ContainmentPlan, approval: Approval | None) -> Withheld | None:
    """None when the ``remaining`` steps of a plan may be carried out, otherwise why not."""
    if not plan.approval and not remaining.approval:
        return None
    if approval is None:
        return Withheld(Outcome.PENDING, "isolation waits for a person's approval")
    if not approval.granted:
        return Withheld(Outcome.SKIPPED, f"not approved: {approval.reason}")
    changed = "the plan changed after approval"
    if approval.digest != plan.digest:
        reason = f"{changed} (approved {approval.digest[:12]}, now {plan.digest[:12]}): refused"
        return Withheld(Outcome.SKIPPED, reason)
    if new := unapproved_steps(remaining, approved=plan):
        return Withheld(Outcome.SKIPPED, f"{changed}, these steps are new: {', '.join(new[:5])}: refused")
    return None
