"""The inline function that makes Security Hub's custom actions, run as Lambda would: its text from the template, real HTTP answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from infra.deployment import templates

SOURCE = templates.committed()["security-account"]["Resources"]["ActionFunction"]["Properties"]["Code"]["ZipFile"]
HUB = "arn:aws:securityhub:eu-central-1:111122223333:hub/default"
ARN = "arn:aws:securityhub:eu-central-1:111122223333:action/custom/ForensicTriage"


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(address, what was put there): stands for the bucket that CloudFormation reads answers from."""
    got: list[dict[str, Any]] = []

    class Bucket(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Bucket)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/answer", got
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """A real Security Hub client whose answers are scripted (the emulators have no conflict or deletion of actions)."""
    client = boto3.client("securityhub", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    monkeypatch.setattr(boto3, "client", lambda name: client)
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def call(kind: str, url: str, **more: Any) -> None:
    """Load the function and send it one of CloudFormation's events."""
    space: dict[str, Any] = {}
    exec(compile(SOURCE, "index.py", "exec"), space)
    properties = {"Id": "ForensicTriage", "Name": "ForensicTriage", "Description": "what it does", "HubArn": HUB}
    event = {"RequestType": kind, "StackId": "s", "RequestId": "r", "LogicalResourceId": "l", "ResponseURL": url}
    space["handler"]({**event, "ResourceProperties": properties, **more}, None)


def test_action_is_made(answers: Any, hub: Stubber) -> None:
    url, got = answers
    asked = {"Id": "ForensicTriage", "Name": "ForensicTriage", "Description": "what it does"}
    hub.add_response("create_action_target", {"ActionTargetArn": ARN}, asked)
    call("Create", url)
    assert [(a["Status"], a["PhysicalResourceId"], a["RequestId"]) for a in got] == [("SUCCESS", ARN, "r")]


def test_action_that_exists_is_taken_over(answers: Any, hub: Stubber) -> None:
    url, got = answers
    hub.add_client_error("create_action_target", "ResourceConflictException")
    hub.add_response("update_action_target", {}, {"ActionTargetArn": ARN, "Name": ANY, "Description": ANY})
    call("Update", url, PhysicalResourceId=ARN)
    assert got[0]["Status"] == "SUCCESS" and got[0]["PhysicalResourceId"] == ARN


def test_action_goes_with_the_stack_and_may_be_gone_already(answers: Any, hub: Stubber) -> None:
    url, got = answers
    hub.add_response("delete_action_target", {"ActionTargetArn": ARN}, {"ActionTargetArn": ARN})
    hub.add_client_error("delete_action_target", "ResourceNotFoundException")
    call("Delete", url, PhysicalResourceId=ARN)
    call("Delete", url, PhysicalResourceId=ARN)
    assert [a["Status"] for a in got] == ["SUCCESS", "SUCCESS"]


def test_failed_creation_is_rolled_back_without_asking_for_what_never_was(answers: Any, hub: Stubber) -> None:
    url, got = answers
    hub.add_client_error("create_action_target", "InvalidAccessException", "Security Hub is not enabled")
    call("Create", url)
    assert got[0]["Status"] == "FAILED" and "Security Hub is not enabled" in got[0]["Reason"]
    call("Delete", url, PhysicalResourceId=got[0]["PhysicalResourceId"])
    assert got[1]["Status"] == "SUCCESS"


def test_function_fits_inline() -> None:
    # AWS::Lambda::Function ZipFile: at most 4 MiB; what is read in review should be far less
    assert len(SOURCE) < 4096


def test_actions_are_those_that_the_product_knows() -> None:
    from forensics.models.finding import CustomAction

    resources = templates.committed()["security-account"]["Resources"].values()
    made = {r["Properties"]["Id"] for r in resources if r["Type"] == "Custom::SecurityHubAction"}
    assert made == {action.value for action in CustomAction}
