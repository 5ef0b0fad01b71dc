"""A question to people, their answers, and the approval that follows: one item of the case, changed by conditional writes alone."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from forensics.models.base import Model, Utc, VersionedModel
from forensics.models.outside import Outside


class ApprovalSubject(StrEnum):
    """What people are asked to approve."""

    CONTAINMENT = "containment"
    RELEASE = "release"
    HOLD_LIFT = "hold lift"


class Person(Model):
    """A person as Airflow's identity provider knows them.

    ``id`` is ``get_id()`` of the auth manager's user (FAB: ``ab_user.id``), ``login`` is ``get_name()`` (FAB: the unique
    ``username``). An answer has both; of who started a run Airflow tells the login alone.
    """

    id: str | None = Field(default=None, max_length=500)
    login: str | None = Field(default=None, max_length=500)
    unique: bool = Field(default=True, description="the login identifies: users of this auth manager cannot change it")

    def __str__(self) -> str:
        if self.login and self.id and self.id != self.login:
            return f"{self.login} (user id {self.id})"
        return self.login or self.id or "nobody"

    def is_same_as(self, other: Person) -> bool:
        """Whether both are one person: by id, and by login, so that a changed name hides nobody who is known by either."""
        if self.id and self.id == other.id:
            return True
        mine, theirs = ({name.casefold() for name in (person.id, person.login) if name} for person in (self, other))
        return bool(mine & theirs)


class Askers(Outside):
    """Who asked for something: ``known`` may not approve it; ``unknown`` says whose asking cannot be told, and why."""

    known: tuple[Person, ...] = ()
    unknown: tuple[str, ...] = ()

    def include(self, person: Person) -> bool:
        """Whether a person is one of those who asked."""
        return any(asker.is_same_as(person) for asker in self.known)


class Approval(Outside, VersionedModel):
    """A question and what became of it.

    It is bound to one plan (``digest``) and one run, counts once, and ends. Items of earlier releases have no run: they are
    shown, and count no more.
    """

    digest: str
    granted: bool = False
    by: str | None = None
    at: Utc
    reason: str
    run_id: str = ""
    step: str = ""
    open: bool = Field(default=False, description="waits for an answer")
    until: Utc | None = Field(default=None, description="until when an answer is waited for")
    needed: int = Field(default=1, description="how many different people have to approve")
    askers: Askers = Askers()
    approvers: tuple[Person, ...] = ()
    not_counted: tuple[str, ...] = Field(default=(), description="answers that did not count, and why")
    expires_at: Utc | None = Field(default=None, description="end of the approval")
    used_at: Utc | None = None
    spent_at: Utc | None = Field(default=None, description="when what was approved had been carried out")
    void: str | None = Field(default=None, description="why it no longer counts")

    def why_not_usable(self, *, digest: str, run_id: str, now: datetime) -> str | None:
        """Why nothing may be carried out under it; None when it may."""
        if not self.granted:
            return "it waits for an answer" if self.open else f"not approved: {self.reason}"
        if self.digest != digest:
            return f"the plan changed after approval (approved {self.digest[:12]}, now {digest[:12]})"
        if self.run_id != run_id:
            return f"the approval is for run {self.run_id or 'of an earlier release'}, this is {run_id or 'another'}"
        if self.void:
            return f"the approval counts no more: {self.void}"
        if self.spent_at:
            return f"the approval was used at {_clock(self.spent_at)}, and counts once"
        if self.expires_at is None or now >= self.expires_at:
            return f"the approval ended at {_clock(self.expires_at or self.at)}"
        return None


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
