"""What is the same in every format in which a finding arrives."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from forensics.intake.readers.validation import placed
from forensics.models.finding import FindingSource, PostureFamily, Severity
from forensics.models.intake import IntakeVerdict
from tests.unit.intake.readers.events import FORMATS, INSTANCE, only, stolen


def test_one_finding_in_every_format_has_one_key(event, read):
    names = {
        "guardduty_ec2_c2": FindingSource.GUARDDUTY,
        "guardduty_delegated_administrator": FindingSource.GUARDDUTY,
        "guardduty_api_spelling": FindingSource.GUARDDUTY,
        "guardduty_bare_finding": FindingSource.GUARDDUTY,
        "asff_imported_guardduty_c2": FindingSource.SECURITY_HUB,
        "asff_action_triage": FindingSource.SECURITY_HUB_ACTION,
        "ocsf_imported_guardduty_c2": FindingSource.SECURITY_HUB_V2,
    }
    findings = {name: only(read(event(name))) for name in names}
    assert {name: finding.source for name, finding in findings.items()} == names
    (key,) = {finding.key for finding in findings.values()}
    assert len(key) == 32
    assert int(key, 16) >= 0


def test_key_tells_instances_and_findings_apart(event, read):
    keys = {f.key for f in read(event("guardduty_attack_sequence_instances")).findings}
    keys |= {f.key for f in read(event("asff_action_isolate_two_findings")).findings}
    assert len(keys) == 6


@pytest.mark.parametrize("name", ["asff_imported_guardduty_c2", "ocsf_imported_guardduty_c2"])
def test_security_hub_keeps_what_guardduty_said(event, read, name):
    finding = only(read(event(name)))
    assert (finding.severity, finding.resource_role, finding.product) == (Severity.HIGH, "ACTOR", "GuardDuty")
    assert not finding.posture
    assert finding.created_at == datetime(2026, 10, 5, 8, 10, 12, 345000, tzinfo=UTC)


@pytest.mark.parametrize("name", ["asff_bare_control", "ocsf_bare_vulnerability", "config_instance_noncompliant"])
def test_controls_and_vulnerabilities_are_posture(event, read, name):
    families = ["controls", "vulnerabilities"]
    assert only(read(event(name), posture=[PostureFamily(family) for family in families])).posture


@pytest.mark.parametrize("name", FORMATS)
def test_stolen_credentials_lead_to_their_instance(event, read, name):
    intake = read(stolen(event, name))
    assert only(intake).instance_id == INSTANCE
    assert intake.unplaced == (intake.findings[0].key,)
    moved = placed(intake.findings[0], region="eu-west-1")
    assert moved.region == "eu-west-1" and moved.key != intake.findings[0].key


def test_stolen_credentials_have_one_key_in_every_format(event, read):
    assert len({only(read(stolen(event, name))).key for name in FORMATS}) == 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_session_name_alone_proves_nothing(event, read, name):
    """Whoever may assume a role may call the session by the id of somebody's instance."""
    text = json.dumps(stolen(event, name)).replace("InstanceCredentialExfiltration.OutsideAWS", "TorIPCaller")
    intake = read(text)
    assert intake.verdict is IntakeVerdict.IGNORE and "no EC2 instance" in intake.reason


@pytest.mark.parametrize("shape", FORMATS)
def test_the_vpc_that_a_finding_names_is_kept(event, read, shape):
    body = event(shape)
    vpc = "vpc-0123456789abcdef0"
    if shape.startswith("guardduty"):
        body["detail"]["resource"]["instanceDetails"]["networkInterfaces"] = [{"vpcId": vpc}]
    elif shape.startswith("asff"):
        body["detail"]["findings"][0]["Resources"][1]["Details"]["AwsEc2Instance"]["VpcId"] = vpc
    else:
        body["detail"]["findings"][0]["resources"][0]["data"]["network_interfaces"] = [{"vpc_id": vpc}]
    assert only(read(body)).vpc_id == vpc
