"""Writing back to the finding in the service that sent it: the case's id and where the work stands (R36).

Sources: Security Hub ``BatchUpdateFindings`` (ASFF; note of 512 characters, workflow NOTIFIED or RESOLVED),
``BatchUpdateFindingsV2`` (OCSF; comment of 512 characters, status 2 in progress or 4 resolved), GuardDuty
``UpdateFindingsFeedback`` and ``ArchiveFindings`` (GuardDuty knows no state but archived).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.hook import CaseSessions
from forensics.errors import AwsError, ResourceGoneError
from forensics.intake.finding_sources import FindingSources, sources_of
from forensics.intake.readers.identifiers import underlying_id
from forensics.models.finding import Finding, FindingSource

NOTE_LENGTH = 512
AUTHOR = "ec2-forensics"


class Stage(StrEnum):
    """Where the work on the finding stands."""

    IN_PROGRESS = "in progress"
    RESOLVED = "resolved"


WORKFLOW = {Stage.IN_PROGRESS: "NOTIFIED", Stage.RESOLVED: "RESOLVED"}
OCSF_STATUS = {Stage.IN_PROGRESS: 2, Stage.RESOLVED: 4}


class FindingWriteBack:
    """Annotates findings in the account and Region where ``sources`` looks them up (under a role that only reads)."""

    def __init__(
        self, *, sources: FindingSources, security_hub: Any, guardduty: Any, archive_guardduty: bool = False
    ) -> None:
        self._sources = sources
        self._securityhub = security_hub
        self._guardduty = guardduty
        self._archive = archive_guardduty
        self.account_id = sources.account_id

    @classmethod
    def of(cls, sessions: CaseSessions) -> Self:
        """In the administrator's account when there is one, else in the target's."""
        sources = sources_of(sessions)[0]
        session = sessions.account(sources.account_id, "findings")
        return cls(
            sources=sources,
            security_hub=session.securityhub,
            guardduty=session.guardduty,
            archive_guardduty=sessions.settings.archive_guardduty,
        )

    def annotate(self, finding: Finding, *, text: str, stage: Stage) -> None:
        """Add the note and set the state. Raises :class:`AwsError`, also when the service does not know the finding."""
        note = text if len(text) <= NOTE_LENGTH else text[: NOTE_LENGTH - 1] + "…"
        if finding.source is FindingSource.GUARDDUTY:
            self._in_guardduty(finding, note, stage)
        elif finding.ocsf:
            self._in_hub_v2(finding, note, stage)
        else:
            self._in_hub(finding, note, stage)

    def _in_hub(self, finding: Finding, note: str, stage: Stage) -> None:
        record = self._known(finding, self._sources.security_hub(finding.finding_id, account_id=finding.account_id))
        with aws_errors(f"annotate finding {finding.finding_id[-80:]} in Security Hub of account {self.account_id}"):
            answer = self._securityhub.batch_update_findings(
                FindingIdentifiers=[{"Id": finding.finding_id, "ProductArn": record["ProductArn"]}],
                Note={"Text": note, "UpdatedBy": AUTHOR},
                Workflow={"Status": WORKFLOW[stage]},
            )
        self._refused(answer.get("UnprocessedFindings", []), finding)

    def _in_hub_v2(self, finding: Finding, note: str, stage: Stage) -> None:
        record = self._known(finding, self._sources.security_hub_v2(finding.finding_id))
        with aws_errors(f"annotate finding {finding.finding_id[-80:]} in Security Hub V2 of account {self.account_id}"):
            answer = self._securityhub.batch_update_findings_v2(
                MetadataUids=[record["metadata"]["uid"]], Comment=note, StatusId=OCSF_STATUS[stage]
            )
        self._refused(answer.get("UnprocessedFindings", []), finding)

    def _in_guardduty(self, finding: Finding, note: str, stage: Stage) -> None:
        record = self._known(finding, self._sources.guardduty(finding.finding_id))
        identifier = underlying_id(finding.finding_id).rpartition("/")[2]
        # The detector in the record is the member's own; whoever may write uses the one of its account.
        detector = self._detector(record)
        where = {"DetectorId": detector, "FindingIds": [identifier]}
        with aws_errors(f"comment on finding {identifier} in GuardDuty of account {self.account_id}"):
            self._guardduty.update_findings_feedback(**where, Feedback="USEFUL", Comments=note)
            if stage is Stage.RESOLVED and self._archive:
                self._guardduty.archive_findings(**where)

    def _detector(self, record: dict[str, Any]) -> str:
        with aws_errors(f"list GuardDuty's detectors of account {self.account_id}"):
            known: Sequence[str] = self._guardduty.list_detectors()["DetectorIds"]
        own = str((record.get("Service") or {}).get("DetectorId") or "")
        return own if own in known else str(known[0])

    def _known(self, finding: Finding, record: dict[str, Any] | None) -> dict[str, Any]:
        if record is None:
            msg = f"finding {finding.finding_id[-80:]} is not known to {finding.source.value} of account {self.account_id}"
            raise ResourceGoneError(msg, next_action="nothing; annotate it by hand where it is shown, if it is")
        return record

    def _refused(self, unprocessed: list[dict[str, Any]], finding: Finding) -> None:
        if unprocessed:
            first = unprocessed[0]
            msg = (
                f"Security Hub did not annotate finding {finding.finding_id[-80:]}: "
                f"{first.get('ErrorCode')}: {first.get('ErrorMessage')}"
            )
            raise AwsError(msg, next_action="annotate the finding by hand")
