"""Self-defence at the recorder: what is trusted, who is never isolated, how many may be (R32, R97, R98, R103)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from forensics.aws.hook import CaseSessions
from forensics.custody.signed_documents import SignatureCheck, SignedDocuments
from forensics.errors import ForensicsError
from forensics.intake.finding_sources import sources_of
from forensics.models.target import Target
from forensics.triage.finding_verifier import FindingVerifier
from forensics.triage.isolation_rate_limiter import Cap, IsolationRateLimiter
from forensics.triage.never_isolate import parse as parse_list
from forensics.triage.never_isolate import protecting
from forensics.triage.nonces import NonceStore
from forensics.triage.policy import LoadedPolicy, packaged
from forensics.triage.policy import parse as parse_policy


@dataclass(frozen=True)
class Limits:
    """Isolations per window: in all, per account, per Auto Scaling group."""

    everywhere: int
    account: int
    group: int


@dataclass(frozen=True)
class IsolationGuard:
    """One case's view of policy, never-isolate list, live verification and caps."""

    verifier: FindingVerifier
    documents: SignedDocuments
    budget: IsolationRateLimiter
    limits: Limits
    policy_key: str = ""
    list_key: str = ""

    @classmethod
    def of(cls, sessions: CaseSessions) -> Self:
        """What the deployment's settings say, for one case."""
        settings, own = sessions.settings, sessions.own()
        check = SignatureCheck.of(sessions.forensic("custodian"), settings)
        return cls(
            verifier=FindingVerifier(
                sessions.case.case_id,
                sources=lambda: sources_of(sessions),
                signatures=check,
                nonces=NonceStore.of(own, settings),
            ),
            documents=SignedDocuments.of(own, settings, check=check),
            budget=IsolationRateLimiter.of(own, settings),
            limits=Limits(settings.isolation_cap_all, settings.isolation_cap_account, settings.isolation_cap_group),
            policy_key=settings.policy_key,
            list_key=settings.never_isolate_key,
        )

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
