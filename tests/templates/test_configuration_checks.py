"""Configurations that look right and are not: each is refused before anything is asked of AWS, and says what to write instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.deployment import checks, configuration, deploy, plan, templates

EXAMPLE = (templates.ROOT / "infra" / "deployment.example.yaml").read_text("utf-8")


def refused(tmp_path: Path, text: str) -> str:
    """What the command line would say."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(configuration.PlanError) as caught:
        config = configuration.read(file)
        plan.steps(config)
        checks.validate(config)
    return str(caught.value)


def accepted(tmp_path: Path, text: str) -> configuration.Configuration:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    config = configuration.read(file)
    plan.steps(config)
    checks.validate(config)
    return config


def with_line(line: str) -> str:
    return EXAMPLE + f"  {line}\n"


def with_value(name: str, value: str) -> str:
    changed, count = re.subn(rf"(?m)^(  {name}:) .*$", rf"\1 {value}", EXAMPLE)
    assert count == 1, name
    return changed


WITHOUT_AMI = re.sub(r"(?m)^  AmiId: .*\n", "", EXAMPLE)
ORGANIZATION = (
    "OrganizationalUnitIds: [ou-ab12-cdef3456]\n  MemberRegions: [eu-central-1]\n  TargetIds: [ou-ab12-cdef3456]"
)


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE,
        with_line(ORGANIZATION),
        with_value("members", "[333344445555]"),
        with_line("MonthlyBudget: 100"),
        WITHOUT_AMI + "  BuildSubnetId: subnet-0123456789abcdef0\n  BuildSecurityGroupId: sg-0123456789abcdef0\n",
        with_line("security: {AlarmTopicArn: 'arn:aws:sns:eu-central-1:111122223333:alarms'}"),
    ],
    ids=["example", "organization", "an unquoted account", "budget", "a built AMI", "a value of one account"],
)
def test_what_can_be_deployed_is_accepted(tmp_path: Path, text: str) -> None:
    assert accepted(tmp_path, text).account_ids("forensic") == ["222233334444"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (with_value("members", "[33334444555]"), r"accounts.members: '33334444555' is not an account id of 12 digits"),
        (with_value("members", "['33334444555x']"), r"accounts.members: '33334444555x' is not an account id"),
        (with_value("members", "[]"), r"accounts.members is (empty|missing)"),
        # YAML 1.1, "Integer Language-Independent Type": a leading 0 is octal; 033334444555 would be account 3711175021
        (with_value("members", "[033334444555]"), r"write 033334444555 in quotes"),
        (with_value("members", "['333344445555', '333344445555']"), r"accounts.members has 333344445555 twice"),
        (with_value("security", "'222233334444'"), r"accounts.forensic and accounts.security are both 222233334444"),
        (with_value("members", "['222233334444']"), r"accounts.members and accounts.forensic are both 222233334444"),
        (with_value("SecurityAccountId", "'999999999999'"), r"SecurityAccountId is 999999999999, accounts.security is"),
        (EXAMPLE.replace("region: eu-central-1", "region: us-east-9", 1), r"region: AWS has no Region 'us-east-9'"),
        (EXAMPLE.replace("member_regions: [eu-central-1]", "member_regions: [eu-central-1, eu-centra1-2]"), r"member_regions: AWS has no Region 'eu-centra1-2'"),
        (EXAMPLE.replace("member_regions: [eu-central-1]", "member_regions: [us-gov-west-1]"), r"us-gov-west-1 is in partition aws-us-gov"),
        (with_line("VpcId: vpc-0123456789abcdef0"), r"VpcId without RouteTableId, AnalysisSubnetId"),
        (WITHOUT_AMI, r"give AmiId .* or BuildSubnetId and BuildSecurityGroupId"),
        (WITHOUT_AMI + "  BuildSubnetId: subnet-0123456789abcdef0\n", r"BuildSecurityGroupId"),
        (with_value("CaptureToolSha256", "zz"), r"CaptureToolSha256: 'zz' does not match"),
        (with_value("OrganizationId", "exampleorg1"), r"OrganizationId: 'exampleorg1' does not match"),
        (with_value("NoticeEmail", "not-an-email"), r"NoticeEmail: 'not-an-email' does not match"),
        (with_value("AmiId", "ami-xyz"), r"AmiId: 'ami-xyz' does not match"),
        (with_line("RetentionDays: many"), r"RetentionDays: 'many' is not a whole number"),
        (with_line("RetentionDays: 0"), r"RetentionDays: 0 is below 1"),
        (with_line("MaxWorkers: 26"), r"MaxWorkers: 26 is above 25"),
        (with_line("LogRetentionDays: 100"), r"LogRetentionDays: 100 is not one of 90, 180"),
        (with_line("AirflowVersion: 2.10.1"), r"AirflowVersion: '2.10.1' is not one of 3.2.1, 3.3.1"),
        (with_line("LockMode: compliance"), r"LockMode: 'compliance' is not one of GOVERNANCE, COMPLIANCE"),
        (with_line("OrganizationalUnitIds: [production]\n  MemberRegions: [eu-central-1]"), r"OrganizationalUnitIds: 'production' is not of the form"),
        (with_line("security: {AlarmTopicArn: alarms}"), r"parameters.security.AlarmTopicArn: 'alarms' does not match"),
        (with_line("security: {AlarmTopik: alarms}"), r"no template knows: AlarmTopik"),
        (with_value("KeyAdministratorArn", "arn:aws:iam::111122223333:role/KeyAdministrator"), r"KeyAdministratorArn is a role of account 111122223333"),
        (with_value("KeyAdministratorArn", "arn:aws-cn:iam::222233334444:role/KeyAdministrator"), r"is in partition aws-cn"),
        (with_value("KeyAdministratorRole", "Keymaster"), r"KeyAdministratorRole is Keymaster, KeyAdministratorArn names KeyAdministrator"),
        (re.sub(r"(?m)^profiles:.*$", "profiles: {security: a, forensic: b, management: c}", EXAMPLE), r"profiles: none for members"),
        (EXAMPLE.replace("member_regions:", "member_region:"), r"fields that nothing reads: member_region \(did you mean member_regions"),
        ("", r"needs region, accounts and parameters"),
        (re.sub(r"(?m)^accounts:\n(  .*\n)+", "accounts: []\n", EXAMPLE), r"accounts has to be names with values"),
    ],
)  # fmt: skip
def test_what_cannot_be_deployed_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    assert re.search(said, refused(tmp_path, text)), refused(tmp_path, text)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = with_value("CaptureToolSha256", "zz").replace("region: eu-central-1", "region: us-east-9", 1)
    said = refused(tmp_path, text)
    assert "us-east-9" in said and "'zz'" in said


def test_the_plan_has_the_command_of_the_one_manual_upload(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["deploy", "--plan", str(templates.ROOT / "infra" / "deployment.example.yaml")])
    assert deploy.main() == 0
    out = capsys.readouterr().out
    assert "aws s3 cp avml s3://forensics-tools-222233334444-eu-central-1/tools/avml" in out
    name = templates.committed()["work-buckets"]["Resources"]["ToolsBucket"]["Properties"]["BucketName"]["Fn::Sub"]
    assert name == "forensics-tools-${AWS::AccountId}-${AWS::Region}", "the bucket that the plan names"
