"""GuardDuty findings: severity, role, ids, and the instances they name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forensics.models.finding import Severity
from forensics.models.intake import IntakeVerdict
from tests.unit.intake.readers.events import INSTANCE, only, stolen


def test_guardduty_finding_in_full(event, read):
    finding = only(read(event("guardduty_ec2_c2")))
    assert finding.account_id == "333344445555"
    assert finding.region == "eu-central-1"
    assert finding.severity is Severity.HIGH
    assert finding.resource_role == "ACTOR"
    assert finding.types == ("Backdoor:EC2/C&CActivity.B!DNS",)
    assert finding.updated_at == datetime(2026, 10, 5, 8, 14, 0, 1000, tzinfo=UTC)
    assert not finding.posture
    assert not finding.sample


def test_key_does_not_need_the_arn(event, read):
    body = event("guardduty_ec2_c2")
    key = only(read(body)).key
    del body["detail"]["arn"]
    assert only(read(body)).key == key


@pytest.mark.parametrize("name", ["guardduty_runtime_container", "guardduty_attack_sequence_instances"])
def test_role_is_dropped_where_guardduty_does_not_mean_it(event, read, name):
    assert {finding.resource_role for finding in read(event(name)).findings} == {None}


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        (9.0, "CRITICAL"),
        (8.9, "HIGH"),
        (7, "HIGH"),
        (6.9, "MEDIUM"),
        (4, "MEDIUM"),
        (1, "LOW"),
        (0, "INFORMATIONAL"),
        ("8", "HIGH"),
        ("HIGH", "HIGH"),
    ],
)
def test_guardduty_severity(event, read, severity, expected):
    body = event("guardduty_ec2_c2")
    body["detail"]["severity"] = severity
    assert only(read(body)).severity == expected


def test_administrator_named_by_the_deployment_is_believed(event, read):
    body = event("guardduty_account_mismatch")
    assert only(read(body, administrators=["111122223333"])).account_id == "333344445555"


def test_tags_neither_trigger_nor_suppress(event, read):
    body = event("guardduty_ec2_c2")
    assert {"key": "IsTriageRequired", "value": "False"} in body["detail"]["resource"]["instanceDetails"]["tags"]
    assert only(read(body)).instance_id == INSTANCE


def test_guardduty_id_and_arn_must_agree(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["id"] = "f" * 32
    assert "contradicts the finding's ARN" in read(body).reason


def test_guardduty_field_in_two_spellings(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["AccountId"] = "111122223333"
    assert "two spellings" in read(body).reason


@pytest.mark.parametrize(
    "principal", ["AIDAEXAMPLE:i-0aaaaaaaaaaaaaaa1", "AROA:web", INSTANCE, None, 7, "AROA:i-0AAAAAAAAAAAAAAA1"]
)
def test_what_is_no_session_of_an_instance_is_no_instance(event, read, principal):
    body = stolen(event, "guardduty_ec2_c2")
    body["detail"]["resource"]["accessKeyDetails"]["principalId"] = principal
    assert read(body).verdict is IntakeVerdict.IGNORE


def test_samples_only_when_asked_for(event, read):
    finding = only(read(event("guardduty_sample"), accept_samples=True))
    assert finding.sample
    assert finding.instance_id == "i-99999999"
