"""Findings of a time in which none arrived: fetched page by page, put into the queue as EventBridge would have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.guardduty import GuardDutyGateway
from forensics.aws.securityhub import SecurityHubGateway
from forensics.aws.sqs import FindingQueue
from forensics.errors import FindingError
from forensics.intake.catch_up import CatchUp, Window, catch_up, catch_up_guardduty, event
from forensics.intake.readers import read_event
from lab.scenarios.driver import finding
from tests.unit.moto_store import make_client

EVENTS = Path(__file__).parents[2] / "data" / "events"
SECURITY = "111122223333"
NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
WINDOW = Window(datetime(2026, 11, 29, tzinfo=UTC), NOW)
WEB = {
    "account": "333344445555", "region": "eu-central-1", "instance_id": "i-0123456789abcdef0", "arn": "arn:aws:ec2:eu-central-1:333344445555:instance/i-0123456789abcdef0",
    "instance_arn": "arn:aws:ec2:eu-central-1:333344445555:instance/i-0123456789abcdef0",
}  # fmt: skip


class Queue(FindingQueue):
    """Keeps what is put in."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def put_in(self, body: str) -> None:
        self.bodies.append(body)


def asked(**more: Any) -> dict[str, Any]:
    filters = {
        "UpdatedAt": [{"Start": "2026-11-29T00:00:00.000000Z", "End": "2026-11-30T09:00:00.000000Z"}],
        "RecordState": [{"Value": "ACTIVE", "Comparison": "EQUALS"}],
    }
    return {"Filters": filters, "SortCriteria": [{"Field": "UpdatedAt", "SortOrder": "asc"}], "MaxResults": 100, **more}


def documents(*numbers: int) -> list[dict[str, Any]]:
    return [{**finding(WEB, title="C2"), "Id": f"f-{n}", "UpdatedAt": f"2026-11-29T0{n}:00:00Z"} for n in numbers]


def fetched(limit: int, *pages: list[dict[str, Any]]) -> tuple[Any, list[str]]:
    client, queue = make_client("securityhub"), Queue()
    with Stubber(client) as stub:
        for number, page in enumerate(pages):
            token = {"NextToken": f"t{number}"} if number else {}
            following = {"NextToken": f"t{number + 1}"} if number + 1 < len(pages) else {}
            stub.add_response("get_findings", {"Findings": page, **following}, asked(**token))
        result = catch_up(
            SecurityHubGateway(client, account_id=SECURITY, region="eu-central-1"), queue, WINDOW, limit=limit
        )
    return result, queue.bodies


def test_every_page_is_put_in_and_each_finding_reads_like_one_that_arrived() -> None:
    result, bodies = fetched(10, documents(1, 2), documents(3))
    assert (result.sent, result.cut, result.last) == (3, False, "2026-11-29T03:00:00Z")
    for body in bodies:
        read = read_event(body, received_at=NOW, administrators=(SECURITY,))
        (found,) = read.findings
        assert found.instance_id == WEB["instance_id"]


def test_a_limit_says_from_where_to_go_on() -> None:
    result, bodies = fetched(2, documents(1, 2, 3))
    assert (result.sent, result.cut, result.last, len(bodies)) == (2, True, "2026-11-29T02:00:00Z", 2)


def test_the_same_change_is_the_same_event_and_another_one_is_not() -> None:
    (one,), (changed,) = documents(1), documents(2)
    made = event(one, account=SECURITY, region="eu-central-1")
    assert made == json.loads(json.dumps(event(dict(one), account=SECURITY, region="eu-central-1")))
    assert made["id"] != event({**changed, "Id": one["Id"]}, account=SECURITY, region="eu-central-1")["id"]


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        ("yesterday", "", "start 'yesterday' is no time"),
        ("2026-11-29T00:00:00", "", "has no zone"),
        ("2026-11-29T00:00:00Z", "2026-11-28T00:00:00Z", "is not before"),
        ("2026-12-01T00:00:00Z", "", "is not before"),
        ("2026-07-01T00:00:00Z", "", "more than 90 days ago"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused_with_the_reason(start: str, end: str, why: str) -> None:
    with pytest.raises(FindingError, match=why):
        Window.of(start, end, now=NOW)


def test_an_open_end_is_now() -> None:
    assert Window.of("2026-11-29T00:00:00Z", "", now=NOW) == WINDOW


def test_findings_of_guardduty_itself_become_the_events_that_the_intake_reads() -> None:
    """The finding of a recorded event, as the API would give it, opens what that event opens."""
    recorded: dict[str, Any] = json.loads((EVENTS / "guardduty_ec2_c2.json").read_text("utf-8"))

    class Service(GuardDutyGateway):
        def __init__(self) -> None:
            self.account_id, self.region = SECURITY, recorded["detail"]["region"]

        def updated_between(self, start: datetime, end: datetime) -> Iterator[Mapping[str, object]]:
            assert (start, end) == (WINDOW.start, WINDOW.end)
            yield recorded["detail"]
            yield {**recorded["detail"], "id": "another"}

    queue = Queue()
    assert catch_up_guardduty(Service(), queue, WINDOW, limit=1) == CatchUp(
        1, recorded["detail"]["updatedAt"], cut=True
    )
    (body,) = queue.bodies
    made = read_event(body, received_at=NOW, administrators=[SECURITY], accept_samples=True)
    want = read_event(json.dumps(recorded), received_at=NOW, administrators=[SECURITY], accept_samples=True)
    assert [f.key for f in made.findings] == [f.key for f in want.findings] != []
    assert catch_up_guardduty(Service(), queue, WINDOW, limit=5).sent == 2
