"""Shapes of real answers go through the product's gateways: which members are there, absent, empty, how often, in which order.

tests/data/recorded/*.json: shapes of answers that others recorded at AWS, each with its source (repository and path) and invented contents;
scripts/recorded_shapes.py makes answers.json and errors.json, recent.json is written by hand from recordings of September 2026.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from forensics.aws.autoscaling import AutoScalingGateway
from forensics.aws.ebs import EbsGateway
from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ec2_facts import Ec2Facts, volumes_of
from forensics.aws.elb import BalancerGateway
from forensics.aws.error_map import aws_errors, error_code
from forensics.aws.guardduty import GuardDutyGateway
from forensics.aws.iam import IamGateway, principals_besides_ec2
from forensics.aws.kms import KeyGateway
from forensics.aws.s3_archive import EvidenceArchive
from forensics.aws.s3_landing import LandingGateway
from forensics.aws.securityhub import SecurityHubGateway
from forensics.aws.sqs import FindingQueue
from forensics.aws.ssm import SsmGateway
from forensics.containment.permissions import Permission
from forensics.errors import AwsError

DATA = Path(__file__).resolve().parents[1] / "data" / "recorded"
WHERE: dict[str, str] = {"account_id": "111122223333", "region": "eu-central-1"}
Answers = Mapping[str, Any]


def _load(name: str) -> list[dict[str, Any]]:
    return list(json.loads((DATA / name).read_text("utf-8"), object_hook=_times))


def _times(value: dict[str, Any]) -> Any:
    return datetime.fromisoformat(value["__time__"]) if set(value) == {"__time__"} else value


ANSWERS = [*_load("answers.json"), *_load("recent.json")]
ERRORS = _load("errors.json")


@lru_cache
def _client(service: str) -> Any:
    return boto3.client(
        service, region_name="eu-central-1", aws_access_key_id="none", aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


class Recorded:
    """A client whose calls are answered with recorded shapes; what was not recorded is answered emptily."""

    def __init__(self, service: str, answers: Answers, *, error: Mapping[str, Any] | None = None) -> None:
        self._service, self._answers, self._error = _client(service), answers, error
        self._events = self._service.meta.events

    def __enter__(self) -> Any:
        self._events.register("before-call", self._answer, unique_id="recorded")
        return self._service

    def __exit__(self, *_: object) -> None:
        self._events.unregister("before-call", self._answer, unique_id="recorded")

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        class Http:
            status_code = 200

        given = self._answers.get(model.name)
        if self._error is not None and given is None:
            Http.status_code = self._error["status"]
            return Http(), dict(self._error["answer"])
        parsed = dict(given) if given is not None else _empty(model.output_shape)
        if model.has_streaming_output:
            parsed |= {model.get_streaming_output().name: b""}
            parsed["Body"] = StreamingBody(io.BytesIO(b"x"), 1)
        parsed.pop("NextToken", None)
        parsed.pop("NextMarker", None)
        return Http(), parsed | {"ResponseMetadata": {"HTTPStatusCode": 200}}


def _empty(shape: Any) -> dict[str, Any]:
    return {name: [] for name, member in shape.members.items() if member.type_name == "list"} if shape else {}


def _ec2(answer: Any, play: Callable[[Any], object], **others: Any) -> None:
    with Recorded("ec2", {**others, **answer}) as client:
        play(client)


def _instances(answer: dict[str, Any]) -> None:
    records = [i for r in answer["Reservations"] for i in r["Instances"]]
    for record in records:

        def look(client: Any, record: dict[str, Any] = record) -> None:
            target, raw = Ec2Gateway(client, **WHERE).describe_target(record["InstanceId"])
            assert target.state == record["State"]["Name"]
            assert raw["instance"] == record
            assert len(volumes_of(record)) == len([m for m in record.get("BlockDeviceMappings", []) if m.get("Ebs")])
            Ec2Gateway(client, **WHERE).find_instances(tags={"a": "b"})
            assert Ec2Gateway(client, **WHERE).zone(record["InstanceId"]) == record["Placement"]["AvailabilityZone"]

        _ec2({"DescribeInstances": answer}, look)


def _interfaces(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        found = Ec2Gateway(client, **WHERE).interfaces("i-1")
        assert {i.id for i in found} == {i["NetworkInterfaceId"] for i in answer["NetworkInterfaces"]}
        facts = Ec2Facts(client, **WHERE).interfaces("i-1")
        wanted = {
            i["NetworkInterfaceId"]: tuple(g["GroupId"] for g in i.get("Groups", []))
            for i in answer["NetworkInterfaces"]
        }
        assert {i.id: i.group_ids for i in facts} == wanted

    _ec2({"DescribeNetworkInterfaces": answer}, look)


def _addresses(answer: dict[str, Any]) -> None:
    named = [a["NetworkInterfaceId"] for a in answer["Addresses"] if a.get("NetworkInterfaceId")]
    interfaces = {
        "NetworkInterfaces": [
            {"NetworkInterfaceId": name, "Groups": []} for name in dict.fromkeys([*named, "eni-other"])
        ]
    }

    def look(client: Any) -> None:
        facts = Ec2Facts(client, **WHERE).interfaces("i-1")
        assert sum(len(i.addresses) for i in facts) == len(
            [a for a in answer["Addresses"] if a.get("NetworkInterfaceId") and a.get("AllocationId")]
        )

    _ec2({"DescribeAddresses": answer, "DescribeNetworkInterfaces": interfaces}, look)


def _groups(answer: dict[str, Any]) -> None:
    named = [{**g, "GroupName": f"forensics-case-1-{n}"} for n, g in enumerate(answer["SecurityGroups"])]

    def look(client: Any) -> None:
        facts = Ec2Facts(client, **WHERE)
        assert len(facts.group_ids(case_id="case-1")) == len(named)
        assert {g.id for g in facts.own_groups(case_id="case-1", token="")} == {g["GroupId"] for g in named}

    _ec2({"DescribeSecurityGroups": {"SecurityGroups": named}}, look)


def _volumes(answer: dict[str, Any]) -> None:
    instance = {"InstanceId": "i-0123456789abcdef0", "State": {"Name": "running"}}

    def look(client: Any) -> None:
        assert len(EbsGateway(client, **WHERE).find_volumes(tags={"a": "b"})) == len(answer["Volumes"])
        target, _ = Ec2Gateway(client, **WHERE).describe_target(instance["InstanceId"])
        assert [v.id for v in target.volumes] == [v["VolumeId"] for v in answer["Volumes"]]

    _ec2({"DescribeVolumes": answer, "DescribeInstances": {"Reservations": [{"Instances": [instance]}]}}, look)


def _snapshots(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        found = EbsGateway(client, **WHERE).find_snapshots(tags={"a": "b"})
        assert [(s.id, s.state) for s in found] == [
            (s["SnapshotId"], s.get("State", "pending")) for s in answer["Snapshots"]
        ]

    _ec2({"DescribeSnapshots": answer}, look)


def _attributes(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        facts = Ec2Facts(client, **WHERE)
        for name in ("disableApiTermination", "disableApiStop", "instanceInitiatedShutdownBehavior"):
            value = answer.get(name[0].upper() + name[1:])
            assert facts.attribute("i-1", name=name) == (value or {}).get("Value")

    _ec2({"DescribeInstanceAttribute": answer}, look)


def _permissions(answer: dict[str, Any]) -> None:
    one = {"Snapshots": [{"SnapshotId": "snap-1", "State": "completed"}]}

    def look(client: Any) -> None:
        audited = EbsGateway(client, **WHERE).audited("snap-1")
        assert audited.public == any(p.get("Group") == "all" for p in answer.get("CreateVolumePermissions", []))

    _ec2(
        {"DescribeSnapshotAttribute": answer, "DescribeSnapshots": one, "DescribeLockedSnapshots": {"Snapshots": []}},
        look,
    )


def _endpoints(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        found = Ec2Facts(client, **WHERE).endpoints(["vpc-1"])
        assert {e.id for e in found} == {
            e["VpcEndpointId"] for e in answer["VpcEndpoints"] if e.get("State", "available").lower() == "available"
        }

    _ec2({"DescribeVpcEndpoints": answer}, look)


def _vpcs(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        facts = Ec2Facts(client, **WHERE)
        assert facts.first_vpc() == next((v["VpcId"] for v in answer["Vpcs"]), None)
        facts.ipv6_vpcs([v["VpcId"] for v in answer["Vpcs"]])

    _ec2({"DescribeVpcs": answer}, look)


def _associations(answer: dict[str, Any]) -> None:
    name = "IamInstanceProfileAssociations"
    _ec2(
        {f"Describe{name}": answer},
        lambda c: _equal(len(Ec2Facts(c, **WHERE).profile_associations()), len(answer[name])),
    )


def _keys(answer: dict[str, Any]) -> None:
    with Recorded("kms", {"DescribeKey": answer}) as client:
        facts = KeyGateway(client, **WHERE).describe("arn:aws:kms:eu-central-1:111122223333:key/k")
    made = answer["KeyMetadata"]
    assert (facts.arn, facts.state, facts.manager, facts.problem) == (
        made["Arn"],
        made.get("KeyState"),
        made.get("KeyManager"),
        None,
    )


def _roles(answer: dict[str, Any]) -> None:
    """GetRole's role is what GetInstanceProfile holds."""
    role = answer["Role"]
    with Recorded("iam", {"GetInstanceProfile": {"InstanceProfile": {"Roles": [role]}}}) as client:
        found = IamGateway(client, **WHERE).profile_role("p")
    assert found is not None
    assert all(isinstance(principal, str) for principal in principals_besides_ec2(found["AssumeRolePolicyDocument"]))


def _profiles(answer: dict[str, Any]) -> None:
    with Recorded("iam", {"ListInstanceProfilesForRole": answer}) as client:
        assert len(IamGateway(client, **WHERE).profiles_of("r")) == len(answer["InstanceProfiles"])


def _own_policies(answer: dict[str, Any]) -> None:
    with Recorded("iam", {"ListRolePolicies": answer}) as client:
        assert IamGateway(client, **WHERE).own_policies("r") == ()


def _simulations(answer: dict[str, Any]) -> None:
    with Recorded("iam", {"SimulatePrincipalPolicy": answer}) as client:
        allowed, words = IamGateway(client, **WHERE).simulate(
            "arn:aws:iam::111122223333:role/r", Permission(action="a:B", resource="*")
        )
    assert words
    assert (allowed is True) == (answer["EvaluationResults"][0]["EvalDecision"] == "allowed")


def _scaling(answer: dict[str, Any]) -> None:
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


def _balancers(answer: dict[str, Any]) -> None:
    old = answer if "LoadBalancerDescriptions" in answer else {"LoadBalancerDescriptions": []}
    known = [i["InstanceId"] for b in old["LoadBalancerDescriptions"] for i in b["Instances"]]
    with Recorded("elb", {"DescribeLoadBalancers": old}) as classic, Recorded("elbv2", {}) as current:
        for instance in known or ["i-1"]:
            found = BalancerGateway(classic, current, **WHERE).memberships(instance, addresses=(), vpc_ids=())
            assert bool(found) == bool(known)


def _target_groups(answer: dict[str, Any]) -> None:
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


def _target_health(answer: dict[str, Any]) -> None:
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


def _managed(answer: dict[str, Any]) -> None:
    with Recorded("ssm", {"DescribeInstanceInformation": answer}) as client:
        assert not SsmGateway(client, **WHERE).status("i-never").managed
        for record in answer["InstanceInformationList"]:
            status = SsmGateway(client, **WHERE).status(record["InstanceId"])
            assert (status.managed, status.ping) == (True, record.get("PingStatus"))


def _sent(answer: dict[str, Any]) -> None:
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


def _invocations(answer: dict[str, Any]) -> None:
    with Recorded("ssm", {"GetCommandInvocation": answer}) as client:
        found = SsmGateway(client, **WHERE).invocation(command_id="c" * 36, instance_id="i-1")
    assert found is not None
    assert found.finished == (answer["Status"] not in ("Pending", "InProgress", "Delayed", "Cancelling"))
    assert found.cause()


def _parameters(answer: dict[str, Any]) -> None:
    with Recorded("ssm", {"GetParameter": answer}) as client:
        assert SsmGateway(client, **WHERE).parameter("/p") == answer["Parameter"]["Value"]


def _findings(answer: dict[str, Any]) -> None:
    with Recorded("securityhub", {"GetFindings": answer}) as client:
        assert (
            SecurityHubGateway(client, **WHERE).finding("f", account_id="111122223333")
            == (answer["Findings"] or [None])[0]
        )


def _detectors(answer: dict[str, Any]) -> None:
    with Recorded("guardduty", {"ListDetectors": answer}) as client:
        assert GuardDutyGateway(client, **WHERE).detectors() == answer["DetectorIds"]
        assert GuardDutyGateway(client, **WHERE).finding("f") is None


def _heads(answer: dict[str, Any]) -> None:
    with Recorded("s3", {"HeadObject": answer}) as client:
        assert LandingGateway(client, bucket="b").size("k") == answer["ContentLength"]


def _versions(answer: dict[str, Any]) -> None:
    with Recorded("s3", {"ListObjectVersions": {**answer, "IsTruncated": False}}) as client:
        archive = EvidenceArchive(client, bucket="b", owner="111122223333")
        assert len(archive.versions("")) == len(answer.get("Versions", []))
        archive.deleted("")


def _bodies(answer: dict[str, Any]) -> None:
    with Recorded("s3", {"GetObject": answer}) as client:
        assert LandingGateway(client, bucket="b").read("k", limit=10) == b"x"


def _queue_attributes(answer: dict[str, Any]) -> None:
    depth = answer.get("Attributes", {}).get("ApproximateNumberOfMessages")
    if depth is not None:  # it was asked for
        with Recorded("sqs", {"GetQueueAttributes": answer}) as client:
            assert FindingQueue(client, url="https://q", dead_letter_url="https://d").depth() == int(depth)


def _messages(answer: dict[str, Any]) -> None:
    with Recorded("sqs", {"ReceiveMessage": answer}) as client:
        found = FindingQueue(client, url="https://q", dead_letter_url="https://d").receive(visibility=1)
    assert found == answer.get("Messages", [])


def _block_lists(answer: dict[str, Any]) -> None:
    with Recorded("ebs", {"ListSnapshotBlocks": answer}) as client:
        gateway = EbsDirectGateway(client, **WHERE)
        assert gateway.volume_bytes("snap-1") == answer["VolumeSize"] * 1024**3
        assert [index for index, _ in gateway.tokens("snap-1")] == [b["BlockIndex"] for b in answer["Blocks"]]


def _copies(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        copied = EbsGateway(client, **WHERE).copy(
            "snap-1", source_region="eu-central-1", kms_key_id="k", description="d", tags=[]
        )
        assert copied == answer["SnapshotId"]

    _ec2({"CopySnapshot": answer}, look)


def _types(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        wanted = answer["InstanceTypes"][0]["MemoryInfo"]["SizeInMiB"]
        assert Ec2Gateway(client, **WHERE).memory_mib("t3.nano") == wanted
        EbsGateway(client, **WHERE).instance_store_gb("t3.nano")

    _ec2({"DescribeInstanceTypes": answer}, look)


def _equal(one: object, other: object) -> None:
    assert one == other


PLAYERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "ec2.DescribeInstances": _instances, "ec2.DescribeNetworkInterfaces": _interfaces, "ec2.DescribeAddresses": _addresses,
    "ec2.DescribeSecurityGroups": _groups, "ec2.DescribeVolumes": _volumes, "ec2.DescribeSnapshots": _snapshots,
    "ec2.DescribeInstanceAttribute": _attributes, "ec2.DescribeSnapshotAttribute": _permissions, "ec2.DescribeVpcEndpoints": _endpoints,
    "ec2.DescribeVpcs": _vpcs, "ec2.DescribeIamInstanceProfileAssociations": _associations, "ec2.DescribeInstanceTypes": _types,
    "ec2.CopySnapshot": _copies, "ebs.ListSnapshotBlocks": _block_lists, "kms.DescribeKey": _keys, "iam.GetRole": _roles,
    "iam.ListInstanceProfilesForRole": _profiles, "iam.ListRolePolicies": _own_policies, "iam.SimulatePrincipalPolicy": _simulations,
    "autoscaling.DescribeAutoScalingGroups": _scaling, "elasticloadbalancing.DescribeLoadBalancers": _balancers,
    "elasticloadbalancing.DescribeTargetGroups": _target_groups, "elasticloadbalancing.DescribeTargetHealth": _target_health,
    "ssm.DescribeInstanceInformation": _managed, "ssm.SendCommand": _sent, "ssm.GetCommandInvocation": _invocations, "ssm.GetParameter": _parameters,
    "securityhub.GetFindings": _findings, "guardduty.ListDetectors": _detectors, "s3.HeadObject": _heads, "s3.ListObjectVersions": _versions,
    "s3.GetObject": _bodies, "sqs.GetQueueAttributes": _queue_attributes, "sqs.ReceiveMessage": _messages,
}  # fmt: skip
PLAYED = [a for a in ANSWERS if a["operation"] in PLAYERS and a["status"] == 200]


def _id(shape: Mapping[str, Any]) -> str:
    return f"{shape['operation']}-{Path(shape['path']).parent.name}"


@pytest.mark.parametrize("shape", PLAYED, ids=_id)
def test_a_gateway_reads_what_aws_answered(shape: dict[str, Any]) -> None:
    PLAYERS[shape["operation"]](shape["answer"])


@pytest.mark.parametrize("shape", ERRORS, ids=lambda s: f"{s['service']}-{s['code']}-{s['status']}")
def test_an_error_of_aws_becomes_one_of_ours(shape: dict[str, Any]) -> None:
    answer: Any = {
        "Error": {"Code": shape["code"], "Message": "words of the service"},
        "ResponseMetadata": {"HTTPStatusCode": shape["status"]},
    }
    with pytest.raises(AwsError) as caught, aws_errors("do something"):
        raise ClientError(answer, "Operation")
    assert "do something" in str(caught.value)
    assert error_code(caught.value) == shape["code"]
    assert caught.value.next_action


def test_there_are_at_least_150_shapes_and_each_names_its_source() -> None:
    assert len(PLAYED) + len(ERRORS) >= 150
    assert all(shape["repository"].count("/") == 1 and shape["path"] for shape in [*ANSWERS, *ERRORS])
    services = Counter(shape["operation"].split(".")[0] for shape in PLAYED)
    assert {
        "ec2",
        "ebs",
        "ssm",
        "kms",
        "iam",
        "autoscaling",
        "elasticloadbalancing",
        "securityhub",
        "guardduty",
        "s3",
        "sqs",
    } <= set(services)
