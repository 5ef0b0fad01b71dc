"""Every finding without an instance ends in exactly one way, and people read why and what they can do."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.intake import without_instance as words
from forensics.models.finding import CustomAction, Severity
from forensics.models.intake import FindingWithoutInstance, IntakeResult, IntakeVerdict, SubjectKind
from tests.unit.builders import ACCOUNT, REGION
from tests.unit.guardduty_types import ALL, WITHOUT_INSTANCE

ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:snapshot/snap-0123456789abcdef0"


def item(**changes: Any) -> FindingWithoutInstance:
    """Malware in a snapshot."""
    values: dict[str, Any] = {
        "finding_id": "f-1", "title": "A malicious file was found", "types": ("Execution:EC2/MaliciousFile!Snapshot",),
        "severity": Severity.HIGH, "account_id": ACCOUNT, "region": REGION, "product": "GuardDuty",
        "kind": SubjectKind.SNAPSHOT, "resource": ARN,
    }  # fmt: skip
    return FindingWithoutInstance(**{**values, **changes})


# ---------------------------------------------------------------------- every type, exactly one end
# By the resource in the type: fields of GuardDuty's API reference, "Resource".
RESOURCES: dict[str, dict[str, Any]] = {
    "IAMUser": {"accessKeyDetails": {"userName": "deploy", "principalId": "AIDA4EXAMPLE"}},
    "IAM": {},
    "S3": {"s3BucketDetails": [{"arn": "arn:aws:s3:::files", "name": "files"}]},
    "Kubernetes": {"eksClusterDetails": {"arn": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/shop"}},
    "EKS": {"eksClusterDetails": {"arn": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/shop"}},
    "ECS": {"ecsClusterDetails": {"arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web"}},
    "Container": {"containerDetails": {"id": "c0ffee"}},
    "Lambda": {"lambdaDetails": {"functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"}},
    "RDS": {"rdsDbInstanceDetails": {"dbInstanceArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:db:d"}},
    "Runtime": {"ecsClusterDetails": {"taskDetails": {"arn": "t", "launchType": "FARGATE"}}},
    "EC2": {"ebsSnapshotDetails": {"snapshotArn": ARN}},
}


def guardduty(event: Any, kind: str, *, severity: float) -> dict[str, Any]:
    """A GuardDuty event of a type that names no instance."""
    body: dict[str, Any] = event("guardduty_access_key")
    body["detail"] |= {"type": kind, "severity": severity}
    body["detail"]["resource"] = RESOURCES[kind.partition(":")[2].partition("/")[0]]
    return body


def asff(event: Any, kind: str) -> dict[str, Any]:
    """The same as Security Hub shows it."""
    body: dict[str, Any] = event("asff_malware_snapshot")
    body["detail"]["findings"][0]["Types"] = [f"TTPs/Execution/{kind.replace('/', '-')}"]
    return body


def ocsf(event: Any, kind: str) -> dict[str, Any]:
    """The same in the new Security Hub."""
    body: dict[str, Any] = event("ocsf_malware_ami")
    body["detail"]["findings"][0]["finding_info"]["types"] = ["Threats", kind]
    return body


def ends(result: IntakeResult) -> list[str]:
    """In which ways a result ends; one for every finding, and never none."""
    posture = result.verdict is IntakeVerdict.IGNORE and "posture (" in result.reason
    looked_up = [r for r in result.unresolved if r.otherwise]
    return (
        ["case"] * len(result.findings)
        + ["looked up"] * len(looked_up)
        + ["answer"] * len(result.without_instance)
        + ["posture"] * posture
    )


@pytest.mark.parametrize("kind", sorted({*ALL, *WITHOUT_INSTANCE}))
def test_every_type_of_guardduty_without_an_instance_has_an_answer_in_every_format(
    event: Any, read: Any, kind: str
) -> None:
    of_artifact = kind.partition(":")[2].partition("/")[0] == "EC2"
    for severity, label in ((9.5, Severity.CRITICAL), (8.0, Severity.HIGH)):
        result = read(guardduty(event, kind, severity=severity))
        assert ends(result) == (["case"] if of_artifact else ["answer"]), result.reason
        told = [*result.findings, *result.without_instance]
        assert told[0].severity is label and all(words.is_told(item) for item in result.without_instance)
    for body in (asff(event, kind), ocsf(event, kind)):
        assert ends(read(body)) == ["answer"], "nothing confirms the account"
        assert ends(read(body, administrators=["111122223333"])) == ["case"]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("guardduty_ec2_c2", "case"),
        ("guardduty_malware_ecs", "looked up"),
        ("guardduty_eks_node", "looked up"),
        ("asff_threat_on_volume", "looked up"),
        ("guardduty_sequence_eks", "answer"),
        ("guardduty_sequence_ecs", "answer"),
        ("guardduty_eks_pod", "answer"),
        ("asff_threat_on_eks", "answer"),
        ("asff_bare_control", "posture"),
        ("asff_account_resource", "answer"),
        ("ocsf_compliance_account", "posture"),
        ("ocsf_bare_vulnerability", "posture"),
    ],
)
def test_each_end(event: Any, read: Any, name: str, end: str) -> None:
    assert ends(read(event(name))) == [end]


def test_sensitive_data_that_lies_somewhere_is_counted_and_told_to_nobody(event: Any, read: Any) -> None:
    """Macie (Security Hub user guide, *Types taxonomy for ASFF*: ``Sensitive Data Identifications``; OCSF 1.x class 2006)."""
    body = event("asff_malware_snapshot")
    finding = body["detail"]["findings"][0]
    finding["ProductArn"] = finding["ProductArn"].replace("guardduty", "macie")
    finding["Types"] = ["Sensitive Data Identifications/Passwords/SensitiveData:S3Object-Credentials"]
    finding["Resources"] = [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::files", "Partition": "aws", "Region": REGION}]
    assert ends(read(body)) == ["posture"]
    body = event("ocsf_malware_ami")
    finding = body["detail"]["findings"][0]
    finding |= {"class_uid": 2006, "class_name": "Data Security Finding"}
    finding["finding_info"]["types"] = ["Sensitive Data", "SensitiveData:S3Object/Credentials"]
    assert ends(read(body)) == ["posture"]
    finding["finding_info"]["types"] = ["Sensitive Data", "Exfiltration:S3/AnomalousBehavior"]
    assert ends(read(body)) == ["answer"]


def test_what_is_over_made_up_or_our_own_is_told_to_nobody(event: Any, read: Any) -> None:
    body = event("guardduty_malware_snapshot")
    body["detail"]["service"]["archived"] = True
    assert ends(read(body)) == []
    body = event("guardduty_malware_snapshot")
    body["detail"]["service"]["additionalInfo"] = {"sample": True}
    assert ends(read(body)) == [] and ends(read(body, accept_samples=True)) == ["case"]
    body = event("guardduty_malware_snapshot")
    body["account"] = body["detail"]["accountId"] = "222233334444"
    body["detail"]["arn"] = body["detail"]["arn"].replace("333344445555", "222233334444")
    assert ends(read(body)) == [], "evidence of cases holds malware"


# ---------------------------------------------------------------------- when and what
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"severity": Severity.CRITICAL}, True),
        ({"severity": Severity.HIGH}, True),
        ({"severity": Severity.MEDIUM}, False),
        ({"severity": Severity.MEDIUM, "severity_unread": True}, True),
        ({"severity": Severity.LOW, "action": CustomAction.TRIAGE}, True),
    ],
)
def test_people_are_told_of_the_severe_the_unreadable_and_of_every_order(changes: dict[str, Any], told: bool) -> None:
    assert words.is_told(item(**changes)) is told


def test_a_scan_that_finds_it_again_is_the_same_wave_and_a_rise_is_another() -> None:
    first = words.wave_key(item())
    assert words.wave_key(item(finding_id="f-2", title="again")) == first
    assert words.wave_key(item(types=("TTPs/Execution/Execution:EC2-MaliciousFile!Snapshot",))) == first, "as ASFF"
    others = [
        item(severity=Severity.CRITICAL), item(resource="other"), item(account_id="444455556666"), item(types=("x",)),
        item(action=CustomAction.FULL, press="1"), item(action=CustomAction.FULL, press="2"), item(region="eu-west-1"),
        item(resource="", finding_id="f-3"),
    ]  # fmt: skip
    assert len({first, *(words.wave_key(other) for other in others)}) == 1 + len(others)


@pytest.mark.parametrize("kind", SubjectKind)
def test_every_kind_has_something_that_people_can_do(kind: SubjectKind) -> None:
    text = words.next_action(item(kind=kind))
    assert len(text) > 40 and text.endswith(".")
    if kind in {SubjectKind.TASK, SubjectKind.POD, SubjectKind.SNAPSHOT, SubjectKind.IMAGE, SubjectKind.EKS_CLUSTER}:
        assert "forensic_case" in text


def test_the_message_says_what_why_and_what_to_do() -> None:
    told = item(
        sent_by="999988887777",
        nodes=("i-0bbbbbbbbbbbbbbb2",),
        why="AWS::EC2::Volume vol-1 is not attached to an instance",
    )
    text = "\n".join(words.lines(told))
    for part in (
        ARN,
        "HIGH",
        "GuardDuty",
        ACCOUNT,
        REGION,
        "i-0bbbbbbbbbbbbbbb2",
        "not attached",
        "999988887777",
        "LockSnapshot",
    ):
        assert part in text, part
    assert words.subject(told) == f"HIGH in {ACCOUNT}, no case: snapshot: A malicious file was found"
    assert words.subject(item(severity_unread=True)).startswith("UNKNOWN SEVERITY")
    assert words.reason(item(action=CustomAction.FULL)).startswith(
        "ForensicFull cannot be carried out: it names no EC2 instance"
    )
    assert words.facts(told)["event"] == words.EVENT
