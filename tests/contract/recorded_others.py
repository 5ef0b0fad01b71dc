"""What each recorded answer of the other services has to be to the product's gateways."""

from __future__ import annotations

from typing import Any

from forensics.aws.autoscaling import AutoScalingGateway
from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.aws.elb import BalancerGateway
from forensics.aws.guardduty import GuardDutyGateway
from forensics.aws.iam import IamGateway, principals_besides_ec2
from forensics.aws.kms import KeyGateway
from forensics.aws.s3_archive import EvidenceArchive
from forensics.aws.s3_landing import LandingGateway
from forensics.aws.securityhub import SecurityHubGateway
from forensics.aws.sqs import FindingQueue
from forensics.aws.ssm import SsmGateway
from forensics.containment.permissions import Permission
from tests.contract.recorded import WHERE, Recorded


def keys(answer: dict[str, Any]) -> None:
    with Recorded("kms", {"DescribeKey": answer}) as client:
        facts = KeyGateway(client, **WHERE).describe("arn:aws:kms:eu-central-1:111122223333:key/k")
    made = answer["KeyMetadata"]
    assert (facts.arn, facts.state, facts.manager, facts.problem) == (
        made["Arn"],
        made.get("KeyState"),
        made.get("KeyManager"),
        None,
    )


def roles(answer: dict[str, Any]) -> None:
    """GetRole's role is what GetInstanceProfile holds."""
    role = answer["Role"]
    with Recorded("iam", {"GetInstanceProfile": {"InstanceProfile": {"Roles": [role]}}}) as client:
        found = IamGateway(client, **WHERE).profile_role("p")
    assert found is not None
    assert all(isinstance(principal, str) for principal in principals_besides_ec2(found["AssumeRolePolicyDocument"]))


def profiles(answer: dict[str, Any]) -> None:
    with Recorded("iam", {"ListInstanceProfilesForRole": answer}) as client:
        assert len(IamGateway(client, **WHERE).profiles_of("r")) == len(answer["InstanceProfiles"])


def own_policies(answer: dict[str, Any]) -> None:
    with Recorded("iam", {"ListRolePolicies": answer}) as client:
        assert IamGateway(client, **WHERE).own_policies("r") == ()


def simulations(answer: dict[str, Any]) -> None:
    with Recorded("iam", {"SimulatePrincipalPolicy": answer}) as client:
        allowed, words = IamGateway(client, **WHERE).simulate(
            "arn:aws:iam::111122223333:role/r", Permission(action="a:B", resource="*")
        )
    assert words
    assert (allowed is True) == (answer["EvaluationResults"][0]["EvalDecision"] == "allowed")


def scaling(answer: dict[str, Any]) -> None:
    for group in answer["AutoScalingGroups"]:
        inside = {
            "AutoScalingInstances": [
                {"AutoScalingGroupName": group["AutoScalingGroupName"], "LifecycleState": "InService"}
            ]
        }
        groups = {"AutoScalingGroups": [group]}
        with Recorded(
            "autoscaling", {"DescribeAutoScalingGroups": groups, "DescribeAutoScalingInstances": inside}
        ) as client:
            facts = AutoScalingGateway(client, **WHERE).membership("i-1")
        assert facts is not None
        assert (facts.minimum, facts.desired, facts.maximum) == (
            group["MinSize"],
            group["DesiredCapacity"],
            group["MaxSize"],
        )


def balancers(answer: dict[str, Any]) -> None:
    old = answer if "LoadBalancerDescriptions" in answer else {"LoadBalancerDescriptions": []}
    known = [i["InstanceId"] for b in old["LoadBalancerDescriptions"] for i in b["Instances"]]
    with Recorded("elb", {"DescribeLoadBalancers": old}) as classic, Recorded("elbv2", {}) as current:
        for instance in known or ["i-1"]:
            found = BalancerGateway(classic, current, **WHERE).memberships(instance, addresses=(), vpc_ids=())
            assert bool(found) == bool(known)


def target_groups(answer: dict[str, Any]) -> None:
    vpcs = [g["VpcId"] for g in answer["TargetGroups"] if g.get("VpcId")]
    health = {"TargetHealthDescriptions": [{"Target": {"Id": "i-1", "Port": 80}, "TargetHealth": {"State": "healthy"}}]}
    with (
        Recorded("elb", {}) as classic,
        Recorded("elbv2", {"DescribeTargetGroups": answer, "DescribeTargetHealth": health}) as current,
    ):
        found = BalancerGateway(classic, current, **WHERE).memberships("i-1", addresses=(), vpc_ids=vpcs)
    assert len(found) == len(
        [g for g in answer["TargetGroups"] if g.get("TargetType", "instance") in ("instance", "ip")]
    )


def target_health(answer: dict[str, Any]) -> None:
    groups = {
        "TargetGroups": [
            {"TargetGroupArn": "arn:aws:elasticloadbalancing:t", "TargetType": "instance", "VpcId": "vpc-1"}
        ]
    }
    with (
        Recorded("elb", {}) as classic,
        Recorded("elbv2", {"DescribeTargetGroups": groups, "DescribeTargetHealth": answer}) as current,
    ):
        for described in answer["TargetHealthDescriptions"]:
            found = BalancerGateway(classic, current, **WHERE).memberships(
                described["Target"]["Id"], addresses=(), vpc_ids=["vpc-1"]
            )
            assert bool(found) == (described.get("TargetHealth", {}).get("State") != "draining")


def managed(answer: dict[str, Any]) -> None:
    with Recorded("ssm", {"DescribeInstanceInformation": answer}) as client:
        assert not SsmGateway(client, **WHERE).status("i-never").managed
        for record in answer["InstanceInformationList"]:
            status = SsmGateway(client, **WHERE).status(record["InstanceId"])
            assert (status.managed, status.ping) == (True, record.get("PingStatus"))


def sent(answer: dict[str, Any]) -> None:
    with Recorded("ssm", {"SendCommand": answer}) as client:
        sent = SsmGateway(client, **WHERE).send(
            document="d",
            version="1",
            sha256="0" * 64,
            instance_id="i-1",
            parameters={},
            comment="c",
            timeout_seconds=60,
        )
    assert sent == answer["Command"]["CommandId"]


def invocations(answer: dict[str, Any]) -> None:
    with Recorded("ssm", {"GetCommandInvocation": answer}) as client:
        found = SsmGateway(client, **WHERE).invocation(command_id="c" * 36, instance_id="i-1")
    assert found is not None
    assert found.finished == (answer["Status"] not in ("Pending", "InProgress", "Delayed", "Cancelling"))
    assert found.cause()


def parameters(answer: dict[str, Any]) -> None:
    with Recorded("ssm", {"GetParameter": answer}) as client:
        assert SsmGateway(client, **WHERE).parameter("/p") == answer["Parameter"]["Value"]


def findings(answer: dict[str, Any]) -> None:
    with Recorded("securityhub", {"GetFindings": answer}) as client:
        assert (
            SecurityHubGateway(client, **WHERE).finding("f", account_id="111122223333")
            == (answer["Findings"] or [None])[0]
        )


def detectors(answer: dict[str, Any]) -> None:
    with Recorded("guardduty", {"ListDetectors": answer}) as client:
        assert GuardDutyGateway(client, **WHERE).detectors() == answer["DetectorIds"]
        assert GuardDutyGateway(client, **WHERE).finding("f") is None


def heads(answer: dict[str, Any]) -> None:
    with Recorded("s3", {"HeadObject": answer}) as client:
        assert LandingGateway(client, bucket="b").size("k") == answer["ContentLength"]


def versions(answer: dict[str, Any]) -> None:
    with Recorded("s3", {"ListObjectVersions": {**answer, "IsTruncated": False}}) as client:
        archive = EvidenceArchive(client, bucket="b", owner="111122223333")
        assert len(archive.versions("")) == len(answer.get("Versions", []))
        archive.deleted("")


def bodies(answer: dict[str, Any]) -> None:
    with Recorded("s3", {"GetObject": answer}) as client:
        assert LandingGateway(client, bucket="b").read("k", limit=10) == b"x"


def queue_attributes(answer: dict[str, Any]) -> None:
    depth = answer.get("Attributes", {}).get("ApproximateNumberOfMessages")
    if depth is not None:  # it was asked for
        with Recorded("sqs", {"GetQueueAttributes": answer}) as client:
            assert FindingQueue(client, url="https://q", dead_letter_url="https://d").depth() == int(depth)


def messages(answer: dict[str, Any]) -> None:
    with Recorded("sqs", {"ReceiveMessage": answer}) as client:
        found = FindingQueue(client, url="https://q", dead_letter_url="https://d").receive(visibility=1)
    assert found == answer.get("Messages", [])


def block_lists(answer: dict[str, Any]) -> None:
    with Recorded("ebs", {"ListSnapshotBlocks": answer}) as client:
        gateway = EbsDirectGateway(client, **WHERE)
        assert gateway.volume_bytes("snap-1") == answer["VolumeSize"] * 1024**3
        assert [index for index, _ in gateway.tokens("snap-1")] == [b["BlockIndex"] for b in answer["Blocks"]]
