"""Findings that name no instance, through the intake's own engine in the lab: a case of the instance, or a message to people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forensics.aws.hook import ForensicsHook
from forensics.intake import finding_handler
from forensics.intake.engine import IntakeEngine
from forensics.intake.finding_handler import FindingHandler
from forensics.intake.run_orders import TriggeredDags
from forensics.models.finding import Severity
from tests.gateways import case_store, finding_queue, intake_gateways
from tests.integration.conftest import SmallLab, running_lab

EVENTS = Path(__file__).resolve().parents[1] / "data" / "events"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLab]:
    """One lab for all."""
    with pytest.MonkeyPatch.context() as patch, running_lab(tmp_path_factory.mktemp("lab"), patch) as made:
        yield made


@pytest.fixture
def mail(lab: SmallLab) -> Iterator[list[dict[str, Any]]]:
    """What people get: a queue that is subscribed to the topic, emptied into the list that :func:`arrive` fills."""
    sqs, sns = lab.client("sqs"), lab.client("sns")
    url = sqs.create_queue(QueueName="people")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscribed = sns.subscribe(TopicArn=lab.facts["topic_arn"], Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    yield []
    sns.unsubscribe(SubscriptionArn=subscribed)
    sqs.delete_queue(QueueUrl=url)


def arrive(lab: SmallLab, monkeypatch: pytest.MonkeyPatch, *bodies: dict[str, Any]) -> tuple[dict[str, int], list[Any]]:
    """Send events, run the intake until its queue is empty; returns the counts and the messages to people."""
    monkeypatch.setattr(finding_handler, "trigger_run", lambda *_, **__: True)
    monkeypatch.setattr(finding_handler, "active_runs", lambda _: 0)
    sqs, queue = lab.client("sqs"), finding_queue()
    for body in bodies:
        sqs.send_message(QueueUrl=queue.url, MessageBody=json.dumps(body))
    handler = FindingHandler(intake_gateways(), ForensicsHook().settings, TriggeredDags())
    counts = IntakeEngine(queue, handler, urgent_rank=Severity.HIGH.rank).run(seconds=120, linger=0.3)
    url = sqs.get_queue_url(QueueName="people")["QueueUrl"]
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        found += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return dict(counts), found


def event(lab: SmallLab, name: str, **replaced: str) -> dict[str, Any]:
    """An event of the test data, about the lab's member account."""
    text = (EVENTS / f"{name}.json").read_text("utf-8").replace("333344445555", lab.facts["accounts"]["member"])
    for old, new in replaced.items():
        text = text.replace(old, new)
    return dict(json.loads(text))


def volume_of(lab: SmallLab, name: str) -> str:
    """The id of a volume of one of the lab's instances, without its prefix."""
    return str(next(iter(lab.facts["instances"][name]["volumes"].values()))).removeprefix("vol-")


@pytest.mark.usefixtures("mail")
def test_malware_on_an_ecs_cluster_opens_a_case_of_the_container_instance(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = event(lab, "guardduty_malware_ecs")
    text = json.dumps(body).replace("vol-0123456789abcdef0", f"vol-{volume_of(lab, 'web-server')}")
    counts, _ = arrive(lab, monkeypatch, json.loads(text))
    assert counts == {"opened": 1}
    web = lab.facts["instances"]["web-server"]
    assert web["instance_id"] in {case_store().case(case_id).instance_id for case_id in case_store().open_cases()}


@pytest.mark.usefixtures("mail")
def test_a_nodes_credentials_open_a_case_of_the_node(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    database = lab.facts["instances"]["db-server"]
    (found,) = lab.client("ec2", "member").describe_instances(InstanceIds=[database["instance_id"]])["Reservations"]
    described = found["Instances"][0]
    body = event(lab, "guardduty_eks_node")
    text = json.dumps(body).replace("ip-192-0-2-17.eu-central-1.compute.internal", described["PrivateDnsName"])
    counts, _ = arrive(lab, monkeypatch, json.loads(text.replace("vpc-0123456789abcdef0", described["VpcId"])))
    assert counts == {"opened": 1}
    elsewhere = text.replace("vpc-0123456789abcdef0", "vpc-0fedcba9876543210").replace("-0000000001", "-0000000009")
    counts, people = arrive(lab, monkeypatch, json.loads(elsewhere))
    assert counts == {"announced": 1}, "another VPC has nodes of the same name"
    assert "is no instance that EC2 knows" in people[0]["Message"]


@pytest.mark.usefixtures("mail")
def test_a_severe_finding_about_a_snapshot_or_an_image_opens_a_case_of_it_and_the_next_one_joins(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = lab.client("ec2", "member").create_snapshot(VolumeId=f"vol-{volume_of(lab, 'web-server')}")["SnapshotId"]
    text = json.dumps(event(lab, "guardduty_malware_snapshot")).replace("snap-0123456789abcdef0", snapshot)
    counts, _ = arrive(lab, monkeypatch, json.loads(text))
    assert counts == {"opened": 1}
    point = json.loads(text)
    point["detail"]["resource"] = {
        "resourceType": "EBSRecoveryPoint",
        "recoveryPointDetails": {
            "recoveryPointArn": f"arn:aws:ec2:eu-central-1::snapshot/{snapshot}",
            "backupVaultName": "nightly",
        },
    }
    point["detail"]["id"] = point["detail"]["id"][:-1] + "f"
    point["detail"]["arn"] = point["detail"]["arn"][:-1] + "f"
    counts, _ = arrive(lab, monkeypatch, point)
    assert counts == {"joined": 1}
    (case,) = [c for c in map(case_store().case, case_store().open_cases()) if c.instance_id == snapshot]
    assert case.subject == f"snapshot {snapshot}"
    counts, _ = arrive(
        lab, monkeypatch, *(event(lab, f"guardduty_malware_{kind}") for kind in ("ami", "recovery_point"))
    )
    assert counts == {"opened": 1, "joined": 1}, "the recovery point is the image"


@pytest.mark.usefixtures("mail")
def test_a_milder_one_is_on_the_page_and_one_whose_account_nothing_confirms_is_told(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    mild = event(lab, "guardduty_malware_snapshot")
    mild["detail"]["severity"] = 5.0
    stranger = event(lab, "guardduty_malware_ami")
    stranger["account"] = "999988887777"
    counts, people = arrive(lab, monkeypatch, mild, stranger)
    assert counts == {"ignored": 1, "announced": 1} and len(people) == 1
    assert "Nothing confirms the account" in people[0]["Message"]


@pytest.mark.usefixtures("mail")
def test_what_has_no_instance_is_told_once_and_is_on_the_page(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "guardduty_malware_recovery_point",
        "guardduty_runtime_fargate",
        "guardduty_sequence_eks",
        "guardduty_sequence_ecs",
    ]
    bodies = [event(lab, name) for name in names]
    files = "arn:aws:backup:eu-central-1:333344445555:recovery-point:8f1c4d2e"
    bodies[0]["detail"]["resource"]["recoveryPointDetails"]["recoveryPointArn"] = files
    minor = event(lab, "guardduty_eks_pod")
    counts, people = arrive(lab, monkeypatch, *bodies, minor, bodies[0])
    assert counts == {"announced": 5, "ignored": 1}
    assert len(people) == 4, "the recovery point's came twice"
    assert all(m["MessageAttributes"]["event"]["Value"] == "finding_without_instance" for m in people)
    assert {m["Subject"].split(",")[0][:4] for m in people} == {"HIGH", "CRIT"}
    assert all("What you can do: " in m["Message"] for m in people)
    records = list(intake_gateways().log.records(today=datetime.now(UTC), limit=50))
    told = [r for r in records if r.verdict == "announced" and "arn:aws:" in r.reason]
    assert len(told) >= 5 and all(r.next_action for r in told)
    assert any(r.verdict == "ignored" and "kube-system/coredns-5f8d" in r.reason and r.next_action for r in records)
