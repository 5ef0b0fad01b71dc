"""GuardDuty: findings, feedback on them, and archiving them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_guardduty import GuardDutyClient


class GuardDutyGateway:
    """GuardDuty calls in one account and Region. ``finding_id`` is GuardDuty's own: the last part of the finding's ARN."""

    def __init__(self, client: GuardDutyClient, *, account_id: str, region: str) -> None:
        self._guardduty = client
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.guardduty, account_id=session.account_id, region=session.region)

    def detectors(self) -> list[str]:
        """Ids of the account's detectors in the Region (ListDetectors)."""
        with aws_errors(f"list GuardDuty's detectors of account {self.account_id}, {self.region}"):
            return list(self._guardduty.list_detectors()["DetectorIds"])

    def finding(self, finding_id: str) -> dict[str, object] | None:
        """The record, under whichever detector this account has (GetFindings); None when there is none."""
        with aws_errors(f"look up finding {finding_id} in GuardDuty of account {self.account_id}, {self.region}"):
            for detector in self._guardduty.list_detectors()["DetectorIds"]:
                found = self._guardduty.get_findings(DetectorId=detector, FindingIds=[finding_id])["Findings"]
                if found:
                    return dict(found[0])
        return None

    def comment(self, finding_id: str, *, detector: str, text: str) -> None:
        """Mark a finding as useful with a comment (UpdateFindingsFeedback)."""
        with aws_errors(f"comment on finding {finding_id} in GuardDuty of account {self.account_id}"):
            self._guardduty.update_findings_feedback(
                DetectorId=detector, FindingIds=[finding_id], Feedback="USEFUL", Comments=text
            )

    def archive(self, finding_id: str, *, detector: str) -> None:
        """Archive a finding (ArchiveFindings)."""
        with aws_errors(f"archive finding {finding_id} in GuardDuty of account {self.account_id}"):
            self._guardduty.archive_findings(DetectorId=detector, FindingIds=[finding_id])
