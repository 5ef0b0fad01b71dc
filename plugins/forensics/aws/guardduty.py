"""GuardDuty: findings, feedback on them, and archiving them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_guardduty import GuardDutyClient
    from mypy_boto3_guardduty.type_defs import FindingCriteriaTypeDef


def as_event(shape: Any, value: Any) -> Any:
    """A finding as the events of GuardDuty have it: members by their names on the wire (``accountId``), not by botocore's (``AccountId``)."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members = shape.members
        return {
            members[name].serialization.get("name", name): as_event(members[name], item)
            for name, item in value.items()
            if name in members
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [as_event(shape.member, item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


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

    def updated_between(self, start: datetime, end: datetime) -> Iterator[Mapping[str, object]]:
        """Findings of every detector that were changed in this time, the oldest change first, as GuardDuty's events hold them.

        ListFindings takes milliseconds since 1970 and gives 50 ids at a time, as many as GetFindings takes (API reference). Archived ones are left out.
        """
        criteria: FindingCriteriaTypeDef = {
            "Criterion": {
                "updatedAt": {"GreaterThanOrEqual": _milliseconds(start), "LessThanOrEqual": _milliseconds(end)},
                "service.archived": {"Equals": ["false"]},
            }
        }
        with aws_errors(f"list findings of {start} to {end} in GuardDuty of account {self.account_id}, {self.region}"):
            shape = self._guardduty.meta.service_model.shape_for("Finding")
            for detector in self._guardduty.list_detectors()["DetectorIds"]:
                pages = self._guardduty.get_paginator("list_findings").paginate(
                    DetectorId=detector,
                    FindingCriteria=criteria,
                    SortCriteria={"AttributeName": "updatedAt", "OrderBy": "ASC"},
                )
                for page in pages:
                    if ids := page["FindingIds"]:
                        asked = self._guardduty.get_findings(
                            DetectorId=detector,
                            FindingIds=ids,
                            SortCriteria={"AttributeName": "updatedAt", "OrderBy": "ASC"},
                        )
                        yield from (as_event(shape, found) for found in asked["Findings"])

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
