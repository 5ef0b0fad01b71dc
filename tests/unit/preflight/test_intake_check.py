"""The way of findings, the listeners, the web server: each judged by what it left behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.aws.case_store import CaseStore
from forensics.aws.sns import Notifier
from forensics.aws.sqs import FindingQueue
from forensics.models.preflight import CheckResult, CheckStatus, Heartbeat, PagesReach, WaitingSince
from forensics.preflight.intake_check import EVERY, PAGES_STALE, STALE, IntakeCheck, NoticesCheck, PagesCheck
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import SECURITY, Items

Answering = Callable[[type, Any], None]
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class Queue:
    """A queue of some depth."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting

    def depth(self) -> int:
        return self.waiting

    def dead_letters(self) -> int:
        return 0


def beat(age: timedelta) -> Heartbeat:
    return Heartbeat(sent_at=NOW - age - timedelta(seconds=2), received_at=NOW - age, account_id=SECURITY)


def intake(
    scope: PreflightScope,
    answering: Answering,
    *,
    waiting: int,
    last: Heartbeat | None,
    since: timedelta = timedelta(days=3),
) -> CheckResult:
    answering(FindingQueue, Queue(waiting))
    awaited = WaitingSince(at=NOW - since)
    answering(CaseStore, Items(HEARTBEATSINCE=awaited, **({"HEARTBEAT": last} if last else {})))
    return IntakeCheck(scope, now=NOW).run()


def test_a_fresh_test_event_shows_that_the_way_is_open(scope: PreflightScope, answering: Answering) -> None:
    line = intake(scope, answering, waiting=3, last=beat(EVERY))
    assert (line.status, "2 s on its way" in line.detail) == (CheckStatus.OK, True)


@pytest.mark.parametrize("last", [None, beat(STALE + timedelta(minutes=1))])
@pytest.mark.parametrize(("waiting", "advice"), [(0, "forensics-undelivered"), (5, "finding_intake")])
def test_without_one_the_queue_says_where_to_look(
    scope: PreflightScope, answering: Answering, last: Heartbeat | None, waiting: int, advice: str
) -> None:
    line = intake(scope, answering, waiting=waiting, last=last)
    assert (line.status, advice in line.next_action) == (CheckStatus.BROKEN, True)


def test_a_new_deployment_is_not_born_broken(scope: PreflightScope, answering: Answering) -> None:
    for since, status in ((timedelta(), CheckStatus.NOT_TRIED), (STALE, CheckStatus.BROKEN)):
        assert intake(scope, answering, waiting=0, last=None, since=since).status is status


@pytest.mark.parametrize(("confirmed", "status"), [(1, CheckStatus.OK), (0, CheckStatus.BROKEN)])
def test_somebody_has_to_listen(
    scope: PreflightScope, answering: Answering, confirmed: int, status: CheckStatus
) -> None:
    class Topic:
        def subscriptions(self) -> tuple[int, int]:
            return confirmed, 1

    answering(Notifier, Topic())
    assert NoticesCheck(scope).run().status is status


@pytest.mark.parametrize(
    ("age", "inside", "status"),
    [
        (None, CheckStatus.OK, CheckStatus.NOT_TRIED),
        (PAGES_STALE * 2, CheckStatus.OK, CheckStatus.NOT_TRIED),
        (timedelta(hours=1), CheckStatus.OK, CheckStatus.OK),
        (timedelta(hours=1), CheckStatus.BROKEN, CheckStatus.BROKEN),
    ],
)
def test_the_web_server_is_judged_by_its_own_look(
    scope: PreflightScope, answering: Answering, age: timedelta | None, inside: CheckStatus, status: CheckStatus
) -> None:
    line = CheckResult(check="reach", subject="sts", status=inside, next_action="open a way")
    held = {} if age is None else {"PAGES": PagesReach(at=NOW - age, results=(line,))}
    answering(CaseStore, Items(**held))
    assert PagesCheck(scope, now=NOW).run().status is status
