"""Each kind of channel against a local server: what arrives is the message, whole, signed where it is signed, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
import requests

from forensics.aws.channel_kinds import SIGNATURE, custom_notification, notify_apprise, post_webhook
from forensics.errors import ChannelError
from forensics.models.channels import ChannelMessage
from forensics.models.finding import Severity
from tests.unit.aws.channel_server import ChannelServer, serving

KEY = "k" * 40
MESSAGE = ChannelMessage(
    id="5d41402abc4b2a76b9719d911017c592",
    at=datetime(2026, 11, 30, 3, 0, tzinfo=UTC),
    event="approval_needed:contain",
    case_id="fc-20261130-0123456789",
    severity=Severity.HIGH,
    subject="HIGH acme web-1: Approval needed",
    lines=("Approval needed: isolate the target?", "said by the host: <!channel> *now* [x](http[:]//evil)"),
    links=(
        ("Open the case", "https://ui.example.com/forensics/case/fc-1"),
        ("Answer", "https://ui.example.com/a_b/required_actions"),
    ),
    facts={"severity": "HIGH"},
)
# "Event schema" and "Parameter details" of the page "Custom notifications" in the Amazon Q Developer in chat applications administrator
# guide (docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html): version must be 1.0, source must be custom, client-markdown is
# the only text type; everything else is optional.
TEXT: dict[str, Any] = {"type": "string"}
TEXTS: dict[str, Any] = {"type": "array", "items": TEXT}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "source"],
    "properties": {
        "version": {"const": "1.0"},
        "source": {"const": "custom"},
        "id": TEXT,
        "content": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "textType": {"const": "client-markdown"}, "title": TEXT, "description": TEXT, "nextSteps": TEXTS, "keywords": TEXTS,
            },
        },
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "threadId": TEXT, "summary": TEXT, "eventType": TEXT, "relatedResources": TEXTS,
                "additionalContext": {"type": "object", "additionalProperties": TEXT},
            },
        },
    },
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[ChannelServer]:
    """A channel's server."""
    with serving() as made:
        yield made


def test_a_chat_gets_the_schema_of_custom_notifications_with_its_links() -> None:
    made = json.loads(custom_notification(MESSAGE))
    jsonschema.validate(made, SCHEMA)
    assert made["content"]["nextSteps"] == [
        "Open the case: https://ui.example.com/forensics/case/fc-1",
        "Answer: https://ui.example.com/a_b/required_actions",
    ]
    assert made["metadata"]["threadId"] == MESSAGE.case_id and "HIGH" in made["content"]["keywords"]
    drill = json.loads(custom_notification(MESSAGE.model_copy(update={"drill": True, "links": (), "severity": None})))
    jsonschema.validate(drill, SCHEMA)
    assert "nextSteps" not in drill["content"] and "DRILL" in drill["content"]["keywords"]


def test_what_a_host_wrote_calls_nobody_and_formats_nothing_in_a_chat() -> None:
    said = json.loads(custom_notification(MESSAGE))["content"]["description"]
    assert "<!channel>" not in said and "*now*" not in said and "](" not in said


def test_a_webhook_is_signed_over_time_and_body(server: ChannelServer) -> None:
    post_webhook(MESSAGE, url=f"{server.url}/soc", key=KEY)
    (got,) = server.got
    at, given = (part.split("=", 1)[1] for part in got.headers[SIGNATURE].split(","))
    assert hmac.compare_digest(given, hmac.new(KEY.encode(), f"{at}.".encode() + got.body, hashlib.sha256).hexdigest())
    assert abs(time.time() - int(at)) < 60 and got.path == "/soc" and got.headers["X-Forensics-Id"] == MESSAGE.id
    assert got.json["schema"] == "forensics.message/1"
    assert ChannelMessage.model_validate({k: v for k, v in got.json.items() if k != "schema"}) == MESSAGE


@pytest.mark.parametrize("status", [302, 400, 403, 500])
def test_only_a_success_is_an_answer_and_no_redirect_is_followed(status: int, server: ChannelServer) -> None:
    server.status, server.location = status, f"{server.url}/elsewhere"
    with pytest.raises(ChannelError, match=f"127.0.0.1 answered {status}") as error:
        post_webhook(MESSAGE, url=f"{server.url}/soc?token=hush", key=KEY)
    assert [g.path for g in server.got] == ["/soc?token=hush"] and "hush" not in str(error.value)


def test_a_server_that_is_not_there_is_said_without_the_url() -> None:
    with pytest.raises(ChannelError, match="was not reached: ConnectionError") as error:
        post_webhook(MESSAGE, url="http://127.0.0.1:9/hush", key=KEY)
    assert "hush" not in f"{error.value} {error.value.__cause__}"


def test_apprise_gives_a_ticket_system_its_fields(server: ChannelServer) -> None:
    """ServiceNow's table API takes its own names of fields; Apprise's json:// renames them (its documentation, "Custom Form/JSON")."""
    host = server.url.removeprefix("http://")
    fields = ":title=short_description&:message=description&:version=&:type=&:attachments=&:urgency=1"
    notify_apprise(MESSAGE, url=f"json://robot:hush@{host}/api/now/table/incident?{fields}")
    (got,) = server.got
    assert got.path.startswith("/api/now/table/incident") and got.headers["Authorization"].startswith("Basic ")
    assert got.json["short_description"] == MESSAGE.subject
    assert MESSAGE.lines[0] in got.json["description"] and "required_actions" in got.json["description"]


# Fixed addresses of the services → the payload's place of what people read. Apprise sends by requests; the request goes to the local server.
SERVICES = {
    "pagerduty://" + "A" * 32 + "@" + "B" * 32: ("events.pagerduty.com", lambda b: b["payload"]["summary"]),
    "jira://" + "a" * 36: ("api.atlassian.com", lambda b: b["message"] + str(b.get("description", ""))),
}


@pytest.mark.parametrize("url", sorted(SERVICES), ids=lambda u: u.split(":")[0])
def test_apprise_gives_a_pager_its_payload(url: str, server: ChannelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    post = requests.post

    def here(address: str, *args: Any, **more: Any) -> requests.Response:
        asked.append(address)
        return post(f"{server.url}/{address.split('//', 1)[1].split('/', 1)[0]}", *args, **more)

    monkeypatch.setattr(requests, "post", here)
    server.status = 202
    notify_apprise(MESSAGE, url=url)
    host, text = SERVICES[url]
    (got,) = server.got
    assert len(asked) == 1 and asked[0].startswith(f"https://{host}/")
    assert MESSAGE.subject in text(got.json), got.json


def test_a_service_that_refuses_is_said(server: ChannelServer) -> None:
    server.status = 500
    with pytest.raises(ChannelError, match="json did not take the message"):
        notify_apprise(MESSAGE, url=f"json://{server.url.removeprefix('http://')}/x")


def test_a_url_that_apprise_does_not_know_is_said_without_it() -> None:
    with pytest.raises(ChannelError, match="none that apprise knows") as error:
        notify_apprise(MESSAGE, url="unknown-service://hush")
    assert "hush" not in str(error.value)
