"""ASFF findings: severity, samples, and which account and Region are believed."""

from __future__ import annotations

import json

import pytest

from forensics.models.intake import IntakeVerdict
from tests.unit.intake.readers.events import INSTANCE, only


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        ({"Label": "CRITICAL", "Normalized": 1}, "CRITICAL"),
        ({"Normalized": 90}, "CRITICAL"),
        ({"Normalized": 40, "Product": 9}, "MEDIUM"),
        ({"Product": 9.1}, "CRITICAL"),
        ({"Original": "8.2"}, "HIGH"),
    ],
)
def test_asff_severity(event, read, severity, expected):
    body = event("asff_imported_guardduty_c2")
    body["detail"]["findings"][0]["Severity"] = severity
    assert only(read(body)).severity == expected


@pytest.mark.parametrize("flag", [True, "true"])
def test_sample_flag_of_asff(event, read, flag):
    body = event("asff_imported_guardduty_c2")
    body["detail"]["findings"][0]["Sample"] = flag
    assert "sample" in read(body).reason


def test_aggregation_region_is_no_contradiction(event, read):
    body = event("asff_imported_guardduty_c2")
    body["region"] = "eu-west-1"
    assert only(read(body)).region == "eu-central-1"


def test_bare_instance_id_does_not_confirm_an_account(event, read):
    body = event("asff_imported_guardduty_c2")
    body["detail"]["findings"][0]["Resources"][1]["Id"] = INSTANCE
    assert read(body).verdict is IntakeVerdict.QUARANTINE
    body["account"] = "333344445555"
    assert only(read(body)).instance_id == INSTANCE


def test_order_of_resources_does_not_matter(event, read):
    body = event("asff_action_isolate_two_findings")
    before = {finding.key for finding in read(body).findings}
    for finding in body["detail"]["findings"]:
        finding["Resources"].reverse()
    assert {finding.key for finding in read(body).findings} == before


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws-cn:ec2:eu-central-1:333344445555:instance/i-0aaaaaaaaaaaaaaa1",
        "arn:azure:ec2:eu-central-1:333344445555:instance/i-0aaaaaaaaaaaaaaa1",
        "arn:aws:ec2:eu-central-1:333344445555:instance/i-0AAAAAAAAAAAAAAA1",
        "arn:aws:ec2:eu-central-1:333344445555:instance/i-0aaaaaaaaaaaaaaa1\n",
        "arn:aws:ec2:eu-central-1:333344445555:instance/i-0aaaaaaaa",
        "arn:aws:ec2:eu-central-1::instance/i-0aaaaaaaaaaaaaaa1",
        "arn:aws:ec2:mars-north-1:333344445555:instance/i-0aaaaaaaaaaaaaaa1",
        "arn:aws:ec2:eu-central-1:٣٣٣٣٤٤٤٤٥٥٥٥:instance/i-0aaaaaaaaaaaaaaa1",
        "i-0aaaaaaaaaaaaaaa1; rm -rf /",
        None,
    ],
)
def test_malformed_instances_are_quarantined(event, read, arn):
    body = event("asff_imported_guardduty_c2")
    body["detail"]["findings"][0]["Resources"][1]["Id"] = arn
    intake = read(body)
    assert intake.verdict is IntakeVerdict.QUARANTINE
    assert "detail.findings.0.Resources.1.Id" in intake.reason


def test_other_partitions(event, read):
    text = json.dumps(event("asff_imported_guardduty_c2")).replace("eu-central-1", "us-gov-west-1")
    assert read(text).verdict is IntakeVerdict.QUARANTINE
    text = text.replace("arn:aws:", "arn:aws-us-gov:").replace('"Partition": "aws"', '"Partition": "aws-us-gov"')
    assert only(read(text)).region == "us-gov-west-1"
