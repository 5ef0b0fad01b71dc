"""Security Hub and GuardDuty of one account in memory, for tests of what the intake decides about them."""

from __future__ import annotations

from dataclasses import dataclass, field

from forensics.aws.guardduty import GuardDutyGateway
from forensics.aws.securityhub import SecurityHubGateway
from forensics.errors import AwsError
from tests.unit.builders import REGION


@dataclass
class HubInMemory(SecurityHubGateway):
    """Records by finding id; updates are kept as keyword arguments."""

    account_id: str = "111122223333"
    region: str = REGION
    records: dict[str, dict[str, object]] = field(default_factory=dict)
    ocsf_records: dict[str, dict[str, object]] = field(default_factory=dict)
    updates: list[dict[str, object]] = field(default_factory=list)
    error: AwsError | None = None

    def finding(self, finding_id: str, *, account_id: str) -> dict[str, object] | None:
        if self.error:
            raise self.error
        record = self.records.get(finding_id)
        return record if record and record.get("AwsAccountId") == account_id else None

    def ocsf_finding(self, finding_id: str) -> dict[str, object] | None:
        return self.ocsf_records.get(finding_id)

    def update_finding(self, finding_id: str, **changes: object) -> None:
        self.updates.append({"finding_id": finding_id, **changes})

    def update_ocsf_finding(self, finding_id: str, **changes: object) -> None:
        self.updates.append({"finding_id": finding_id, **changes})


@dataclass
class GuardDutyInMemory(GuardDutyGateway):
    """Records by GuardDuty's own id; comments are kept as keyword arguments."""

    account_id: str = "111122223333"
    region: str = REGION
    records: dict[str, dict[str, object]] = field(default_factory=dict)
    known_detectors: tuple[str, ...] = ("own-detector",)
    comments: list[dict[str, object]] = field(default_factory=list)
    archived: list[dict[str, object]] = field(default_factory=list)

    def detectors(self) -> list[str]:
        return list(self.known_detectors)

    def finding(self, finding_id: str) -> dict[str, object] | None:
        return self.records.get(finding_id)

    def comment(self, finding_id: str, **changes: object) -> None:
        self.comments.append({"finding_id": finding_id, **changes})

    def archive(self, finding_id: str, **changes: object) -> None:
        self.archived.append({"finding_id": finding_id, **changes})
