"""Looking findings up in the services that sent them: Security Hub, its OCSF successor, GuardDuty."""

from __future__ import annotations

from typing import Any

from forensics.aws.error_map import aws_errors
from forensics.aws.hook import CaseSessions
from forensics.intake.readers.identifiers import underlying_id
from forensics.settings import names

_GUARDDUTY = "guardduty/"


class FindingSources:
    """Read-only calls in one account and Region; each returns the service's record, or None when there is none."""

    def __init__(self, *, security_hub: Any, guardduty: Any, account_id: str, region: str) -> None:
        self._securityhub = security_hub
        self._guardduty = guardduty
        self.account_id = account_id
        self.region = region

    def _what(self, service: str, finding_id: str) -> str:
        return f"look up finding {finding_id[-80:]} in {service} of account {self.account_id}, {self.region}"

    def security_hub(self, finding_id: str, *, account_id: str) -> dict[str, Any] | None:
        """ASFF record by ``Id`` and ``AwsAccountId`` (GetFindings)."""
        filters = {
            "Id": [{"Value": finding_id, "Comparison": "EQUALS"}],
            "AwsAccountId": [{"Value": account_id, "Comparison": "EQUALS"}],
        }
        with aws_errors(self._what("Security Hub", finding_id)):
            found = self._securityhub.get_findings(Filters=filters, MaxResults=2)["Findings"]
        return dict(found[0]) if found else None

    def security_hub_v2(self, finding_id: str) -> dict[str, Any] | None:
        """OCSF record by ``finding_info.uid`` (GetFindingsV2)."""
        test = {"FieldName": "finding_info.uid", "Filter": {"Value": finding_id, "Comparison": "EQUALS"}}
        with aws_errors(self._what("Security Hub (OCSF)", finding_id)):
            found = self._securityhub.get_findings_v2(
                Filters={"CompositeFilters": [{"StringFilters": [test], "Operator": "AND"}]}, MaxResults=2
            )["Findings"]
        return dict(found[0]) if found else None

    def guardduty(self, finding_id: str) -> dict[str, Any] | None:
        """GuardDuty record by the id in the finding's ARN, under whichever detector this account has (GetFindings)."""
        bare = underlying_id(finding_id)
        if not bare.startswith(_GUARDDUTY):
            return None
        with aws_errors(self._what("GuardDuty", finding_id)):
            for detector in self._guardduty.list_detectors()["DetectorIds"]:
                found = self._guardduty.get_findings(DetectorId=detector, FindingIds=[bare.removeprefix(_GUARDDUTY)])[
                    "Findings"
                ]
                if found:
                    return dict(found[0])
        return None


def sources_of(sessions: CaseSessions) -> list[FindingSources]:
    """Where the case's findings are looked up: the administrators' accounts when there are any, else the target's own."""
    accounts = names(sessions.settings.administrator_accounts) or (sessions.case.account_id,)
    return [
        FindingSources(
            security_hub=session.securityhub,
            guardduty=session.guardduty,
            account_id=session.account_id,
            region=session.region,
        )
        for session in (sessions.account(account, "triage") for account in accounts)
    ]
