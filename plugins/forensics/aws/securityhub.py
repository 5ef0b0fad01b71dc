"""Security Hub: findings in ASFF, and in OCSF where the new Security Hub holds them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import AwsError
from forensics.models.base import format_utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_securityhub import SecurityHubClient
    from mypy_boto3_securityhub.literals import WorkflowStatusType
    from mypy_boto3_securityhub.type_defs import (
        AwsSecurityFindingFiltersUnionTypeDef,
        BatchUpdateFindingsUnprocessedFindingTypeDef,
        BatchUpdateFindingsV2UnprocessedFindingTypeDef,
        OcsfFindingFiltersUnionTypeDef,
    )


class SecurityHubGateway:
    """Security Hub calls in one account and Region. Records are returned as the service gives them."""

    def __init__(self, client: SecurityHubClient, *, account_id: str, region: str) -> None:
        self._securityhub = client
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.securityhub, account_id=session.account_id, region=session.region)

    def finding(self, finding_id: str, *, account_id: str) -> dict[str, object] | None:
        """ASFF record by ``Id`` and ``AwsAccountId`` (GetFindings); None when there is none."""
        filters: AwsSecurityFindingFiltersUnionTypeDef = {
            "Id": [{"Value": finding_id, "Comparison": "EQUALS"}],
            "AwsAccountId": [{"Value": account_id, "Comparison": "EQUALS"}],
        }
        with aws_errors(f"look up finding {finding_id[-80:]} in Security Hub of {self._where}"):
            found = self._securityhub.get_findings(Filters=filters, MaxResults=2)["Findings"]
        return dict(found[0]) if found else None

    def updated_between(self, start: datetime, end: datetime) -> Iterator[dict[str, object]]:
        """ASFF records of active findings that were changed in a time, the oldest change first (GetFindings, all pages)."""
        filters: AwsSecurityFindingFiltersUnionTypeDef = {
            "UpdatedAt": [{"Start": format_utc(start), "End": format_utc(end)}],
            "RecordState": [{"Value": "ACTIVE", "Comparison": "EQUALS"}],
        }
        pages = self._securityhub.get_paginator("get_findings").paginate(
            Filters=filters,
            SortCriteria=[{"Field": "UpdatedAt", "SortOrder": "asc"}],
            PaginationConfig={"PageSize": 100},
        )
        with aws_errors(f"list findings of {format_utc(start)} to {format_utc(end)} in Security Hub of {self._where}"):
            yield from (dict(finding) for page in pages for finding in page["Findings"])

    def ocsf_finding(self, finding_id: str) -> dict[str, object] | None:
        """OCSF record by ``finding_info.uid`` (GetFindingsV2); None when there is none."""
        filters: OcsfFindingFiltersUnionTypeDef = {
            "CompositeFilters": [
                {
                    "StringFilters": [
                        {"FieldName": "finding_info.uid", "Filter": {"Value": finding_id, "Comparison": "EQUALS"}}
                    ],
                    "Operator": "AND",
                }
            ]
        }
        with aws_errors(f"look up finding {finding_id[-80:]} in Security Hub (OCSF) of {self._where}"):
            found = self._securityhub.get_findings_v2(Filters=filters, MaxResults=2)["Findings"]
        return dict(found[0]) if found else None

    def update_finding(
        self, finding_id: str, *, product_arn: str, note: str, author: str, workflow: WorkflowStatusType
    ) -> None:
        """Replace the note (at most 512 characters) and the workflow status (BatchUpdateFindings).

        Raises :class:`AwsError`, also when Security Hub leaves the finding unprocessed.
        """
        with aws_errors(f"annotate finding {finding_id[-80:]} in Security Hub of account {self.account_id}"):
            answer = self._securityhub.batch_update_findings(
                FindingIdentifiers=[{"Id": finding_id, "ProductArn": product_arn}],
                Note={"Text": note, "UpdatedBy": author},
                Workflow={"Status": workflow},
            )
        _check_processed(answer.get("UnprocessedFindings", []), finding_id)

    def update_ocsf_finding(self, finding_id: str, *, metadata_uid: str, comment: str, status_id: int) -> None:
        """Set the comment (at most 512 characters) and the OCSF status (BatchUpdateFindingsV2).

        Raises :class:`AwsError`, also when Security Hub leaves the finding unprocessed.
        """
        with aws_errors(f"annotate finding {finding_id[-80:]} in Security Hub V2 of account {self.account_id}"):
            answer = self._securityhub.batch_update_findings_v2(
                MetadataUids=[metadata_uid], Comment=comment, StatusId=status_id
            )
        _check_processed(answer.get("UnprocessedFindings", []), finding_id)

    @property
    def _where(self) -> str:
        return f"account {self.account_id}, {self.region}"


def _check_processed(
    unprocessed: Sequence[
        BatchUpdateFindingsUnprocessedFindingTypeDef | BatchUpdateFindingsV2UnprocessedFindingTypeDef
    ],
    finding_id: str,
) -> None:
    if unprocessed:
        first = unprocessed[0]
        msg = (
            f"Security Hub did not annotate finding {finding_id[-80:]}: "
            f"{first.get('ErrorCode')}: {first.get('ErrorMessage')}"
        )
        raise AwsError(msg, next_action="annotate the finding manually")
