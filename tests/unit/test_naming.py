"""Names follow from the finding alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics import naming
from forensics.models.evidence import EvidenceKind, Outcome, read_evidence
from forensics.models.finding import CustomAction, FindingSource, Severity
from tests.unit.builders import CASE_ID, INSTANCE, NOW, finding

MOMENTS = st.integers(1_600_000_000, 2_200_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))


@given(first=MOMENTS, second=MOMENTS, severity=st.sampled_from(list(Severity)))
def test_a_redelivery_at_any_time_gives_the_same_case(first: datetime, second: datetime, severity: Severity) -> None:
    again = finding(severity=severity, source=FindingSource.SECURITY_HUB, title="other words")
    assert naming.case_id_for(finding(), received_at=first) == naming.case_id_for(again, received_at=second)


def test_a_finding_without_a_time_uses_the_day_of_reception() -> None:
    undated = finding(created_at=None)
    late = datetime(2026, 11, 24, 1, 0, tzinfo=timezone(timedelta(hours=5)))
    assert naming.case_id_for(undated, received_at=late).startswith("fc-20261123-")


@pytest.mark.parametrize(
    "change",
    [
        {"key": "other-key"},
        {"account_id": "111122223333"},
        {"region": "us-east-1"},
        {"instance_id": "i-0123456789abcdef1"},
    ],
)
def test_another_finding_or_instance_is_another_case(change: dict[str, str]) -> None:
    assert naming.case_id_for(finding(), received_at=NOW) != naming.case_id_for(finding(**change), received_at=NOW)


@pytest.mark.parametrize("action", CustomAction)
def test_a_persons_order_on_a_finding_is_a_case_of_its_own(action: CustomAction) -> None:
    ordered = finding(action=action, source=FindingSource.SECURITY_HUB_ACTION)
    again = finding(action=action, severity=Severity.LOW)
    first = naming.case_id_for(ordered, received_at=NOW)
    assert first == naming.case_id_for(again, received_at=NOW)
    assert first != naming.case_id_for(finding(), received_at=NOW)


def test_the_case_id_has_the_form_that_the_model_demands() -> None:
    assert re.fullmatch(r"fc-20261124-[0-9a-f]{10}", naming.case_id_for(finding(), received_at=NOW))


@pytest.mark.parametrize("kind", EvidenceKind)
def test_evidence_ids_are_valid_for_every_kind(kind: EvidenceKind) -> None:
    for subject in (INSTANCE, "vol-0123456789abcdef0"):
        item = naming.evidence_id(kind, subject)
        assert read_evidence({"evidence_id": item, "kind": kind, "outcome": Outcome.PENDING}).evidence_id == item


def test_keys_lie_below_the_case() -> None:
    prefix = naming.case_prefix(CASE_ID)
    assert naming.evidence_key(CASE_ID, EvidenceKind.MEMORY, item="m", name="a").startswith(f"{prefix}evidence/memory/")
    assert naming.artifact_key(CASE_ID, tool="disk", item="d", name="r").startswith(f"{prefix}artifacts/disk/")


@pytest.mark.parametrize("phase", ["triage", "acquire", "contain", "analyse", "custodian"])
def test_session_names_suit_sts(phase: str) -> None:
    assert re.fullmatch(r"[\w+=,.@-]{2,64}", naming.session_name(CASE_ID, phase))


def test_tags_carry_the_case() -> None:
    tags = {t["Key"]: t["Value"] for t in naming.tags(CASE_ID, "quarantine", source="snap-1")}
    assert tags[naming.TAG_CASE] == CASE_ID
    assert tags[naming.TAG_SOURCE] == "snap-1"
    assert tags[naming.TAG_PURPOSE] == "quarantine"


def test_arns_have_the_form_of_the_service_authorization_reference() -> None:
    role = naming.role_arn("333344445555", "forensics-acquire", region="eu-central-1")
    assert role == "arn:aws:iam::333344445555:role/forensics-acquire"
    arn = f"arn:aws:ec2:eu-central-1:333344445555:instance/{INSTANCE}"
    assert naming.instance_arn("333344445555", "eu-central-1", INSTANCE) == arn
