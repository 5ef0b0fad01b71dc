"""Config: which rules open cases, and which resources lead to an instance."""

from __future__ import annotations

import json

import pytest

from forensics.intake.readers.validation import resolved
from forensics.models.finding import FindingSource
from forensics.models.intake import IntakeVerdict
from tests.unit.intake.readers.events import INSTANCE, OTHER


def test_config_rules_can_be_limited(event, read):
    body = event("config_instance_noncompliant")
    assert read(body, rule_names=["imdsv2-required"]).verdict is IntakeVerdict.ACCEPT
    assert read(body, rule_names=[]).verdict is IntakeVerdict.IGNORE


def test_config_volume_says_what_to_look_up(event, read):
    (volume,) = read(event("config_volume_noncompliant")).unresolved
    assert (volume.account_id, volume.region) == ("333344445555", "eu-central-1")
    assert (volume.resource_type, volume.resource_id) == ("AWS::EC2::Volume", "vol-0123456789abcdef0")
    finding = resolved(volume, instance_id=INSTANCE)
    assert (finding.instance_id, finding.posture, finding.source) == (INSTANCE, True, FindingSource.CONFIG)
    assert resolved(volume, instance_id=OTHER).key != finding.key


@pytest.mark.parametrize(
    ("kind", "identifier", "good"),
    [
        ("AWS::EC2::Volume", "vol-0123456789abcdef0", True),
        ("AWS::EC2::NetworkInterface", "eni-01234567", True),
        ("AWS::EC2::SecurityGroup", "sg-0123456789abcdef0", True),
        ("AWS::EC2::SecurityGroup", "eni-01234567", False),
        ("AWS::EC2::Volume", "vol-0123456789abcdef0; reboot", False),
        ("AWS::S3::Bucket", "vol-0123456789abcdef0", None),
    ],
)
def test_config_resources_that_hang_on_an_instance(event, read, kind, identifier, good):
    body = event("config_volume_noncompliant")
    body["detail"].update(resourceType=kind, resourceId=identifier)
    body["detail"]["newEvaluationResult"].pop("evaluationResultIdentifier", None)
    intake = read(body)
    assert intake.verdict is (IntakeVerdict.QUARANTINE if good is False else IntakeVerdict.IGNORE)
    assert [ref.resource_id for ref in intake.unresolved] == ([identifier] if good else [])


def test_config_resource_of_the_forensic_account_is_not_looked_up(event, read):
    text = json.dumps(event("config_volume_noncompliant")).replace("333344445555", "222233334444")
    assert read(text).unresolved == ()
