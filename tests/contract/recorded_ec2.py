"""What each recorded answer of EC2 has to be to the product's gateways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.ec2_facts import Ec2Facts, volumes_of
from tests.contract.recorded import WHERE, Recorded, equal


def _ec2(answer: Any, play: Callable[[Any], object], **others: Any) -> None:
    with Recorded("ec2", {**others, **answer}) as client:
        play(client)


def instances(answer: dict[str, Any]) -> None:
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


def interfaces(answer: dict[str, Any]) -> None:
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


def addresses(answer: dict[str, Any]) -> None:
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


def groups(answer: dict[str, Any]) -> None:
    named = [{**g, "GroupName": f"forensics-case-1-{n}"} for n, g in enumerate(answer["SecurityGroups"])]

    def look(client: Any) -> None:
        facts = Ec2Facts(client, **WHERE)
        assert len(facts.group_ids(case_id="case-1")) == len(named)
        assert {g.id for g in facts.own_groups(case_id="case-1", token="")} == {g["GroupId"] for g in named}

    _ec2({"DescribeSecurityGroups": {"SecurityGroups": named}}, look)


def volumes(answer: dict[str, Any]) -> None:
    instance = {"InstanceId": "i-0123456789abcdef0", "State": {"Name": "running"}}

    def look(client: Any) -> None:
        assert len(EbsGateway(client, **WHERE).find_volumes(tags={"a": "b"})) == len(answer["Volumes"])
        target, _ = Ec2Gateway(client, **WHERE).describe_target(instance["InstanceId"])
        assert [v.id for v in target.volumes] == [v["VolumeId"] for v in answer["Volumes"]]

    _ec2({"DescribeVolumes": answer, "DescribeInstances": {"Reservations": [{"Instances": [instance]}]}}, look)


def snapshots(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        found = EbsGateway(client, **WHERE).find_snapshots(tags={"a": "b"})
        assert [(s.id, s.state) for s in found] == [
            (s["SnapshotId"], s.get("State", "pending")) for s in answer["Snapshots"]
        ]

    _ec2({"DescribeSnapshots": answer}, look)


def attributes(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        facts = Ec2Facts(client, **WHERE)
        for name in ("disableApiTermination", "disableApiStop", "instanceInitiatedShutdownBehavior"):
            value = answer.get(name[0].upper() + name[1:])
            assert facts.attribute("i-1", name=name) == (value or {}).get("Value")

    _ec2({"DescribeInstanceAttribute": answer}, look)


def permissions(answer: dict[str, Any]) -> None:
    one = {"Snapshots": [{"SnapshotId": "snap-1", "State": "completed"}]}

    def look(client: Any) -> None:
        audited = EbsGateway(client, **WHERE).audited("snap-1")
        assert audited.public == any(p.get("Group") == "all" for p in answer.get("CreateVolumePermissions", []))

    _ec2(
        {"DescribeSnapshotAttribute": answer, "DescribeSnapshots": one, "DescribeLockedSnapshots": {"Snapshots": []}},
        look,
    )


def endpoints(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        found = Ec2Facts(client, **WHERE).endpoints(["vpc-1"])
        assert {e.id for e in found} == {
            e["VpcEndpointId"] for e in answer["VpcEndpoints"] if e.get("State", "available").lower() == "available"
        }

    _ec2({"DescribeVpcEndpoints": answer}, look)


def vpcs(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        facts = Ec2Facts(client, **WHERE)
        assert facts.first_vpc() == next((v["VpcId"] for v in answer["Vpcs"]), None)
        facts.ipv6_vpcs([v["VpcId"] for v in answer["Vpcs"]])

    _ec2({"DescribeVpcs": answer}, look)


def associations(answer: dict[str, Any]) -> None:
    name = "IamInstanceProfileAssociations"
    _ec2(
        {f"Describe{name}": answer},
        lambda c: equal(len(Ec2Facts(c, **WHERE).profile_associations()), len(answer[name])),
    )


def copies(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        copied = EbsGateway(client, **WHERE).copy(
            "snap-1", source_region="eu-central-1", kms_key_id="k", description="d", tags=[]
        )
        assert copied == answer["SnapshotId"]

    _ec2({"CopySnapshot": answer}, look)


def types(answer: dict[str, Any]) -> None:
    def look(client: Any) -> None:
        wanted = answer["InstanceTypes"][0]["MemoryInfo"]["SizeInMiB"]
        assert Ec2Gateway(client, **WHERE).memory_mib("t3.nano") == wanted
        EbsGateway(client, **WHERE).instance_store_gb("t3.nano")

    _ec2({"DescribeInstanceTypes": answer}, look)
