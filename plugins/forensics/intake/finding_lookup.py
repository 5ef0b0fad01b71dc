"""Looking findings up in the services that sent them: Security Hub, its OCSF successor, GuardDuty."""

from __future__ import annotations

from typing import Self

from forensics.aws.guardduty import GuardDutyGateway
from forensics.aws.hook import CaseSessions
from forensics.aws.securityhub import SecurityHubGateway
from forensics.aws.session import AwsSession
from forensics.intake.readers.fields import JsonObject
from forensics.intake.readers.identifiers import guardduty_id
from forensics.settings import names


class FindingLookup:
    """Read-only look-ups in one account and Region; each returns the service's record, or None when there is none."""

    def __init__(self, *, security_hub: SecurityHubGateway, guardduty: GuardDutyGateway) -> None:
        self._hub_gateway = security_hub
        self._guardduty_gateway = guardduty
        self.account_id = security_hub.account_id
        self.region = security_hub.region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The look-ups of a session's account and Region."""
        return cls(security_hub=SecurityHubGateway.of(session), guardduty=GuardDutyGateway.of(session))

    def security_hub(self, finding_id: str, *, account_id: str) -> JsonObject | None:
        """ASFF record of a finding about an account."""
        return self._hub_gateway.finding(finding_id, account_id=account_id)

    def security_hub_v2(self, finding_id: str) -> JsonObject | None:
        """OCSF record."""
        return self._hub_gateway.ocsf_finding(finding_id)

    def guardduty(self, finding_id: str) -> JsonObject | None:
        """GuardDuty record by the id in the finding's ARN; None for what is not a GuardDuty finding."""
        identifier = guardduty_id(finding_id)
        return self._guardduty_gateway.finding(identifier) if identifier else None


def lookups_of(sessions: CaseSessions) -> list[FindingLookup]:
    """Where the case's findings are looked up: the administrators' accounts when there are any, else the target's own."""
    accounts = names(sessions.settings.administrator_accounts) or (sessions.case.account_id,)
    return [FindingLookup.of(sessions.account(account, "triage")) for account in accounts]
