"""The isolation guard: what is trusted, which targets are never isolated, and how many isolations are allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from forensics.aws.hook import CaseSessions
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.custody.signed_documents import SignedDocuments
from forensics.errors import ForensicsError
from forensics.intake.finding_lookup import lookups_of
from forensics.models.target import Target
from forensics.triage.finding_verifier import FindingVerifier
from forensics.triage.isolation_rate_limiter import IsolationCap, IsolationRateLimiter
from forensics.triage.never_isolate import Protection, parse_never_isolate, protecting
from forensics.triage.nonces import NonceStore
from forensics.triage.organization import OrganizationReader
from forensics.triage.policy import LoadedPolicy, packaged, parse_policy


@dataclass(frozen=True)
class IsolationLimits:
    """Isolations per window: in all, per account, per Auto Scaling group."""

    everywhere: int
    account: int
    group: int


@dataclass(frozen=True)
class IsolationGuard:
    """One case's view of policy, never-isolate list, live verification and caps."""

    verifier: FindingVerifier
    documents: SignedDocuments
    rate_limiter: IsolationRateLimiter
    limits: IsolationLimits
    organization: OrganizationReader
    policy_key: str = ""
    list_key: str = ""

    @classmethod
    def of(cls, sessions: CaseSessions) -> Self:
        """By the deployment's settings, for one case."""
        settings, own = sessions.settings, sessions.own()
        key = SigningKeyGateway.of_documents(sessions.forensic("custodian"), settings)
        return cls(
            verifier=FindingVerifier(
                sessions.case.case_id,
                lookups=lambda: lookups_of(sessions),
                signatures=key,
                nonces=NonceStore.of(own, settings),
            ),
            documents=SignedDocuments.of(own, settings, key=key),
            rate_limiter=IsolationRateLimiter.of(own, settings),
            limits=IsolationLimits(
                settings.isolation_cap_all, settings.isolation_cap_account, settings.isolation_cap_group
            ),
            organization=OrganizationReader.of(sessions),
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

    def protected(self, target: Target, *, now: datetime) -> tuple[Protection, tuple[str, ...]]:
        """Entries of the never-isolate list that name the target, and a doubt when the list cannot be trusted."""
        if not self.list_key:
            return Protection(), ()
        try:
            listed = parse_never_isolate(
                self.documents.read(self.list_key), origin=self.documents.origin(self.list_key)
            )
        except ForensicsError as error:
            return Protection(), (f"the never-isolate list cannot be trusted: {error}",)
        return protecting(listed, target=target, now=now), ()

    def over_cap(self, case_id: str, target: Target, *, now: datetime) -> str | None:
        """Reserve one of the window's isolations for the case; the reason when there is none left."""
        return self.rate_limiter.reserve(case_id, self._caps(target), now=now)

    def _caps(self, target: Target) -> Sequence[IsolationCap]:
        # The narrowest first: a case that is refused there must not hold a slot of the wider scopes meanwhile.
        account, group = target.account_id, target.auto_scaling_group
        scope = f"GROUP#{account}#{target.region}#{group}"
        return [
            *([IsolationCap(scope, f"Auto Scaling group {group}", self.limits.group)] if group else []),
            IsolationCap(f"ACCOUNT#{account}", f"account {account}", self.limits.account),
            IsolationCap("ALL", "all accounts", self.limits.everywhere),
        ]
