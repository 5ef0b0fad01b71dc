"""An AMI is published when its image is available; people are notified either way."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from forensics.aws.image_builder import ImageBuilderGateway
from forensics.errors import InvestigationError
from forensics.investigation.ami_build import AmiBuild, abroad, failure, scan
from forensics.investigation.ami_statements import AmiStatements
from forensics.models.ami import AmiRecord, ScanFinding
from tests.unit.accounts import settings
from tests.unit.recorders import EvidenceInMemory, Mailbox
from tests.unit.signing import signing_key

PIPELINE = "arn:aws:imagebuilder:eu-central-1:222233334444:image-pipeline/forensics"
IMAGE = "arn:aws:imagebuilder:eu-central-1:222233334444:image/forensics/1.0.0/1"
BUILT = {"ok": True, "image_arn": IMAGE, "status": "AVAILABLE", "reason": "", "ami_id": "ami-2"}


class Builder(ImageBuilderGateway):
    """Image Builder that remembers what it was asked."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.published: list[tuple[str, str]] = []

    def start(self, pipeline_arn: str, *, token: str) -> str:
        assert pipeline_arn == PIPELINE
        self.tokens.append(token)
        return IMAGE

    def record(self, arn: str, *, ami_id: str, at: datetime) -> AmiRecord:
        found = ScanFinding(id="CVE-2026-1", severity="HIGH")
        return AmiRecord(
            ami_id=ami_id, image_arn=arn, built_at=at, built_from=(), packages=(), findings=(found,), scanned=True
        )

    def publish(self, parameter: str, *, ami_id: str) -> int:
        self.published.append((parameter, ami_id))
        return 4


@pytest.fixture
def builder() -> Builder:
    return Builder()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


def build(builder: Builder, mailbox: Mailbox) -> AmiBuild:
    return AmiBuild(
        builder, AmiStatements(EvidenceInMemory(), signing_key()), mailbox, settings(image_pipeline_arn=PIPELINE)
    )


def test_one_run_starts_one_execution(builder: Builder, mailbox: Mailbox) -> None:
    for run in ("manual__1", "manual__1", "manual__2"):
        assert build(builder, mailbox).start(run) == IMAGE
    first, again, other = builder.tokens
    assert first == again != other
    assert str(uuid.UUID(first)) == first


def test_an_available_image_is_published_and_announced(builder: Builder, mailbox: Mailbox) -> None:
    made = build(builder, mailbox).publish(BUILT)
    assert made.model_dump() == {
        "ami_id": "ami-2", "image_arn": IMAGE, "parameter_version": 4, "findings": {"HIGH": 1}, "copies": {},
        "statement": "s3://evidence/cases/fc-ami-build/ami-2/statement.dsse.json",
    }  # fmt: skip
    assert builder.published == [("/forensics/ami/current", "ami-2")]
    (mail,) = mailbox.mail
    assert (mail.event, mail.subject) == ("forensic_ami", "A new forensic AMI is in use")
    assert (mail.lines, mail.facts) == ([f"ami-2 from {IMAGE}. The scan found 1 HIGH"], made.model_dump())


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        ({"ok": False, "cause": "timed out waiting for image x"}, "timed out waiting for image x"),
        (
            {**BUILT, "status": "FAILED", "reason": "phase test"},
            f"image {IMAGE} ended FAILED: phase test",
        ),
        ({**BUILT, "ami_id": None}, f"image {IMAGE} ended AVAILABLE: "),
        ({**BUILT, "ok": False}, f"image {IMAGE} ended AVAILABLE: "),
    ],
)
def test_any_other_image_leaves_the_parameter_unchanged(
    builder: Builder, mailbox: Mailbox, event: dict[str, Any], cause: str
) -> None:
    assert failure(event) == cause
    with pytest.raises(InvestigationError) as caught:
        build(builder, mailbox).publish(event)
    assert str(caught.value) == f"{cause}. Cases continue with the previous AMI"
    assert "/aws/imagebuilder/forensics" in caught.value.next_action
    assert builder.published == []
    (mail,) = mailbox.mail
    assert (mail.subject, mail.facts) == ("The forensic AMI was NOT built", {"cause": cause})


def test_people_hear_what_the_scan_found_or_that_there_was_none(builder: Builder) -> None:
    found = builder.record(IMAGE, ami_id="ami-2", at=datetime.now().astimezone())
    assert scan(found.model_copy(update={"findings": ()})) == "The scan found no known vulnerability"
    assert "was not scanned" in scan(found.model_copy(update={"findings": (), "scanned": False}))


def test_copies_and_regions_that_got_none_are_said_and_each_copy_has_its_statement(
    builder: Builder, mailbox: Mailbox
) -> None:
    record = builder.record(IMAGE, ami_id="ami-2", at=datetime.now(UTC))
    assert abroad(record, []) == ""
    record = record.model_copy(update={"copies": {"us-east-1": "ami-3"}})
    assert abroad(record, ["us-east-1"]) == ". Copies: ami-3 in us-east-1"
    assert abroad(record, ["eu-west-1"]).endswith(
        ". NOT copied to eu-west-1: see the build's log and the pipeline's distribution"
    )
    builder.record = lambda *_, **__: record  # type: ignore[method-assign]
    statements = AmiStatements(EvidenceInMemory(), signing_key())
    made = AmiBuild(builder, statements, mailbox, settings(image_pipeline_arn=PIPELINE))
    assert made.publish(BUILT).copies == {"us-east-1": "ami-3"}
    assert "ami-3" in statements.check("ami-3", required=True) and "ami-2" in statements.check("ami-2", required=True)
