"""The server itself: versions, start and stop, accounts, control routes, faults, the record of calls."""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import urlsplit

import botocore.exceptions
import moto
import pytest
from botocore.exceptions import ClientError

from lab.emulator.patches import patching
from lab.progress import wait_until
from tests.lab.conftest import FORENSIC, MEMBER, REGION, SECURITY, Lab, Network


def test_moto_is_the_version_that_the_patches_know() -> None:
    assert moto.__version__ == "5.2.5" == patching.MOTO_VERSION


def test_a_symbol_that_moto_lost_is_named() -> None:
    class Model:
        pass

    with pytest.raises(patching.PatchError, match=r"no .*Model\.gone"):
        patching.replace(Model, "gone", lambda original: original)


def test_a_symbol_that_moto_grew_is_named() -> None:
    class Model:
        here = 1

    with pytest.raises(patching.PatchError, match=r"now has .*Model\.here"):
        patching.add(Model, "here", 2)


def test_sigterm_does_not_wait_for_a_long_poll(lab_factory) -> None:
    server: Lab = lab_factory()
    sqs = server.client("sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]

    def poll() -> None:
        with pytest.raises(botocore.exceptions.BotoCoreError):
            sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)

    waiting = threading.Thread(target=poll)
    waiting.start()
    time.sleep(0.5)
    assert server.stop() < 15, "the poll takes 20 s"
    waiting.join(60)
    assert not waiting.is_alive()


def test_the_agents_run_and_stop_with_the_server(lab_factory) -> None:
    server: Lab = lab_factory()
    server.stop()
    log = server.log.read_text()
    assert "the SSM agents are running" in log
    assert "the SSM agents have stopped" in log


@pytest.mark.parametrize("account", [SECURITY, FORENSIC, MEMBER])
def test_a_root_key_acts_in_its_account(lab: Lab, account: str) -> None:
    assert lab.client("sts", account).get_caller_identity()["Account"] == account


def test_an_unknown_key_acts_in_the_forensic_account(lab: Lab) -> None:
    sts = lab.client("sts", aws_access_key_id="testing", aws_secret_access_key="testing")
    assert sts.get_caller_identity()["Account"] == FORENSIC


def test_accounts_do_not_see_each_other(lab: Lab, network: Network) -> None:
    instance = network.instance()
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        lab.client("ec2", FORENSIC).describe_instances(InstanceIds=[instance])


def test_an_unknown_setting_is_refused(lab: Lab) -> None:
    with pytest.raises(AssertionError, match="unknown lab setting 'snapshot_second'"):
        lab.post("config", {"snapshot_second": 3})


def test_an_unknown_route_names_the_known_ones(lab: Lab) -> None:
    with pytest.raises(AssertionError, match="POST /_lab/faults"):
        lab.post("fault", [])


def test_calls_are_recorded_with_account_and_status(lab: Lab) -> None:
    name = f"calls-{time.monotonic_ns()}"
    lab.client("sqs", MEMBER).create_queue(QueueName=name)
    with pytest.raises(ClientError):
        lab.client("s3", MEMBER).get_object(Bucket=name, Key="x")
    created = lab.get(f"calls?service=sqs&action=CreateQueue&account={MEMBER}")["calls"][-1]
    assert (created["status"], created["region"]) == (200, REGION)
    assert lab.get("calls?service=s3&action=GetObject")["calls"][-1]["status"] == 404


def test_calls_of_rest_services_have_names(lab: Lab) -> None:
    with pytest.raises(ClientError):
        lab.client("securityhub", MEMBER).describe_hub()
    assert lab.get("calls?service=securityhub")["calls"][-1]["action"] == "DescribeHub"


@pytest.fixture
def faults(lab: Lab):
    yield lambda *rules: lab.post("faults", list(rules))
    lab.post("faults", [])


def test_a_fault_applies_as_often_as_its_rule_says(lab: Lab, faults) -> None:
    faults({"service": "sts", "action": "GetCaller.*", "code": "Throttling", "skip": 1, "times": 1})
    sts = lab.client("sts")
    sts.get_caller_identity()
    with pytest.raises(ClientError, match="Throttling"):
        sts.get_caller_identity()
    sts.get_caller_identity()
    assert [entry["action"] for entry in lab.get("faults")["log"]] == ["GetCallerIdentity"]


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("ec2", lambda c: c.describe_vpcs(), "RequestLimitExceeded"),
        ("s3", lambda c: c.list_buckets(), "SlowDown"),
        ("dynamodb", lambda c: c.list_tables(), "ProvisionedThroughputExceededException"),
        ("sns", lambda c: c.list_topics(), "Throttled"),
        ("securityhub", lambda c: c.describe_hub(), "LimitExceededException"),
    ],
)
def test_a_fault_speaks_the_protocol_of_its_service(lab: Lab, faults, service: str, call, code: str) -> None:
    faults({"service": service, "code": code})
    with pytest.raises(ClientError) as caught:
        call(lab.client(service))
    assert caught.value.response["Error"]["Code"] == code


def test_a_fault_can_lose_the_answer_of_work_done(lab: Lab, faults) -> None:
    name = f"lost-{time.monotonic_ns()}"
    faults({"service": "sqs", "action": "CreateQueue", "then": "after", "drop": True, "times": 1})
    sqs = lab.client("sqs")
    with pytest.raises(botocore.exceptions.BotoCoreError):
        sqs.create_queue(QueueName=name)
    assert name in sqs.get_queue_url(QueueName=name)["QueueUrl"]


def test_a_dropped_connection_is_retried(lab: Lab, faults) -> None:
    faults({"service": "sts", "drop": True, "times": 1})
    answer = lab.client("sts", attempts=3).get_caller_identity()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1


def test_a_fault_rule_with_an_unknown_field_is_refused(lab: Lab) -> None:
    with pytest.raises(AssertionError, match="unknown fields actions"):
        lab.post("faults", [{"actions": "x"}])


def test_latency_is_added_to_every_call(lab: Lab) -> None:
    sts = lab.client("sts")
    with lab.config(api_latency_seconds=0.3):
        begun = time.monotonic()
        sts.get_caller_identity()
        assert time.monotonic() - begun >= 0.3


def test_published_messages_are_kept(lab: Lab) -> None:
    sns = lab.client("sns")
    topic = sns.create_topic(Name="milestones")["TopicArn"]
    attribute = {"DataType": "String", "StringValue": "case-1"}
    sns.publish(TopicArn=topic, Message="hello", Subject="s", MessageAttributes={"case_id": attribute})
    last = lab.get("mail")["mail"][-1]
    assert (last["topic_arn"], last["subject"], last["message"]) == (topic, "s", "hello")
    assert last["attributes"] == {"case_id": "case-1"}


def test_the_clock_goes_forward_only(lab: Lab) -> None:
    before = lab.post("clock", {"advance": 0})["monotonic"]
    assert lab.post("clock", {"advance": 7200})["monotonic"] >= before + 7200
    with pytest.raises(AssertionError, match=r"cannot be put forward by -1\.0 s"):
        lab.post("clock", {"advance": -1})


def test_a_request_that_its_caller_broke_off_does_nothing(lab: Lab) -> None:
    """A worker that was killed while it wrote: S3 answers IncompleteBody and stores no part of the object."""
    s3 = lab.client("s3")
    s3.create_bucket(Bucket="broken-off", CreateBucketConfiguration={"LocationConstraint": REGION})
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "broken-off", "Key": "k"}))
    with socket.create_connection((url.hostname, url.port), timeout=20) as caller:
        caller.sendall(
            f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 10\r\n\r\nhalf".encode()
        )
    refused = lambda: [c for c in lab.get("calls?service=s3&action=PutObject")["calls"] if c["status"] == 400]  # noqa: E731
    wait_until(refused, what="the broken request in the lab's record")
    assert s3.list_objects_v2(Bucket="broken-off")["KeyCount"] == 0
