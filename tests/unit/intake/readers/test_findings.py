"""What is in the findings, and what decides between verdicts."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from forensics.intake.readers.validation import placed, resolved
from forensics.models.finding import CustomAction, FindingSource, Severity
from forensics.models.intake import IntakeVerdict

INSTANCE = "i-0aaaaaaaaaaaaaaa1"
OTHER = "i-0bbbbbbbbbbbbbbb2"


def only(intake):
    assert intake.verdict is IntakeVerdict.ACCEPT, intake.reason
    (finding,) = intake.findings
    return finding


def test_one_finding_in_every_shape_has_one_key(event, read):
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


def test_key_does_not_need_the_arn(event, read):
    body = event("guardduty_ec2_c2")
    key = only(read(body)).key
    del body["detail"]["arn"]
    assert only(read(body)).key == key


def test_key_tells_instances_and_findings_apart(event, read):
    keys = {f.key for f in read(event("guardduty_attack_sequence_instances")).findings}
    keys |= {f.key for f in read(event("asff_action_isolate_two_findings")).findings}
    assert len(keys) == 6


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


@pytest.mark.parametrize("name", ["asff_imported_guardduty_c2", "ocsf_imported_guardduty_c2"])
def test_security_hub_keeps_what_guardduty_said(event, read, name):
    finding = only(read(event(name)))
    assert (finding.severity, finding.resource_role, finding.product) == (Severity.HIGH, "ACTOR", "GuardDuty")
    assert not finding.posture
    assert finding.created_at == datetime(2026, 10, 5, 8, 10, 12, 345000, tzinfo=UTC)


def test_generic_type_comes_last(event, read):
    assert only(read(event("ocsf_imported_guardduty_c2"))).types[0] == "Backdoor:EC2/C&CActivity.B!DNS"


@pytest.mark.parametrize("name", ["guardduty_runtime_container", "guardduty_attack_sequence_instances"])
def test_role_is_dropped_where_guardduty_does_not_mean_it(event, read, name):
    assert {finding.resource_role for finding in read(event(name)).findings} == {None}


@pytest.mark.parametrize("name", ["asff_bare_control", "ocsf_bare_vulnerability", "config_instance_noncompliant"])
def test_controls_and_vulnerabilities_are_posture(event, read, name):
    assert only(read(event(name))).posture


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
        (None, "INFORMATIONAL"),
        (True, "INFORMATIONAL"),
    ],
)
def test_guardduty_severity(event, read, severity, expected):
    body = event("guardduty_ec2_c2")
    body["detail"]["severity"] = severity
    assert only(read(body)).severity == expected


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        ({"Label": "CRITICAL", "Normalized": 1}, "CRITICAL"),
        ({"Normalized": 90}, "CRITICAL"),
        ({"Normalized": 40, "Product": 9}, "MEDIUM"),
        ({"Product": 9.1}, "CRITICAL"),
        ({"Label": "SEVERE"}, "INFORMATIONAL"),
        ({}, "INFORMATIONAL"),
    ],
)
def test_asff_severity(event, read, severity, expected):
    body = event("asff_imported_guardduty_c2")
    body["detail"]["findings"][0]["Severity"] = severity
    assert only(read(body)).severity == expected


@pytest.mark.parametrize(
    ("identifier", "label", "expected"),
    [
        (1, None, "INFORMATIONAL"),
        (2, None, "LOW"),
        (5, "Low", "CRITICAL"),
        (6, "Fatal", "CRITICAL"),
        (99, "Medium", "MEDIUM"),
    ],
)
def test_ocsf_severity(event, read, identifier, label, expected):
    body = event("ocsf_imported_guardduty_c2")
    body["detail"]["findings"][0].update(severity_id=identifier, severity=label)
    assert only(read(body)).severity == expected


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("asff_action_isolate_two_findings", CustomAction.ISOLATE),
        ("asff_action_triage", CustomAction.TRIAGE),
        ("asff_action_legacy", CustomAction.FULL),
    ],
)
def test_custom_action(event, read, name, action):
    assert {finding.action for finding in read(event(name)).findings} == {action}


def test_custom_action_that_says_two_things(event, read):
    body = event("asff_action_triage")
    body["detail"]["actionName"] = "ForensicFull"
    intake = read(body)
    assert intake.verdict is IntakeVerdict.QUARANTINE
    assert "disagree: ForensicFull, ForensicTriage" in intake.reason


def test_release_is_heard_on_a_resolved_finding_and_other_actions_are_not(event, read):
    for action, verdict in ((CustomAction.RELEASE, IntakeVerdict.ACCEPT), (CustomAction.FULL, IntakeVerdict.IGNORE)):
        body = event("asff_action_triage")
        body["detail"]["actionName"] = action.value
        body["resources"] = [arn.replace("ForensicTriage", action.value) for arn in body["resources"]]
        body["detail"]["findings"][0]["Workflow"] = {"Status": "RESOLVED"}
        intake = read(body)
        assert intake.verdict is verdict, intake.reason
        assert {finding.action for finding in intake.findings} <= {CustomAction.RELEASE}


def test_samples_only_when_asked_for(event, read):
    finding = only(read(event("guardduty_sample"), accept_samples=True))
    assert finding.sample
    assert finding.instance_id == "i-99999999"


@pytest.mark.parametrize("flag", [True, "true"])
def test_sample_flag_of_asff(event, read, flag):
    body = event("asff_imported_guardduty_c2")
    body["detail"]["findings"][0]["Sample"] = flag
    assert "sample" in read(body).reason


def test_administrator_named_by_the_deployment_is_believed(event, read):
    body = event("guardduty_account_mismatch")
    assert only(read(body, administrators=["111122223333"])).account_id == "333344445555"


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


def test_one_contradiction_spoils_its_finding_but_not_its_siblings(event, read):
    body = event("asff_action_isolate_two_findings")
    resource = body["detail"]["findings"][0]["Resources"][2]
    resource["Id"] = resource["Id"].replace("333344445555", "111122223333")
    intake = read(body)
    assert only(intake).instance_id == INSTANCE
    assert len(intake.quarantined) == 1
    assert len(intake.ignored) == 1
    assert intake.reason == "1 accepted, 1 quarantined, 1 ignored"


def test_the_same_finding_twice_keeps_the_newest(event, read):
    body = event("asff_imported_guardduty_c2")
    older = json.loads(json.dumps(body["detail"]["findings"][0]))
    older["UpdatedAt"] = "2026-10-04T00:00:00.000Z"
    body["detail"]["findings"].append(older)
    assert only(read(body)).updated_at.day == 5


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


def test_control_characters_are_removed_from_titles(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["title"] = "\x1b[31mred\x00 and\nbroken \u202eevil\ud800"
    assert only(read(body)).title == "[31mred and broken evil"


def test_tags_neither_trigger_nor_suppress(event, read):
    body = event("guardduty_ec2_c2")
    assert {"key": "IsTriageRequired", "value": "False"} in body["detail"]["resource"]["instanceDetails"]["tags"]
    assert only(read(body)).instance_id == INSTANCE


@pytest.mark.parametrize("updated_at", ["1970-01-01T00:00:00Z", "2031-01-01T00:00:00Z", "soon", 10**400, None])
def test_unbelievable_times_are_left_out(event, read, updated_at):
    body = event("guardduty_ec2_c2")
    body["detail"]["updatedAt"] = updated_at
    assert only(read(body)).updated_at is None


def test_times_without_zone_are_utc(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["updatedAt"] = "2026-10-05 08:14:00.000000000"
    assert only(read(body)).updated_at == datetime(2026, 10, 5, 8, 14, tzinfo=UTC)


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


def stolen(event, name):
    """A finding about credentials of an instance, used elsewhere, in each shape."""
    kind, principal = "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS", f"AROA4EXAMPLE:{INSTANCE}"
    body = event(name)
    if name == "guardduty_ec2_c2":
        body["detail"]["type"] = kind
        body["detail"]["resource"] = {"resourceType": "AccessKey", "accessKeyDetails": {"principalId": principal}}
    elif name.startswith("asff"):
        finding = body["detail"]["findings"][0]
        finding["Types"] = ["TTPs/Credential Access/" + kind.replace("/", "-")]
        details = {"AwsIamAccessKey": {"PrincipalId": principal, "PrincipalType": "AssumedRole"}}
        finding["Resources"] = [{"Type": "AwsIamAccessKey", "Id": "AWS::IAM::AccessKey:x", "Details": details}]
    else:
        finding = body["detail"]["findings"][0]
        finding["finding_info"]["types"] = ["Threats", kind]
        finding["resources"] = [{**finding["resources"][0], "type": "AWS::IAM::AccessKey", "uid": "x", "name": "x",
                                 "data": {"principal_id": principal}}]  # fmt: skip
    # Nothing in such a finding confirms the account: it must come in an envelope of its own.
    body["account"] = "333344445555"
    return body


SHAPES = ["guardduty_ec2_c2", "asff_imported_guardduty_c2", "ocsf_imported_guardduty_c2"]


@pytest.mark.parametrize("name", SHAPES)
def test_stolen_credentials_lead_to_their_instance(event, read, name):
    intake = read(stolen(event, name))
    assert only(intake).instance_id == INSTANCE
    assert intake.unplaced == (intake.findings[0].key,)
    moved = placed(intake.findings[0], region="eu-west-1")
    assert moved.region == "eu-west-1" and moved.key != intake.findings[0].key


def test_stolen_credentials_have_one_key_in_every_shape(event, read):
    assert len({only(read(stolen(event, name))).key for name in SHAPES}) == 1


@pytest.mark.parametrize("name", SHAPES)
def test_a_session_name_alone_proves_nothing(event, read, name):
    """Whoever may assume a role may call the session by the id of somebody's instance."""
    text = json.dumps(stolen(event, name)).replace("InstanceCredentialExfiltration.OutsideAWS", "TorIPCaller")
    intake = read(text)
    assert intake.verdict is IntakeVerdict.IGNORE and "no EC2 instance" in intake.reason


@pytest.mark.parametrize(
    "principal", ["AIDAEXAMPLE:i-0aaaaaaaaaaaaaaa1", "AROA:web", INSTANCE, None, 7, "AROA:i-0AAAAAAAAAAAAAAA1"]
)
def test_what_is_no_session_of_an_instance_is_no_instance(event, read, principal):
    body = stolen(event, "guardduty_ec2_c2")
    body["detail"]["resource"]["accessKeyDetails"]["principalId"] = principal
    assert read(body).verdict is IntakeVerdict.IGNORE


@pytest.mark.parametrize("shape", SHAPES)
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


def test_config_rules_can_be_limited(event, read):
    body = event("config_instance_noncompliant")
    assert read(body, rule_names=["imdsv2-required"]).verdict is IntakeVerdict.ACCEPT
    assert read(body, rule_names=[]).verdict is IntakeVerdict.IGNORE


def test_manual_request_in_full(event, read):
    finding = only(read(event("manual_request")))
    assert finding.source is FindingSource.MANUAL
    assert (finding.requester, finding.reason) == (
        "alice@example.com",
        "Unusual outbound traffic, ticket 4711",
    )
    assert finding.requested == {"memory": True, "disk": True, "isolate": False}


def test_manual_list_declines_what_it_leaves_out(event, read):
    body = event("manual_request")
    body["detail"]["actions"] = ["memory"]
    assert only(read(body)).requested == {"memory": True, "disk": False, "isolate": False}
    del body["detail"]["actions"]
    assert only(read(body)).requested is None


@pytest.mark.parametrize(
    ("field", "value"), [("reason", " "), ("requester", None), ("instance_id", "web-1"), ("tenant", "x")]
)
def test_manual_request_must_be_complete(event, read, field, value):
    body = event("manual_request")
    body["detail"][field] = value
    intake = read(body)
    assert intake.verdict is IntakeVerdict.QUARANTINE
    assert field in intake.reason


def test_state_change_reports_the_state(event, read):
    state = read(event("ec2_state_change")).instance_state
    assert (state.instance_id, state.state) == (INSTANCE, "stopped")


def test_guardduty_id_and_arn_must_agree(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["id"] = "f" * 32
    assert "contradicts the finding's ARN" in read(body).reason


def test_ocsf_resource_and_its_data_must_agree(event, read):
    body = event("ocsf_imported_guardduty_c2")
    body["detail"]["findings"][0]["resources"][0]["data"]["instance_id"] = OTHER
    assert read(body).verdict is IntakeVerdict.QUARANTINE


def test_intake_survives_json(event, read):
    intake = read(event("asff_action_isolate_two_findings"))
    assert type(intake).model_validate_json(intake.model_dump_json()) == intake


def test_guardduty_field_in_two_spellings(event, read):
    body = event("guardduty_ec2_c2")
    body["detail"]["AccountId"] = "111122223333"
    assert "two spellings" in read(body).reason
