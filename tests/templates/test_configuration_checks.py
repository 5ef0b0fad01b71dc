"""Configurations that look right and are not: each is refused before anything is asked of AWS, and says what to write instead."""

from __future__ import annotations

import random
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
        checks.validate(config)
        plan.steps(config)
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
WITHOUT_SIGNER = re.sub(r"(?m)^  DocumentSignerRoleArn: .*\n", "", EXAMPLE)
ORGANIZATION = (
    "OrganizationalUnitIds: [ou-ab12-cdef3456]\n  MemberRegions: [eu-central-1]\n  TargetIds: [ou-ab12-cdef3456]"
)


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE,
        with_line(ORGANIZATION),
        WITHOUT_SIGNER,
        with_value("members", "[333344445555]"),
        with_line("MonthlyBudget: 100"),
        WITHOUT_AMI + "  BuildSubnetId: subnet-0123456789abcdef0\n  BuildSecurityGroupId: sg-0123456789abcdef0\n",
        with_line("security: {AlarmTopicArn: 'arn:aws:sns:eu-central-1:111122223333:alarms'}"),
    ],
    ids=[
        "example",
        "organization",
        "nobody signs",
        "an unquoted account",
        "budget",
        "a built AMI",
        "a value of one account",
    ],
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
        (with_line("VpcId: vpc-0123456789abcdef0"), r"VpcId without RouteTableId, ControlRouteTableId, AnalysisSubnetId"),
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
        (with_line("security: {AlarmTopik: alarms}"), r"no template knows AlarmTopik \(did you mean AlarmTopicArn"),
        (with_value("KeyAdministratorArn", "arn:aws:iam::111122223333:role/KeyAdministrator"), r"KeyAdministratorArn is a role of account 111122223333"),
        (with_value("KeyAdministratorArn", "arn:aws-cn:iam::222233334444:role/KeyAdministrator"), r"is in partition aws-cn"),
        (with_value("KeyAdministratorRole", "Keymaster"), r"KeyAdministratorRole is Keymaster, KeyAdministratorArn names KeyAdministrator"),
        (re.sub(r"(?m)^profiles:.*$", "profiles: {security: a, forensic: b, management: c}", EXAMPLE), r"profiles: none for members"),
        (EXAMPLE.replace("member_regions:", "member_region:"), r"fields that nothing reads: member_region \(did you mean member_regions"),
        ("", r"needs region, accounts and parameters"),
        (re.sub(r"(?m)^accounts:\n(  .*\n)+", "accounts: []\n", EXAMPLE), r"accounts has to be names with values"),
        # siblings of the above
        (with_value("forensic", '["222233334444", "222233334445"]'), r"accounts.forensic: one account is expected"),
        (with_value("forensic", "'000000000000'"), r"'000000000000' is not an account id"),
        (with_value("members", "['*']"), r"accounts.members: '\*' is not an account id"),
        (with_value("members", ""), r"accounts.members is empty"),
        (EXAMPLE.replace("  members: [", "  member: [", 1), r"accounts.member: .*did you mean members"),
        (EXAMPLE.replace("region: eu-central-1", "region: eu-centrl-1", 1), r"did you mean eu-central-1"),
        (EXAMPLE.replace("region: eu-central-1", "region: EU-CENTRAL-1", 1), r"AWS has no Region 'EU-CENTRAL-1'"),
        (EXAMPLE.replace("member_regions: [eu-central-1]", "member_regions: []"), r"member_regions is empty"),
        (EXAMPLE.replace("member_regions: [eu-central-1]", "member_regions: [eu-west-1, eu-west-1]"), r"member_regions has eu-west-1 twice"),
        (EXAMPLE + "region: eu-west-1\n", r"line \d+: region is there twice \(first in line \d+\)"),
        (with_line("AmiId: ami-0123456789abcdef1"), r"AmiId is there twice"),
        (with_value("AlarmEmail", ""), r"parameters.AlarmEmail has no value"),
        (with_value("AlarmEmail", "a@example.com, b@example.com"), r"AlarmEmail: 'a@example.com, b@example.com' does not match"),
        (with_line("ForwardFindings: yes"), r'ForwardFindings: YAML reads this as True: write it in quotes, "yes"'),
        (with_line("EndpointsExist: no"), r"EndpointsExist: .*left out"),
        (with_line("ExternalId: aSecretThatSomebodyChose"), r"ExternalId is not yours to give: it comes from secret"),
        (with_line("ForensicAccountId: '111122223333'"), r"ForensicAccountId is not yours to give"),
        (with_line("EvidenceBucket: another-bucket"), r"EvidenceBucket comes from stack forensics-evidence-store: leave it out"),
        (with_line("AlarmTopicArn: arn:aws:sns:eu-central-1:111122223333:alarms"), r"AlarmTopicArn comes from stack forensics-notifications.*parameters.security.AlarmTopicArn"),
        (with_line("security: {AlarmTopicArn: 'arn:aws:sns:us-east-1:111122223333:alarms'}"), r"security.AlarmTopicArn is in Region us-east-1"),
        (with_line("security: {AlarmTopicArn: 'arn:aws-cn:sns:eu-central-1:111122223333:alarms'}"), r"security.AlarmTopicArn is in partition aws-cn"),
        (with_line("security: {AlarmTopicArn: 'arn:aws:sns:eu-central-1:222233334444:alarms'}"), r"security.AlarmTopicArn is of account 222233334444"),
        (with_line("security: alarms"), r"parameters.security: names with values are expected"),
        (with_line("MonthlyBudgett: 100"), r"MonthlyBudgett \(did you mean MonthlyBudget\?\)"),
        (with_line("MonthlyBudget: -5"), r"MonthlyBudget: -5 is below 10"),
        (with_line("RetentionDays: 100000"), r"RetentionDays: 100000 is above 36500"),
        (with_line("VpcCidr: 10.80.0.1/22"), r"VpcCidr: 10.80.0.1/22 has host bits set"),
        (with_line("VpcCidr: 10.80.0.0/28"), r"VpcCidr: '10.80.0.0/28' does not match"),
        (with_line("VpcCidr: 8.8.0.0/22"), r"VpcCidr: 8.8.0.0/22 is not a private network"),
        (with_line("BuildSubnetId: subnet-0123456789abcdef0"), r"AmiId and BuildSubnetId exclude each other"),
        (with_line("CallAs: SELF"), r"CallAs is read by no stack of this deployment"),
        (with_line("BaseImage: amazon-linux-2023-x86"), r"BaseImage is read by no stack of this deployment"),
        (with_line(ORGANIZATION.replace("[ou-ab12-cdef3456]", "[ou-ab12-cdef3456, ou-ab12-cdef3456]", 1)), r"ou-ab12-cdef3456 is there twice"),
        (with_line(ORGANIZATION.replace("[ou-ab12-cdef3456]", "[]", 1)), r"OrganizationalUnitIds has no value"),
        (with_value("DynamoDbPrefixListId", "pl-6ea54007"), r"S3PrefixListId and parameters.DynamoDbPrefixListId are both pl-6ea54007"),
        (with_value("ReleaseRoleArn", "arn:aws:iam::222233334444:role/KeyAdministrator"), r"whoever releases code does not administer"),
        (with_value("ReleaseRoleArn", "arn:aws:iam::222233334444:user/release"), r"ReleaseRoleArn: .* does not match"),
        (with_value("CaptureToolSha256", "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"), r"SHA-256 of an empty file"),
        (with_value("CaptureToolSha256", "A" * 64), r"in small letters"),
        (with_value("DocumentSignerRoleArn", "arn:aws:iam::222233334444:role/ReleasePipeline"), r"whoever uploads documents does not sign"),
        (with_value("DocumentSignerRoleArn", "arn:aws:iam::222233334444:role/forensics-custodian"), r"named like a role of the product"),
        (with_value("DocumentSignerRoleArn", "arn:aws:iam::111122223333:role/Signer"), r"DocumentSignerRoleArn is a role of account 111122223333"),
        (WITHOUT_SIGNER.replace("settings:\n", "settings:\n  policy_key: policy/policy.yaml\n", 1), r"policy_key names a document that nobody could sign"),
        (with_value("RunbookUrl", "wiki/forensics"), r"RunbookUrl: .*begin with https"),
        (EXAMPLE.replace("security: security-admin", "securty: security-admin"), r"profiles.securty: .*did you mean security"),
        (EXAMPLE.replace("security: security-admin", "security: [a, b]"), r"profiles.security: the name of an AWS CLI profile is expected"),
        (re.sub(r"(?m)^profiles:.*$", "profiles: admin", EXAMPLE), r"profiles has to be names with values"),
        (re.sub(r"(?m)^settings:\n(  .*\n)+", "settings: [a]\n", EXAMPLE), r"settings has to be names with values"),
        (EXAMPLE.replace("\nparameters:", "\nparameters"), r"cannot be read"),
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


def test_the_placeholder_of_the_example_can_be_planned_and_not_deployed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(EXAMPLE)
    monkeypatch.setattr("sys.argv", ["deploy", "--plan", str(file)])
    assert deploy.main() == 0
    assert "NOT READY to be deployed: parameters.CaptureToolSha256" in capsys.readouterr().out
    monkeypatch.setattr(deploy, "run", lambda *_, **__: pytest.fail("it was deployed"))
    for arguments in (["deploy", str(file)], ["deploy", "--dry-run", str(file)]):
        monkeypatch.setattr("sys.argv", arguments)
        assert deploy.main() == 1
        assert "CaptureToolSha256 is the example's placeholder" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(8))
def test_whatever_stands_in_a_file_is_planned_or_refused_in_words(tmp_path: Path, seed: int) -> None:
    """Every value and every name of the example replaced by what people and programs write: never a traceback."""
    chosen = random.Random(seed)
    odd = ["", "~", "[]", "{}", "[[]]", "{a: {b: c}}", "-1", "1e400", ".nan", "yes", "0o17", "0x1f", "'\\u0000'", "*", "2026-01-01", "é", "a" * 5000, "!!int x",
           "[null]", "&a [*a]", "!!python/object:os.system x", "'line\n  two'", "1_000", "00"]  # fmt: skip
    lines = EXAMPLE.splitlines()
    places = [n for n, line in enumerate(lines) if re.match(r" *[A-Za-z_]+: *\S", line)]
    file = tmp_path / "mine.yaml"
    for place in places:
        name, _, _ = lines[place].partition(":")
        changed = [*lines]
        changed[place] = f"{name}: {chosen.choice(odd)}"
        file.write_text("\n".join(changed))
        try:
            config = configuration.read(file)
            checks.validate(config)
            plan.text(plan.steps(config))
        except configuration.PlanError as error:
            assert str(error)


def test_a_file_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"region: \xff\xfe")
    with pytest.raises(configuration.PlanError, match="cannot be read"):
        configuration.read(file)
