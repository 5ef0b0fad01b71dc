"""Shapes that products and services send and that were once read wrongly; each with its right value."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from forensics.models.finding import CustomAction, PostureFamily, Severity
from forensics.models.intake import IntakeVerdict
from tests.unit.intake.readers.events import INSTANCE, OTHER, only

CVE = "Software and Configuration Checks/Vulnerabilities/CVE"


def _asff(event: Any, **changes: Any) -> dict[str, Any]:
    """A finding of a product that is not AWS's."""
    body = event("asff_imported_guardduty_c2")
    finding = body["detail"]["findings"][0]
    finding |= {
        "Id": "vendor/1",
        "ProductArn": "arn:aws:securityhub:eu-central-1::product/examplevendor/edr",
        "ProductName": "EDR",
        "ProductFields": {},
    } | changes
    return body


@pytest.mark.parametrize(
    "changes",
    [
        {"Types": ["TTPs/Execution/Malware"], "Compliance": {"Status": "FAILED"}},
        {"Types": ["TTPs/Execution/Malware", CVE]},
        {"Types": [CVE, "Effects/Data Exfiltration"], "Compliance": {"Status": "WARNING"}},
        {"Types": ["Software and Configuration Checks/Backdoor:EC2.C&CActivity.B"]},
        {"Types": ["Sensitive Data Identifications/PII", "Effects/Data Exfiltration"]},
    ],
)
def test_a_detection_is_an_intrusion_whatever_stands_beside_it(event, read, changes):
    """Elastic's Security Hub samples file malware, threat and CVE in one finding."""
    assert not only(read(_asff(event, **changes))).posture


@pytest.mark.parametrize(
    ("changes", "family"),
    [
        ({"Types": [CVE]}, PostureFamily.VULNERABILITY),
        ({"Types": ["Software & Configuration Checks/Patch Management/Compliance"]}, PostureFamily.PATCH),
        ({"Types": ["software and configuration checks/AWS Security Best Practices"]}, PostureFamily.CONTROL),
        ({"Types": [], "Compliance": {"Status": "FAILED"}}, PostureFamily.CONTROL),
        ({"Types": ["Sensitive Data Identifications/PII/SensitiveData:S3Object-Personal"]}, PostureFamily.DATA),
    ],
)
def test_posture_opens_no_case_unless_its_family_is_brought_in(event, read, changes, family):
    body = _asff(event, **changes)
    intake = read(body)
    assert intake.verdict is IntakeVerdict.IGNORE
    assert family.value in intake.reason and "posture_cases" in intake.reason
    assert only(read(body, posture=[family])).posture
    others = [other for other in PostureFamily if other is not family]
    assert read(body, posture=others).verdict is IntakeVerdict.IGNORE


@pytest.mark.parametrize("code", ["FAIL", "PASS", "MANUAL", "fail"])
def test_a_scanner_in_ocsfs_detection_class_is_posture(event, read, code):
    """Prowler writes its checks as Detection Finding (2004) with ``status_code``."""
    body = event("ocsf_imported_guardduty_c2")
    finding = body["detail"]["findings"][0]
    finding["status_code"] = code
    finding["finding_info"] |= {"uid": "scanner/1", "types": ["Software and Configuration Checks/Best Practices"]}
    intake = read(body, posture=[PostureFamily.CONTROL])
    if code == "PASS":
        assert intake.verdict is IntakeVerdict.IGNORE and "passed" in intake.reason
    else:
        assert only(intake).posture
        assert read(body).verdict is IntakeVerdict.IGNORE


@pytest.mark.parametrize(("status_id", "status"), [(6, None), (None, "Deleted"), (5, "Archived"), (3, "Suppressed")])
def test_what_ocsf_calls_over_is_over(event, read, status_id, status):
    """OCSF 1.x, Findings category, ``status_id``: 3 Suppressed, 4 Resolved, 5 Archived, 6 Deleted."""
    body = event("ocsf_imported_guardduty_c2")
    body["detail"]["findings"][0] |= {"status_id": status_id, "status": status}
    assert read(body).verdict is IntakeVerdict.IGNORE


@pytest.mark.parametrize("closed", [{"RecordState": "archived"}, {"Workflow": {"Status": "resolved"}}])
def test_the_case_of_letters_does_not_keep_a_finding_open(event, read, closed):
    assert read(_asff(event, **closed)).verdict is IntakeVerdict.IGNORE


@pytest.mark.parametrize(
    "state",
    [{"RecordState": "ARCHIVED"}, {"Workflow": {"Status": "RESOLVED"}}, {"Workflow": {"Status": "SUPPRESSED"}}],
)
@pytest.mark.parametrize("posture", [False, True])
def test_a_persons_order_counts_whatever_the_findings_state(event, read, state, posture):
    body = event("asff_action_triage")
    body["detail"]["findings"][0] |= state | ({"Types": [CVE]} if posture else {})
    assert only(read(body)).action is CustomAction.TRIAGE


def test_a_custom_action_counts_only_from_an_administrators_account(event, read):
    body = event("asff_action_triage")
    assert only(read(body, administrators=[body["account"]])).from_administrator
    refused = read(body, administrators=["999988887777"])
    assert refused.verdict is IntakeVerdict.QUARANTINE and "999988887777" in refused.reason
    assert not only(read(body)).from_administrator


@pytest.mark.parametrize("name", ["guardduty_ec2_c2", "asff_imported_guardduty_c2", "ocsf_imported_guardduty_c2"])
def test_guarddutys_findings_carry_its_own_arn(event, read, name):
    assert only(read(event(name))).product_arn.endswith("/aws/guardduty")


@pytest.mark.parametrize("arn", ["aws/guardduty", "arn:aws:iam::111122223333:role/product/aws/guardduty", 7, ""])
def test_what_is_no_arn_of_a_product_is_none(event, read, arn):
    body = _asff(event, ProductName="GuardDuty")
    body["detail"]["findings"][0]["ProductArn"] = arn if isinstance(arn, str) else None
    assert only(read(body)).product_arn is None


@pytest.mark.parametrize(
    ("author", "noted", "workflow", "verdict"),
    [
        ("ec2-forensics", "2026-10-04T00:00:00.000Z", "RESOLVED", IntakeVerdict.ACCEPT),
        ("ec2-forensics", "2026-10-05T08:10:00.000Z", "RESOLVED", IntakeVerdict.IGNORE),
        ("ec2-forensics", "2026-10-04T00:00:00.000Z", "SUPPRESSED", IntakeVerdict.IGNORE),
        ("alice@example.com", "2026-10-04T00:00:00.000Z", "RESOLVED", IntakeVerdict.IGNORE),
        (None, None, "RESOLVED", IntakeVerdict.IGNORE),
    ],
)
def test_what_this_product_resolved_is_heard_when_its_provider_updates_it(
    event, read, author, noted, workflow, verdict
):
    """Workflow stays RESOLVED when a provider updates a finding (AWS Security Hub user guide, *BatchImportFindings*)."""
    note = {"Text": "was investigated", "UpdatedBy": author, "UpdatedAt": noted}
    body = _asff(event, Workflow={"Status": workflow}, Note=note, UpdatedAt="2026-10-05T08:00:00.000Z")
    assert read(body).verdict is verdict


@pytest.mark.parametrize("severity", [None, True, "unheard-of", "1e400", {}])
def test_a_severity_that_cannot_be_read_acquires_and_is_said(event, read, severity):
    body = event("guardduty_ec2_c2")
    if severity is None:
        del body["detail"]["severity"]
    else:
        body["detail"]["severity"] = severity
    finding = only(read(body))
    assert finding.severity is Severity.MEDIUM and finding.severity_unread


@pytest.mark.parametrize("severity", [{}, {"Label": "SEVERE"}, {"Original": "very bad"}])
def test_the_same_in_asff(event, read, severity):
    assert only(read(_asff(event, Severity=severity))).severity_unread


@pytest.mark.parametrize("identifier", [0, 99, None])
def test_the_same_in_ocsf(event, read, identifier):
    body = event("ocsf_imported_guardduty_c2")
    finding = body["detail"]["findings"][0]
    finding |= {"severity_id": identifier, "severity": "Unknown", "vendor_attributes": {}}
    assert only(read(body)).severity_unread


def test_a_severity_of_zero_is_a_severity(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["severity"] = 0
    finding = only(read(body))
    assert finding.severity is Severity.INFORMATIONAL and not finding.severity_unread


@pytest.mark.parametrize(
    "place",
    [("resource",), ("resource", "instanceDetails"), ("service",)],
    ids=".".join,
)
def test_two_spellings_of_a_field_at_any_depth_are_a_contradiction(event, read, place):
    body = event("guardduty_ec2_c2")
    node = body["detail"]
    for name in place:
        node = node[name]
    name, value = next(iter(node.items()))
    node[name[:1].upper() + name[1:]] = copy.deepcopy(value)
    intake = read(body)
    assert intake.verdict is IntakeVerdict.QUARANTINE and "two spellings" in intake.reason


def test_labels_of_an_intruder_do_not_quarantine_a_finding(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["resource"]["kubernetesDetails"] = {"labels": {"app": "x", "App": "y"}}
    assert only(read(body)).instance_id == INSTANCE


def test_an_administrators_bare_id_in_an_aggregation_region(event, read):
    body = _asff(event, Resources=[{"Type": "AwsEc2Instance", "Id": INSTANCE}])
    body |= {"account": "111122223333", "region": "us-east-1"}
    assert read(body).verdict is IntakeVerdict.QUARANTINE
    found = only(read(body, administrators=["111122223333"]))
    assert (found.account_id, found.region) == ("333344445555", "eu-central-1")


@pytest.mark.parametrize("when", [1791185400, 1791185400000, "Mon, 05 Oct 2026 07:30:00 GMT", "2026-10-05T07:30:00Z"])
def test_a_time_in_seconds_milliseconds_or_as_in_mail(event, read, when):
    body = event("guardduty_ec2_c2")
    body["detail"]["updatedAt"] = when
    found = only(read(body)).updated_at
    assert found is not None and found.isoformat() == "2026-10-05T07:30:00+00:00"


def test_a_byte_order_mark_is_no_part_of_the_event(event, read):
    import json

    assert only(read("\ufeff" + json.dumps(event("guardduty_ec2_c2")))).instance_id == INSTANCE


def test_an_event_of_three_hundred_kibibytes_is_read(event, read):
    """SQS messages have 1 MiB (SQS developer guide, *Amazon SQS message quotas*)."""
    body = event("guardduty_ec2_c2")
    body["detail"]["service"]["additionalInfo"] = {"value": "x" * 300_000}
    assert only(read(body)).instance_id == INSTANCE


def test_one_bad_resource_among_a_hundred(event, read):
    resource = {"Type": "AwsEc2Instance", "Region": "eu-central-1", "Partition": "aws"}
    ids = [f"arn:aws:ec2:eu-central-1:333344445555:instance/i-{n:017x}" for n in range(99)]
    bad = "arn:aws:ec2:eu-central-1:444455556666:instance/i-0ddddddddddddddd4"
    intake = read(_asff(event, Resources=[{**resource, "Id": identifier} for identifier in [*ids, bad]]))
    assert len(intake.findings) == 99
    assert len(intake.quarantined) == 1 and "444455556666" in intake.quarantined[0]


def test_resource_credentials_that_an_instance_lost_lead_to_it(event, read):
    body = event("guardduty_ec2_c2")
    body["account"] = "333344445555"
    body["detail"] |= {
        "type": "UnauthorizedAccess:IAMUser/ResourceCredentialExfiltration.OutsideAWS",
        "resource": {"resourceType": "AccessKey", "accessKeyDetails": {"principalId": f"AROA4EXAMPLE:{OTHER}"}},
    }
    assert only(read(body)).instance_id == OTHER
