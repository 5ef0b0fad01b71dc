"""Self-defence at the desk: what is trusted, who is never isolated, how many may be (R32, R97, R98, R103)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from forensics.aws.isolation_budget import Cap, IsolationBudget
from forensics.aws.signed import SignedDocuments
from forensics.aws.verification import FindingVerifier
from forensics.domain.policy import LoadedPolicy, packaged
from forensics.domain.policy import parse as parse_policy
from forensics.domain.protection import parse as parse_list
from forensics.domain.protection import protecting
from forensics.errors import ForensicsError
from forensics.models.target import Target


@dataclass(frozen=True)
class Limits:
    """Isolations per window: in all, per account, per Auto Scaling group."""

    everywhere: int
    account: int
    group: int


@dataclass(frozen=True)
class Defence:
    """One case's view of policy, never-isolate list, live verification and caps."""

    verifier: FindingVerifier
    documents: SignedDocuments
    budget: IsolationBudget
    limits: Limits
    policy_key: str = ""
    list_key: str = ""

    def policy(self) -> tuple[LoadedPolicy, tuple[str, ...]]:
        """The deployment's policy; the packaged one and a doubt when it cannot be trusted."""
        if not self.policy_key:
            return packaged(), ()
        try:
            body = self.documents.read(self.policy_key)
            return parse_policy(body, origin=self.documents.origin(self.policy_key)), ()
        except ForensicsError as error:
            return packaged(), (f"the policy is not used, the packaged one is: {error}",)

    def protected(self, target: Target, *, now: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Entries of the never-isolate list that name the target, and a doubt when the list cannot be trusted."""
        if not self.list_key:
            return (), ()
        try:
            listed = parse_list(self.documents.read(self.list_key), origin=self.documents.origin(self.list_key))
        except ForensicsError as error:
            return (), (f"the never-isolate list cannot be trusted: {error}",)
        return protecting(listed, target=target, now=now), ()

    def over_cap(self, case_id: str, target: Target, *, now: datetime) -> str | None:
        """Take the case's place among the isolations of the window; the reason when there is none left."""
        return self.budget.reserve(case_id, self._caps(target), now=now)

    def _caps(self, target: Target) -> Sequence[Cap]:
        # The narrowest first: whoever is refused there must not hold a place of everybody meanwhile.
        account, group = target.account_id, target.auto_scaling_group
        scope = f"GROUP#{account}#{target.region}#{group}"
        return [
            *([Cap(scope, f"Auto Scaling group {group}", self.limits.group)] if group else []),
            Cap(f"ACCOUNT#{account}", f"account {account}", self.limits.account),
            Cap("ALL", "all accounts", self.limits.everywhere),
        ]
