"""Resources of Config findings lead to their instances, by describe calls in the lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forensics.intake.readers import read_event
from forensics.models.intake import IntakeResult, IntakeVerdict
from tests.gateways import instance_resolver
from tests.integration.conftest import SmallLab, running_lab

REGION = "eu-central-1"
EVENTS = Path(__file__).resolve().parents[1] / "data" / "events"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLab]:
    """One lab: nothing here changes it."""
    with pytest.MonkeyPatch.context() as patch, running_lab(tmp_path_factory.mktemp("lab"), patch) as made:
        yield made


def config(lab: SmallLab, kind: str, identifier: str) -> IntakeResult:
    """A Config event about a resource of the member account, read and completed."""
    account = lab.facts["accounts"]["member"]
    detail = {
        "awsAccountId": account, "awsRegion": REGION, "configRuleName": "restricted-ssh", "resourceType": kind,
        "resourceId": identifier, "messageType": "ComplianceChangeNotification",
        "newEvaluationResult": {"complianceType": "NON_COMPLIANT", "resultRecordedTime": "2026-10-05T08:00:00Z"},
    }  # fmt: skip
    event = {
        "source": "aws.config", "detail-type": "Config Rules Compliance Change", "account": account,
        "region": REGION, "detail": detail,
    }  # fmt: skip
    intake = read_event(json.dumps(event), received_at=datetime.now(UTC))
    assert intake.unresolved, intake.reason
    return instance_resolver().complete(intake)


def instance(lab: SmallLab, name: str) -> dict[str, Any]:
    return dict(lab.facts["instances"][name])


def test_a_volume_leads_to_its_instance(lab: SmallLab) -> None:
    web = instance(lab, "web-server")
    for volume in web["volumes"].values():
        intake = config(lab, "AWS::EC2::Volume", volume)
        assert intake.verdict is IntakeVerdict.ACCEPT
        (finding,) = intake.findings
        assert (finding.instance_id, finding.posture) == (web["instance_id"], True)


def test_an_interface_leads_to_its_instance_also_a_secondary_one(lab: SmallLab) -> None:
    database = instance(lab, "db-server")
    enis = lab.client("ec2", "member").describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [database["instance_id"]]}]
    )["NetworkInterfaces"]
    assert len(enis) == 2
    for eni in enis:
        (finding,) = config(lab, "AWS::EC2::NetworkInterface", eni["NetworkInterfaceId"]).findings
        assert finding.instance_id == database["instance_id"]


def test_a_security_group_leads_to_every_instance_that_has_it(lab: SmallLab) -> None:
    network = lab.facts["member_network"]
    intake = config(lab, "AWS::EC2::SecurityGroup", network["database_security_group_id"])
    assert [f.instance_id for f in intake.findings] == [instance(lab, "db-server")["instance_id"]]
    assert len({f.key for f in config(lab, "AWS::EC2::SecurityGroup", network["web_security_group_id"]).findings}) == 2


@pytest.mark.parametrize(
    ("kind", "identifier"),
    [("AWS::EC2::Volume", "vol-0123456789abcdef0"), ("AWS::EC2::NetworkInterface", "eni-0123456789abcdef0"),
     ("AWS::EC2::SecurityGroup", "sg-0123456789abcdef0")],
)  # fmt: skip
def test_what_is_on_no_instance_is_ignored_with_the_reason(lab: SmallLab, kind: str, identifier: str) -> None:
    intake = config(lab, kind, identifier)
    assert intake.verdict is IntakeVerdict.IGNORE
    assert intake.reason == f"{kind} {identifier} is not attached to an instance"


def test_credentials_used_in_another_region_lead_to_the_region_of_their_instance(lab: SmallLab) -> None:
    web = instance(lab, "web-server")
    detail = {
        "accountId": web["account"], "region": "us-east-1", "id": "f" * 32, "severity": 8, "title": "stolen",
        "type": "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS", "service": {"archived": False},
        "resource": {"resourceType": "AccessKey", "accessKeyDetails": {"principalId": f"AROAX:{web['instance_id']}"}},
    }  # fmt: skip
    event = {"source": "aws.guardduty", "detail-type": "GuardDuty Finding", "account": web["account"],
             "region": "us-east-1", "detail": detail}  # fmt: skip
    intake = read_event(json.dumps(event), received_at=datetime.now(UTC))
    assert intake.findings[0].region == "us-east-1"
    completed = instance_resolver().complete(intake)
    assert [f.region for f in completed.findings] == [REGION]
    assert completed.findings[0].key != intake.findings[0].key
    assert completed.unplaced == ()


def test_an_ordinary_intake_costs_no_call(lab: SmallLab) -> None:
    event = {"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification", "account": "333344445555",
             "region": REGION, "detail": {"instance-id": instance(lab, "web-server")["instance_id"], "state": "stopped"}}  # fmt: skip
    intake = read_event(json.dumps(event), received_at=datetime.now(UTC))
    assert instance_resolver().complete(intake) is intake


def task_on(lab: SmallLab, name: str) -> str:
    """The ARN of a task that runs on an instance of the lab, which joins the cluster ``web``."""
    ecs, ec2 = lab.client("ecs", "member"), lab.client("ec2", "member")
    ecs.create_cluster(clusterName="web")
    host = instance(lab, name)
    (described,) = ec2.describe_instances(InstanceIds=[host["instance_id"]])["Reservations"]
    about = {
        "instanceId": host["instance_id"], "accountId": host["account"], "region": REGION, "imageId": described["Instances"][0]["ImageId"],
        "instanceType": "t3.micro", "privateIp": "192.0.2.7", "availabilityZone": f"{REGION}a", "architecture": "x86_64", "version": "2017-09-30",
    }  # fmt: skip
    ecs.register_container_instance(cluster="web", instanceIdentityDocument=json.dumps(about))
    container = {"name": "shop", "image": "registry.example.com/shop:2", "memory": 64, "cpu": 1, "essential": True}
    ecs.register_task_definition(family="shop", containerDefinitions=[container])
    started = ecs.run_task(cluster="web", taskDefinition="shop", launchType="EC2")["tasks"]
    return str(started[0]["taskArn"])


def about_task(lab: SmallLab, arn: str) -> IntakeResult:
    """A GuardDuty finding about a task that names no instance, read and completed."""
    body = json.loads((EVENTS / "guardduty_runtime_fargate.json").read_text("utf-8"))
    body["detail"]["resource"]["ecsClusterDetails"]["taskDetails"] |= {"arn": arn, "launchType": "EC2"}
    return instance_resolver().complete(read_event(json.dumps(body), received_at=datetime.now(UTC)))


def test_an_ecs_task_leads_to_its_container_instance_and_one_that_is_unknown_to_people(lab: SmallLab) -> None:
    arn = task_on(lab, "web-server")
    intake = about_task(lab, arn)
    assert intake.findings, [told.why for told in intake.without_instance] or intake
    (finding,) = intake.findings
    assert finding.instance_id == instance(lab, "web-server")["instance_id"] and intake.without_instance == ()
    gone = about_task(lab, f"{arn.rpartition('/')[0]}/{'0' * 32}")
    assert gone.findings == () and "ECS does not know it" in gone.without_instance[0].why
