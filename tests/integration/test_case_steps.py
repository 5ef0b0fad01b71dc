"""The steps of a case against the lab, one after the other: the happy path without the forensic tools."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.containment import planner
from forensics.containment.operators import IsolateTargetOperator
from forensics.custody.chain import verify_chain
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.intake.operators import OpenCaseOperator
from forensics.investigation.instance_operators import (
    AttachEvidenceVolumesOperator,
    LaunchForensicInstanceOperator,
    TerminateForensicInstanceOperator,
)
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.naming import tags
from forensics.triage.operators import DescribeTargetOperator, PlanResponseOperator
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform


def open_case(lab: SmallLab, name: str = "web-server", **params: str) -> str:
    """Open a case manually, as the UI does."""
    instance = lab.facts["instances"][name]
    given = {"account_id": instance["account"], "region": instance["region"], "instance_id": instance["instance_id"]}
    return perform(
        OpenCaseOperator(task_id="open_case"), params={"actions": "by-policy", "reason": "test", **given, **params}
    )


def triage(case_id: str) -> dict[str, bool]:
    """Describe and plan."""
    perform(DescribeTargetOperator(task_id="describe_target"), case_id=case_id)
    return perform(PlanResponseOperator(task_id="plan_response"), case_id=case_id)


def test_the_first_message_names_account_and_instance_for_a_lock_screen(lab: SmallLab) -> None:
    instance = lab.facts["instances"]["web-server"]["instance_id"]
    lab.client("iam", "member").create_account_alias(AccountAlias="acme-prod")
    name = [{"Key": "Name", "Value": "web\n[fc-20991231-ffffffffff] closed"}]
    lab.client("ec2", "member").create_tags(Resources=[instance], Tags=name)
    case_id = open_case(lab)
    (opened,) = [mail for mail in lab.mail() if mail["attributes"]["event"] == "case_opened"]
    assert opened["subject"].startswith("HIGH acme-prod web_fc-20991231-ffffff..: Case opened: ")
    assert f"Case {case_id}: instance {instance} (web_fc-20991231-ffffff..) in account" in opened["message"]


def test_memory_is_captured_verified_and_locked(lab: SmallLab) -> None:
    case_id = open_case(lab)
    assert triage(case_id) == {"memory": True, "disk": True, "isolate": True}
    perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)
    recorder = recorder_of(case_id, step="test")
    (memory,) = recorder.evidence(EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.ACQUIRED, memory.reason
    bucket, key = str(memory.uri).removeprefix("s3://").split("/", 1)
    body = lab.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    digest = hashlib.sha256(body).hexdigest()
    assert [d.value for d in memory.digests] == [digest, digest]
    assert set(memory.origin.kernel_facts) == {"btf", "kallsyms", "version", "iomem"}
    retention = lab.client("s3").get_object_retention(Bucket=bucket, Key=key)["Retention"]
    assert retention["Mode"] == "GOVERNANCE"
    verify_chain(recorder.gateways.ledger.events(case_id))
    # A cleared task does not capture again.
    again = perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    assert again["already"] is True


def test_disks_are_snapshotted_once_locked_and_copied(lab: SmallLab) -> None:
    case_id = open_case(lab)
    triage(case_id)
    for _ in range(2):  # the second is a cleared task
        perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
        perform(CopySnapshotsOperator(task_id="copy_snapshots"), case_id=case_id)
    recorder = recorder_of(case_id, step="test")
    disks = recorder.evidence(EvidenceKind.DISK)
    volumes = set(lab.facts["instances"]["web-server"]["volumes"].values())
    assert {d.origin.volume_id for d in disks} == volumes
    assert {d.outcome for d in disks} == {Outcome.ACQUIRED}
    marks = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    originals = lab.client("ec2", "member").describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"]
    made = lab.client("ec2").describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"]
    copies = [s for s in made if s["State"] != "error"]  # what began before its share had spread was made again
    assert len(originals) == len(copies) == len(volumes)
    locked = lab.client("ec2").describe_locked_snapshots()["Snapshots"]
    assert {s["SnapshotId"] for s in locked} == {s["SnapshotId"] for s in copies}
    assert all(c["KmsKeyId"] == lab.facts["evidence_key_arn"] for c in copies)


def test_isolation_covers_every_interface_and_survives_a_retry(lab: SmallLab) -> None:
    case_id = open_case(lab, "db-server")
    triage(case_id)
    for _ in range(2):
        result = perform(IsolateTargetOperator(task_id="isolate_target"), case_id=case_id)
    instance = lab.facts["instances"]["db-server"]["instance_id"]
    ec2 = lab.client("ec2", "member")
    interfaces = ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
    assert len(interfaces["NetworkInterfaces"]) == 2
    for eni in interfaces["NetworkInterfaces"]:
        assert [g["GroupId"] for g in eni["Groups"]] == [result["group_id"]]
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [result["group_id"]]}])
    assert rules["SecurityGroupRules"] == []
    recorder = recorder_of(case_id, step="test")
    point = recorder.view().restore_point
    assert point is not None
    groups = {g for i in point.interfaces for g in i.group_ids}
    assert groups == {
        lab.facts["member_network"]["database_security_group_id"],
        lab.facts["member_network"]["web_security_group_id"],
    }


def test_a_planted_group_of_the_very_same_name_is_not_used(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the intruder had guessed the name's random token, and the tags beside it."""
    guessed, fresh = "0" * 12, "1" * 12
    tokens = iter((guessed, fresh))
    monkeypatch.setattr(planner, "secrets", SimpleNamespace(token_hex=lambda _bytes: next(tokens)))
    case_id = open_case(lab)
    triage(case_id)
    ec2 = lab.client("ec2", "member")
    planted = ec2.create_security_group(
        GroupName=f"forensics-quarantine-{case_id}-{guessed}",
        Description="x",
        VpcId=lab.facts["member_network"]["vpc_id"],
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags(case_id, "quarantine")}],
    )["GroupId"]
    way_in = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.66/32"}]}
    ec2.authorize_security_group_ingress(GroupId=planted, IpPermissions=[way_in])
    result = perform(IsolateTargetOperator(task_id="isolate_target"), case_id=case_id)
    assert result["group_id"] != planted
    instance = lab.facts["instances"]["web-server"]["instance_id"]
    found = ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
    for interface in found["NetworkInterfaces"]:
        (group,) = interface["Groups"]
        assert group["GroupName"] == f"forensics-quarantine-{case_id}-{fresh}"


def test_without_ssm_memory_is_not_applicable_and_said(lab: SmallLab) -> None:
    case_id = open_case(lab, "db-server")
    plan = triage(case_id)
    assert plan == {"memory": False, "disk": True, "isolate": True}
    with pytest.raises(AirflowSkipException, match="not managed by SSM"):
        perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    recorder = recorder_of(case_id, step="test")
    (memory,) = recorder.evidence(EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.NOT_APPLICABLE
    assert any("Memory cannot be captured" in m["subject"] for m in lab.mail())


def test_a_failed_capture_is_recorded_and_announced(lab: SmallLab) -> None:
    case_id = open_case(lab)
    triage(case_id)
    s3, tool = lab.client("s3"), {"Bucket": lab.facts["tools_bucket"], "Key": "tools/avml"}
    intact = s3.get_object(**tool)["Body"].read()
    s3.put_object(**tool, Body=b"#!/bin/sh\nexit 3\n")
    with pytest.raises(AirflowFailException, match="memory capture failed"):
        perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    recorder = recorder_of(case_id, step="test")
    (memory,) = recorder.evidence(EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.FAILED
    message = next(m for m in lab.mail() if "FAILED: capture_memory" in m["subject"])
    assert "What to do next" in message["message"]
    assert [failure.step for failure in recorder.view().failures] == ["capture_memory"]
    # the cause is fixed and the task cleared: the failure goes away
    s3.put_object(**tool, Body=intact)
    perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    assert recorder_of(case_id, step="test").view().failures == ()


def test_forensic_instance_gets_the_disks_and_goes(lab: SmallLab) -> None:
    case_id = open_case(lab)
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    perform(CopySnapshotsOperator(task_id="copy_snapshots"), case_id=case_id)
    launched = perform(LaunchForensicInstanceOperator(task_id="launch"), case_id=case_id)
    perform(AttachEvidenceVolumesOperator(task_id="attach"), case_id=case_id)
    ec2 = lab.client("ec2")
    attached = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [launched["instance_id"]]}])
    evidence = [v for v in attached["Volumes"] if v.get("SnapshotId")]
    assert len(evidence) >= len(lab.facts["instances"]["web-server"]["volumes"])
    perform(TerminateForensicInstanceOperator(task_id="terminate"), case_id=case_id)
    perform(TerminateForensicInstanceOperator(task_id="terminate"), case_id=case_id)
    left = ec2.describe_instances(
        Filters=[
            {"Name": "tag:forensics:case", "Values": [case_id]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
    )
    assert left["Reservations"] == []


def changes(lab: SmallLab) -> list[tuple[str, str]]:
    """Account and action of every call to EC2 and SSM so far that was more than a question."""
    calls = [call for service in ("ec2", "ssm") for call in lab.control(f"calls?service={service}")["calls"]]
    return [(c["account"], c["action"]) for c in calls if not c["action"].startswith(("Describe", "Get", "List"))]


def test_bad_requests_change_nothing(lab: SmallLab) -> None:
    before = changes(lab)
    assert before, "the lab records what its seed changed"
    for params, expected in (
        ({"instance_id": "i-xyz"}, "instance_id"),
        ({"account_id": "12"}, "account_id"),
        ({"region": "nowhere"}, "region"),
    ):
        with pytest.raises(AirflowFailException, match=expected):
            open_case(lab, **params)
    case_id = open_case(lab, instance_id="i-0123456789abcdef0")
    with pytest.raises(AirflowFailException, match="does not exist"):
        perform(DescribeTargetOperator(task_id="describe_target"), case_id=case_id)
    assert changes(lab) == before


def test_a_second_request_for_the_same_instance_is_refused(lab: SmallLab) -> None:
    first = open_case(lab)
    with pytest.raises(AirflowFailException, match=first):
        perform(
            OpenCaseOperator(task_id="open_case"),
            params={
                **{
                    k: lab.facts["instances"]["web-server"][j]
                    for k, j in (("account_id", "account"), ("region", "region"), ("instance_id", "instance_id"))
                }
            },
            run_id="manual__other",
        )
