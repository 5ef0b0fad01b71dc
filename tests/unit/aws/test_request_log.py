"""The request log: ids of changes, as CloudTrail knows them; reads and the ledger's own writes are left out."""

from __future__ import annotations

import contextvars
from collections.abc import Callable

import pytest
from botocore.stub import Stubber

from forensics.aws import request_log
from tests.unit.moto_store import make_client

Ask = Callable[..., None]


@pytest.fixture
def ask() -> Ask:
    """Makes calls that are answered with a request id, in a context of its own."""

    def call(*names: str) -> None:
        for number, name in enumerate(names, start=1):
            service, operation = name.split(".")
            client = make_client(service)
            client.meta.events.register("after-call", request_log._note, unique_id="once")
            model = client.meta.service_model.operation_model(operation)
            client.meta.events.emit(
                f"after-call.{service}.{operation}",
                parsed={"ResponseMetadata": {"RequestId": f"id-{number}"}},
                model=model,
                http_response=None,
                context={},
            )
            client.meta.events.unregister("after-call", request_log._note, unique_id="once")

    return call


def noted(ask: Ask, *names: str) -> tuple[str, ...]:
    def run() -> tuple[str, ...]:
        ask(*names)
        return request_log.take()

    return contextvars.Context().run(run)


def test_a_change_is_noted_with_service_operation_and_id(ask: Ask) -> None:
    assert noted(ask, "ec2.CreateSnapshots", "ssm.SendCommand") == (
        "ec2:CreateSnapshots id-1",
        "ssm:SendCommand id-2",
    )


@pytest.mark.parametrize(
    "name", ["ec2.DescribeInstances", "s3.GetObject", "s3.HeadObject", "sqs.ReceiveMessage", "dynamodb.Query"]
)
def test_a_read_is_not_noted(ask: Ask, name: str) -> None:
    assert noted(ask, name) == ()


@pytest.mark.parametrize("name", ["dynamodb.PutItem", "dynamodb.TransactWriteItems", "s3.UploadPart", "sts.AssumeRole"])
def test_writes_that_would_hide_the_rest_are_not_noted(ask: Ask, name: str) -> None:
    assert noted(ask, name) == ()


def test_only_the_newest_are_kept(ask: Ask) -> None:
    found = noted(ask, *["ec2.CreateTags"] * (request_log.KEPT + 1))
    assert len(found) == request_log.KEPT
    assert (found[0], found[-1]) == ("ec2:CreateTags id-2", f"ec2:CreateTags id-{request_log.KEPT + 1}")


def test_what_was_taken_is_not_taken_twice(ask: Ask) -> None:
    def twice() -> tuple[tuple[str, ...], tuple[str, ...]]:
        ask("ec2.CreateTags")
        return request_log.take(), request_log.take()

    assert contextvars.Context().run(twice) == (("ec2:CreateTags id-1",), ())


def test_a_watched_client_notes_its_own_changes() -> None:
    client = make_client("sns")
    request_log.watch(client, region="eu-central-1")

    def publish() -> tuple[str, ...]:
        with Stubber(client) as stub:
            stub.add_response("publish", {"MessageId": "m", "ResponseMetadata": {"RequestId": "id-9"}})
            client.publish(TopicArn="arn:aws:sns:eu-central-1:222233334444:t", Message="x")
        client.meta.events.unregister("after-call", request_log._note)
        return request_log.take()

    assert contextvars.Context().run(publish) == ("sns:Publish id-9",)
