"""Writing back to the finding in the service that sent it: the case's id and the state of the investigation.

Security Hub takes a note of 512 characters and a workflow status (NOTIFIED or RESOLVED), the new Security Hub a comment
of 512 characters and a status (2 in progress, 4 resolved); GuardDuty takes feedback with a comment, and knows no state but archived. Its
feedback says that the finding was useful and trains nobody but AWS: a person's word, given only when the deployment asks for it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Self

from forensics.aws.guardduty import GuardDutyGateway
from forensics.aws.hook import CaseSessions
from forensics.aws.securityhub import SecurityHubGateway
from forensics.errors import ResourceGoneError
from forensics.intake.finding_lookup import FindingLookup, lookups_of
from forensics.intake.readers.fields import JsonObject, members
from forensics.intake.readers.identifiers import underlying_id
from forensics.models.finding import NOTE_AUTHOR, Finding, FindingSource

if TYPE_CHECKING:
    from mypy_boto3_securityhub.literals import WorkflowStatusType

NOTE_LENGTH = 512


class WriteBackStage(StrEnum):
    """The state of the investigation that a finding shows."""

    IN_PROGRESS = "in progress"
    RESOLVED = "resolved"


WORKFLOW: dict[WriteBackStage, WorkflowStatusType] = {
    WriteBackStage.IN_PROGRESS: "NOTIFIED",
    WriteBackStage.RESOLVED: "RESOLVED",
}
OCSF_STATUS = {WriteBackStage.IN_PROGRESS: 2, WriteBackStage.RESOLVED: 4}


class FindingWriteBack:
    """Annotates findings in the account and Region where ``lookup`` finds them (under a role that only reads)."""

    def __init__(
        self,
        *,
        lookup: FindingLookup,
        security_hub: SecurityHubGateway,
        guardduty: GuardDutyGateway,
        archive_guardduty: bool = False,
        guardduty_feedback: bool = False,
    ) -> None:
        self._lookup = lookup
        self._hub_gateway = security_hub
        self._guardduty_gateway = guardduty
        self._archive = archive_guardduty
        self._feedback = guardduty_feedback
        self.account_id = lookup.account_id

    @classmethod
    def of(cls, sessions: CaseSessions) -> Self:
        """In the administrator's account when there is one, else in the target's."""
        lookup = lookups_of(sessions)[0]
        session = sessions.account(lookup.account_id, "findings")
        return cls(
            lookup=lookup,
            security_hub=SecurityHubGateway.of(session),
            guardduty=GuardDutyGateway.of(session),
            archive_guardduty=sessions.settings.archive_guardduty,
            guardduty_feedback=sessions.settings.guardduty_feedback,
        )

    def annotate(self, finding: Finding, *, text: str, stage: WriteBackStage) -> None:
        """Add the note and set the state. Raises :class:`AwsError`, also when the service does not know the finding."""
        note = text if len(text) <= NOTE_LENGTH else text[: NOTE_LENGTH - 1] + "…"
        if finding.source is FindingSource.GUARDDUTY:
            self._in_guardduty(finding, note, stage)
        elif finding.ocsf:
            self._in_security_hub_v2(finding, note, stage)
        else:
            self._in_security_hub(finding, note, stage)

    def _in_security_hub(self, finding: Finding, note: str, stage: WriteBackStage) -> None:
        record = self._known(finding, self._lookup.security_hub(finding.finding_id, account_id=finding.account_id))
        self._hub_gateway.update_finding(
            finding.finding_id,
            product_arn=str(record["ProductArn"]),
            note=note,
            author=NOTE_AUTHOR,
            workflow=WORKFLOW[stage],
        )

    def _in_security_hub_v2(self, finding: Finding, note: str, stage: WriteBackStage) -> None:
        record = self._known(finding, self._lookup.security_hub_v2(finding.finding_id))
        uid = str(members(record["metadata"])["uid"])
        self._hub_gateway.update_ocsf_finding(
            finding.finding_id, metadata_uid=uid, comment=note, status_id=OCSF_STATUS[stage]
        )

    def _in_guardduty(self, finding: Finding, note: str, stage: WriteBackStage) -> None:
        archive = stage is WriteBackStage.RESOLVED and self._archive
        if not (self._feedback or archive):
            return
        record = self._known(finding, self._lookup.guardduty(finding.finding_id))
        own_id, detector = underlying_id(finding.finding_id).rpartition("/")[2], self._detector(finding, record)
        if self._feedback:
            self._guardduty_gateway.comment(own_id, detector=detector, text=note)
        if archive:
            self._guardduty_gateway.archive(own_id, detector=detector)

    def _detector(self, finding: Finding, record: JsonObject) -> str:
        """The record's detector is the member's own; an administrator writes through the one of its account."""
        known = self._guardduty_gateway.detectors()
        own = str(members(record.get("Service")).get("DetectorId") or "")
        if not known:
            msg = f"account {self.account_id} has no GuardDuty detector to write to finding {finding.finding_id[-80:]}"
            raise ResourceGoneError(msg, next_action="turn GuardDuty on there, or write_back off")
        return own if own in known else known[0]

    def _known(self, finding: Finding, record: JsonObject | None) -> JsonObject:
        if record is None:
            msg = f"finding {finding.finding_id[-80:]} is not known to {finding.source.value} of account {self.account_id}"
            raise ResourceGoneError(msg, next_action="nothing; annotate it manually where it is shown, if it is")
        return record
