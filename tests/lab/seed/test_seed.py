"""The seeded lab: what a deployment would have made is there, and events find their way to the queue."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from forensics.settings import load
from lab.accounts import ROOT_SECRET, root_access_key
from lab.emulator.patches import accounts
from lab.evidence.disk import DiskFiles
from lab.evidence.images import Images
from lab.progress import wait_until
from lab.seed import accounts as seed_accounts
from lab.seed.seed import LAB_SETTINGS, SeedError, seed
from lab.stack.stack import read_variables
from tests.lab.conftest import FORENSIC, MEMBER, SECURITY, Lab

MEMORY_FILES = ("memory", "btf", "kallsyms", "version", "iomem", "facts")


class SmallImages(Images):
    """Images that cost nothing; the real ones have tests of their own."""

    def disk(self, name: str) -> DiskFiles:
        self.cache.mkdir(parents=True, exist_ok=True)
        files = DiskFiles(self.cache / f"{name}.raw", self.cache / f"{name}.facts.json")
        with files.image.open("wb") as stream:
            stream.write(name.encode())
            stream.truncate(4 * 1024 * 1024)
        files.facts.write_text("{}")
        return files

    def memory(self) -> dict[str, str]:
        folder = self.cache / "memory"
        folder.mkdir(parents=True, exist_ok=True)
        for name in MEMORY_FILES:
            (folder / name).write_text(name)
        return {name: str(folder / name) for name in MEMORY_FILES}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, dict[str, Any], Path]]:
    """A seeded lab server, what ``lab.json`` says, and its state directory."""
    state = tmp_path_factory.mktemp("seeded")
    server = Lab(state)
    server.start()
    made = seed(
        server.endpoint,
        state,
        latencies={"snapshot_seconds": 0.5},
        images=SmallImages(state / "cache"),
        report=lambda _: None,
    )
    yield server, made, state
    server.stop()


def test_written_files_are_private_and_complete(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    _, made, state = seeded
    assert json.loads((state / "lab.json").read_text()) == made
    variables = read_variables(state / "airflow.env")
    settings = load(variables)
    assert settings.poll_seconds == float(LAB_SETTINGS["poll_seconds"])
    assert settings.capture_tool_sha256 == hashlib.sha256(seed_accounts.CAPTURE_TOOL.read_bytes()).hexdigest()
    for name in ("lab.json", "airflow.env"):
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600


def test_evidence_bucket_is_locked_and_versioned(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    server, made, _ = seeded
    s3 = server.client("s3")
    lock = s3.get_object_lock_configuration(Bucket=made["evidence_bucket"])["ObjectLockConfiguration"]
    assert lock["ObjectLockEnabled"] == "Enabled"
    retention = lock["Rule"]["DefaultRetention"]
    assert (retention["Mode"], retention["Days"]) == ("GOVERNANCE", 365)
    for bucket in ("evidence_bucket", "landing_bucket", "tools_bucket"):
        assert s3.get_bucket_versioning(Bucket=made[bucket])["Status"] == "Enabled"


def test_table_has_the_indexes_of_the_case_store(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    server, made, _ = seeded
    table = server.client("dynamodb").describe_table(TableName=made["case_table"])["Table"]
    keys = {i["IndexName"]: [k["AttributeName"] for k in i["KeySchema"]] for i in table["GlobalSecondaryIndexes"]}
    assert keys == {"GSI1": ["GSI1PK", "GSI1SK"], "GSI2": ["GSI2PK", "GSI2SK"]}
    assert [k["AttributeName"] for k in table["KeySchema"]] == ["PK", "SK"]
    assert table["DeletionProtectionEnabled"] is True
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = server.client("dynamodb").describe_time_to_live(TableName=made["case_table"])["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_queue_gives_up_after_ten_deliveries(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    server, made, _ = seeded
    sqs = server.client("sqs")
    found = sqs.get_queue_attributes(QueueUrl=made["queue_url"], AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "120"
    assert int(json.loads(found["RedrivePolicy"])["maxReceiveCount"]) == 10


@pytest.mark.parametrize(
    ("source", "detail_type", "detail", "queues"),
    [
        (
            "aws.securityhub",
            "Security Hub Findings - Imported",
            {"findings": [{"Severity": {"Label": "HIGH"}}]},
            ["queue_url"],
        ),
        (
            "aws.securityhub",
            "Security Hub Findings - Imported",
            {"findings": [{"Severity": {"Label": "LOW"}}, {"Severity": {"Label": "CRITICAL"}}]},
            ["queue_url", "urgent_queue_url"],
        ),
        ("aws.securityhub", "Security Hub Findings - Custom Action", {}, ["urgent_queue_url"]),
        ("aws.securityhub", "Findings Imported V2", {"findings": [{"severity_id": 4}]}, ["queue_url"]),
        (
            "aws.securityhub",
            "Findings Imported V2",
            {"findings": [{"severity_id": 5}]},
            ["queue_url", "urgent_queue_url"],
        ),
        ("aws.guardduty", "GuardDuty Finding", {"severity": 8.9}, ["queue_url"]),
        ("aws.guardduty", "GuardDuty Finding", {"severity": 9}, ["queue_url", "urgent_queue_url"]),
        ("aws.config", "Config Rules Compliance Change", {}, ["queue_url"]),
        ("forensics.manual", "Forensics Request", {}, ["urgent_queue_url"]),
    ],
)
def test_events_of_the_security_account_reach_the_queue(
    seeded: tuple[Lab, dict[str, Any], Path], source: str, detail_type: str, detail: dict[str, Any], queues: list[str]
) -> None:
    server, made, _ = seeded
    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)}
    server.client("events", SECURITY).put_events(Entries=[entry])
    sqs = server.client("sqs")

    def received(url: str) -> Any:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(m["Body"]) for m in answer.get("Messages", [])]

    for queue in queues:
        events = wait_until(partial(received, made[queue]), what=f"{detail_type} in {queue}")
        assert [(e["account"], e["source"], e["detail-type"]) for e in events] == [(SECURITY, source, detail_type)]
    for other in {"queue_url", "urgent_queue_url"} - set(queues):
        assert received(made[other]) == []


def test_phase_roles_want_the_external_id(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    server, made, _ = seeded
    sts = server.client("sts")
    for account, phases in (
        (MEMBER, ("triage", "acquire", "logs", "contain", "release")),
        (FORENSIC, ("custodian", "reader", "analyse")),
    ):
        for phase in phases:
            arn = f"arn:aws:iam::{account}:role/forensics-{phase}"
            answer = sts.assume_role(RoleArn=arn, RoleSessionName="probe", ExternalId=made["external_id"])
            keys = answer["Credentials"]
            as_role = boto3.client(
                "sts",
                endpoint_url=server.endpoint,
                region_name="eu-central-1",
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["SessionToken"],
            )
            assert as_role.get_caller_identity()["Account"] == account
            with pytest.raises(ClientError, match="AccessDenied"):
                sts.assume_role(RoleArn=arn, RoleSessionName="probe", ExternalId="not-the-external-id")


def test_instances_are_what_the_story_needs(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    server, made, _ = seeded
    web, database = made["instances"]["web-server"], made["instances"]["db-server"]
    assert (len(web["interfaces"]), len(web["volumes"])) == (1, 2)
    assert (len(database["interfaces"]), len(database["volumes"])) == (2, 1)
    managed = server.client("ssm", MEMBER).describe_instance_information()["InstanceInformationList"]
    assert [(m["InstanceId"], m["PingStatus"]) for m in managed] == [(web["instance_id"], "Online")]
    records = {r["instance_id"]: r for r in server.get("instance")["instances"]}
    kernel = records[web["instance_id"]]["kernel"]
    assert sorted(kernel) == ["btf", "iomem", "kallsyms", "version"]
    assert all(Path(path).is_file() for path in (*kernel.values(), records[web["instance_id"]]["memory"]))


def test_documents_are_in_both_accounts(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    server, made, _ = seeded
    committed = {f"forensics-{f.stem}" for f in seed_accounts.DOCUMENTS.glob("*.yaml") if f.stem != "registry"}
    assert set(made["documents"]) == committed
    for account in (FORENSIC, MEMBER):
        ssm = server.client("ssm", account)
        for name in committed:
            assert ssm.get_document(Name=name, DocumentFormat="YAML")["Content"]


def test_forensic_image_is_known_to_the_lab(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    server, made, _ = seeded
    value = server.client("ssm").get_parameter(Name=made["ami_parameter"])["Parameter"]["Value"]
    assert value == made["forensic_ami_id"] == server.get("config")["forensic_ami_id"]
    assert server.get("config")["snapshot_seconds"] == 0.5


def test_analysis_group_lets_nothing_in_and_only_https_out(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    server, made, _ = seeded
    group = server.client("ec2").describe_security_groups(GroupIds=[made["analysis_security_group_id"]])
    group = group["SecurityGroups"][0]
    assert group["IpPermissions"] == []
    assert [(p["IpProtocol"], p["FromPort"], p["ToPort"]) for p in group["IpPermissionsEgress"]] == [("tcp", 443, 443)]


def test_seeding_twice_says_so(seeded: tuple[Lab, dict[str, Any], Path]) -> None:
    server, _, state = seeded
    with pytest.raises(SeedError, match="seeded already; restart the lab server"):
        seed(server.endpoint, state, images=SmallImages(state / "cache"), report=lambda _: None)


def test_a_lab_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match=r"127\.0\.0\.1:9 does not answer"):
        seed("http://127.0.0.1:9", tmp_path, images=SmallImages(tmp_path), report=lambda _: None)


def test_keys_are_those_of_the_server() -> None:
    key = root_access_key(MEMBER)
    assert (accounts.account_of(key), accounts.secret_of(key)) == (MEMBER, ROOT_SECRET)
