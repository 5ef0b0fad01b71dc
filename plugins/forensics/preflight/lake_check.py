"""Whether event data stores that a setting names can say what was called: they exist, take calls in, and let the role in."""

from __future__ import annotations

from forensics.aws.cloudtrail_lake import LakeGateway
from forensics.preflight.check import BrokenError, Check, NotTriedError
from forensics.preflight.scope import PreflightScope
from forensics.preflight.target_checks import member_session

REPAIR = (
    "name another store in forensics.record_data_stores, or let role logs into this one by its own policy (docs/cloud-evidence.md);"
    " until then cases look their calls up in the event history"
)


class LakeCheck(Check):
    """A store is described in the name of a member's role that would query it; nothing is scanned."""

    name = "data stores"

    def __init__(self, scope: PreflightScope, store: str) -> None:
        super().__init__(store)
        self._scope = scope

    def attempt(self) -> str:
        """Describe it, as its own account where that is a member's, or else as the first member."""
        region, owner = self.subject.split(":")[3:5]
        members = self._scope.members
        if not members:
            raise NotTriedError("there is no member account whose role could ask", next_action="add a member account")
        account = owner if owner in members else members[0]
        session = member_session(self._scope, "logs", account_id=account, region=region)
        found = LakeGateway.of(session).store(self.subject)
        if found.problem:
            raise BrokenError(found.problem, next_action=REPAIR)
        return f"it is {found.status}, with {', '.join(sorted(found.categories))} events" + (
            " of all Regions" if found.everywhere else f" of {region}"
        )
