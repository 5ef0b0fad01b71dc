"""Builds the forensic AMI with EC2 Image Builder and lets cases use it, only after its tests passed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

from pydantic import Field

from forensics.aws.image_builder import ImageBuilderGateway
from forensics.aws.session import AwsSession
from forensics.aws.sns import Notifier
from forensics.errors import InvestigationError
from forensics.investigation.ami_statements import AmiStatements
from forensics.models.ami import AmiRecord
from forensics.models.base import Model
from forensics.settings import Settings, names


class PublishedAmi(Model):
    """An AMI that cases use from now on, and the version of the SSM parameter that names it."""

    ami_id: str
    image_arn: str
    parameter_version: int
    statement: str = ""
    findings: dict[str, int] = Field(default_factory=dict, description="of the scan, by severity")
    copies: dict[str, str] = Field(default_factory=dict, description="Region → id of the copy there")


class AmiBuild:
    """Builds of the image pipeline that the settings name."""

    def __init__(
        self, builder: ImageBuilderGateway, statements: AmiStatements, notifier: Notifier, settings: Settings
    ) -> None:
        self._builder = builder
        self._statements = statements
        self._notifier = notifier
        self._settings = settings

    @classmethod
    def of(cls, own: AwsSession, builder: AwsSession, custodian: AwsSession, settings: Settings) -> Self:
        """Builds under the session of the role that may run the pipeline; the custodian signs what was built."""
        statements = AmiStatements.of(custodian, settings)
        return cls(ImageBuilderGateway.of(builder), statements, Notifier.of(own, settings), settings)

    def start(self, run_id: str) -> str:
        """Start the pipeline; returns the image's ARN. A repeated try of one run finds the execution that it started."""
        pipeline = self._settings.image_pipeline_arn
        token = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{pipeline}/{run_id}"))
        return self._builder.start(pipeline, token=token)

    def publish(self, event: Mapping[str, object]) -> PublishedAmi:
        """Let cases use the image that was awaited, and notify people of it.

        Raises :class:`InvestigationError` for an image that is not available; people are notified of that too.
        """
        if cause := failure(event):
            line = f"{cause}. Cases continue with the previous AMI"
            self._notify("The forensic AMI was NOT built", line, {"cause": cause})
            raise InvestigationError(
                line,
                next_action="read the build's log (/aws/imagebuilder/forensics), fix the component, run this again",
            )
        ami_id, image_arn = str(event["ami_id"]), str(event["image_arn"])
        record = self._builder.record(image_arn, ami_id=ami_id, at=datetime.now(UTC))
        # before cases may launch it: they look for the statement first
        statement = self._statements.publish(record)
        for copied in record.copies.values():
            self._statements.publish(record.model_copy(update={"ami_id": copied}))
        version = self._builder.publish(self._settings.ami_parameter, ami_id=ami_id)
        published = PublishedAmi(
            ami_id=ami_id,
            image_arn=image_arn,
            parameter_version=version,
            statement=statement,
            findings=record.by_severity,
            copies=record.copies,
        )
        line = f"{ami_id} from {image_arn}. {scan(record)}{abroad(record, names(self._settings.ami_regions))}"
        self._notify("A new forensic AMI is in use", line, published.model_dump())
        return published

    def _notify(self, subject: str, line: str, facts: dict[str, object]) -> None:
        self._notifier.publish(case_id="none", event="forensic_ami", subject=subject, lines=[line], facts=facts)


def scan(record: AmiRecord) -> str:
    """What Inspector said, in a sentence for people."""
    if not record.scanned:
        return "It was not scanned for known vulnerabilities (Inspector is off, or has not ended)"
    if not record.findings:
        return "The scan found no known vulnerability"
    return "The scan found " + ", ".join(f"{number} {severity}" for severity, number in record.by_severity.items())


def abroad(record: AmiRecord, wanted: Sequence[str]) -> str:
    """Where else the image is, and where it should be and is not, as the end of a sentence's line."""
    there = (
        f". Copies: {', '.join(f'{ami} in {region}' for region, ami in sorted(record.copies.items()))}"
        if record.copies
        else ""
    )
    missing = sorted(set(wanted) - set(record.copies))
    return there + (
        f". NOT copied to {', '.join(missing)}: see the build's log and the pipeline's distribution" if missing else ""
    )


def failure(event: Mapping[str, object]) -> str | None:
    """Why the awaited image cannot be used, or None when it can."""
    if event.get("ok") and event.get("status") == "AVAILABLE" and event.get("ami_id"):
        return None
    if cause := event.get("cause"):
        return str(cause)
    return f"image {event.get('image_arn')} ended {event.get('status')}: {event.get('reason')}"
