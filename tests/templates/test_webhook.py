"""The way of a webhook: docs/webhook.md's own commands, the template's own mapping, SQS, the intake. The address is played on loopback.

API Gateway's part is played by an HTTP server that evaluates the mapping template (tests/velocity.py) and passes on what it makes, as a REST API
with an AWS integration does (Amazon API Gateway developer guide, "API Gateway mapping template and access logging variable reference").
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import jsonschema
import pytest
import requests
from moto import mock_aws

from forensics.aws.channel_secrets import SecretsGateway
from forensics.intake.intake_log import IntakeLog
from forensics.intake.messages import ReceivedMessage
from forensics.intake.readers import read_event
from forensics.intake.readers.webhook import WebhookFinding
from forensics.intake.webhook_arrivals import WebhookArrivals
from forensics.intake.webhook_senders import WebhookSenders
from forensics.models.intake import IntakeResult, IntakeVerdict
from infra.deployment import templates
from tests.unit.moto_store import KEYS, TABLE, case_table
from tests.velocity import Template, variables
from tests.webhooks import BODY, KEY, KEY_ID, signature

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/webhook.md").read_text("utf-8")
POST = templates.reading()["webhook"]["Resources"]["Post"]["Properties"]["Integration"]
MAPPING = Template(POST["RequestTemplates"]["application/json"])


@dataclass
class Front:
    """The address, and what it gave to SQS."""

    url: str
    sqs: Any
    queue: str
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    def messages(self) -> list[ReceivedMessage]:
        """What is in the queue."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, MessageSystemAttributeNames=["SentTimestamp"]
        )
        return [ReceivedMessage.of(message) for message in answer.get("Messages", [])]


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One method of a REST API with an AWS integration."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self.headers.get_content_type() not in POST["RequestTemplates"]:
                self._answer(415, "{}")
                return
            given = variables(body, dict(self.headers.items()), request_id="r-1", address=self.client_address[0])
            made = MAPPING.render(given)
            assert "\n" not in made and " " not in made, "every character of it reaches SQS"
            form = parse_qs(made, strict_parsing=True)
            front.forms.append(form)
            if form["Action"] == ["SendMessage"]:
                front.sqs.send_message(QueueUrl=front.queue, MessageBody=form["MessageBody"][0])
            self._mapped(200 if form["Action"] == ["SendMessage"] else 400)

        def _mapped(self, status: int) -> None:
            """The response that the template chooses for the integration's status; the one without a pattern is the default."""
            chosen = next(
                (r for r in POST["IntegrationResponses"] if re.fullmatch(r.get("SelectionPattern", "-"), str(status))),
                POST["IntegrationResponses"][-1],
            )
            text = chosen["ResponseTemplates"]["application/json"].replace("$context.requestId", "r-1")
            self._answer(int(chosen["StatusCode"]), text)

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler


@pytest.fixture
def front() -> Iterator[Front]:
    with mock_aws():
        sqs = boto3.session.Session(**KEYS).client("sqs")
        made = Front("", sqs, sqs.create_queue(QueueName="forensics-findings")["QueueUrl"])
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
        made.url = f"http://127.0.0.1:{server.server_port}/v1/findings"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def intake(front: Front) -> Iterator[Any]:
    """What the intake makes of a message."""
    session = boto3.session.Session(**KEYS)
    secrets = session.client("secretsmanager")
    example = _block("json", 0).replace("<at least 32 random characters: openssl rand -hex 32>", KEY)
    secrets.create_secret(Name="forensics/webhook/edr", SecretString=example)
    with case_table(session.client("dynamodb")) as table:
        senders = WebhookSenders(
            lambda: SecretsGateway(secrets),
            WebhookArrivals(table, table=TABLE),
            IntakeLog(table, table=TABLE),
            secrets={"edr": "forensics/webhook/edr"},
        )

        def judge(message: ReceivedMessage) -> IntakeResult:
            read = read_event(message.body, received_at=message.received_at, own_account="222233334444")
            return senders.authenticate(read, message_id=message.message_id, received_at=message.received_at)

        yield judge


def _block(language: str, number: int) -> str:
    """The n-th block of a language on the page."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE, re.S | re.M)
    return str(found[number][1])


def _post(front: Front, body: bytes, **headers: str) -> requests.Response:
    at = int(datetime.now(UTC).timestamp())
    signed = {"X-Forensics-Key": KEY_ID, "X-Forensics-Signature": signature(body, at=at)}
    given = {"Content-Type": "application/json", **signed, **headers}
    return requests.post(front.url, data=body, headers={k: v for k, v in given.items() if v}, timeout=60)


def test_the_pages_own_commands_open_a_case(front: Front, intake: Any, tmp_path: Path) -> None:
    missing = [name for name in ("bash", "curl", "openssl") if not shutil.which(name)]
    if missing:
        pytest.skip(f"the page's commands need {', '.join(missing)}, which this machine does not have")
    (tmp_path / "finding.json").write_text(_block("json", 1))
    environment = {"PATH": os.environ["PATH"], "URL": front.url, "KEY": KEY, "KEY_ID": "edr.2026-10"}
    done = subprocess.run(
        ["bash", "-euc", _block("bash", 0)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, '{"accepted": "r-1"}'), done.stderr
    (message,) = front.messages()
    (found,) = intake(message).findings
    assert (found.instance_id, found.title, found.webhook.sender) == ("i-0aaaaaaaaaaaaaaa1", BODY["title"], "edr")


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
def test_names_of_headers_have_no_case(front: Front, intake: Any, case: Any) -> None:
    body = json.dumps(BODY).encode()
    at = int(datetime.now(UTC).timestamp())
    names = {case("X-Forensics-Key"): KEY_ID, case("X-Forensics-Signature"): signature(body, at=at)}
    answer = requests.post(front.url, data=body, headers={"Content-Type": "application/json", **names}, timeout=60)
    assert answer.status_code == 202
    assert intake(front.messages()[0]).findings


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"X-Forensics-Key": ""}, 400),
        (b"{}", {"X-Forensics-Signature": ""}, 400),
        (b'"' + b"x" * 131_072 + b'"', {}, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
    ],
    ids=["no key", "no signature", "too long", "no JSON"],
)
def test_what_cannot_be_a_webhook_does_not_reach_the_queue(
    front: Front, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = _post(front, body, **headers)
    assert answer.status_code == status and front.messages() == []


HOSTILE = '"},"source":"aws.guardduty","x":{"y":"&Action=DeleteQueue&MessageBody=%22%0d%0a$util.x #end \\'


@pytest.mark.parametrize("where", ["X-Forensics-Key", "X-Forensics-Signature", "body"])
def test_hostile_text_does_not_leave_its_place(front: Front, intake: Any, where: str) -> None:
    body = HOSTILE.encode() if where == "body" else json.dumps(BODY).encode()
    assert _post(front, body, **({} if where == "body" else {where: HOSTILE})).status_code == 202
    assert [sorted(form) for form in front.forms] == [["Action", "MessageBody"]]
    (message,) = front.messages()
    event = json.loads(message.body)
    assert sorted(event) == ["detail", "detail-type", "id", "source"] and event["source"] == "webhook"
    assert sorted(event["detail"]) == ["address", "body", "key", "signature"]
    assert intake(message).verdict is IntakeVerdict.QUARANTINE


def test_the_role_of_the_address_may_do_nothing_but_send() -> None:
    role = templates.reading()["webhook"]["Resources"]["Role"]["Properties"]
    (policy,) = role["Policies"]
    actions = {a for s in policy["PolicyDocument"]["Statement"] for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}  # fmt: skip
    assert actions == {"sqs:SendMessage", "kms:GenerateDataKey", "kms:Decrypt"}


def test_a_new_mapping_is_deployed() -> None:
    """API Gateway serves the API as it was at its last deployment (developer guide, "Deploy REST APIs"): a change needs a new one.

    When this fails, rename the resource DeploymentOf… in the template, and write its new name and digest here.
    """
    resources = templates.reading()["webhook"]["Resources"]
    served = {name: r for name, r in resources.items() if r["Type"] in ("AWS::ApiGateway::Method", "AWS::ApiGateway::RestApi", "AWS::ApiGateway::Resource")}  # fmt: skip
    digest = hashlib.sha256(json.dumps(served, sort_keys=True, default=str).encode()).hexdigest()[:12]
    (name,) = (name for name, r in resources.items() if r["Type"] == "AWS::ApiGateway::Deployment")
    assert (name, digest) == ("DeploymentOf1", "51f3610cbd13")


def test_the_pages_schema_is_the_readers() -> None:
    """Written by: PYTHONPATH=plugins python -m tests.webhooks > docs/samples/webhook.schema.json"""
    kept = json.loads((ROOT / "docs/samples/webhook.schema.json").read_text("utf-8"))
    assert kept == WebhookFinding.model_json_schema()
    jsonschema.validate(json.loads(_block("json", 1)), kept)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**BODY, "actions": ["isolate"]}, kept)
