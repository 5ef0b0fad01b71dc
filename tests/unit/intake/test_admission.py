"""Admission: what a finding leaves behind, once, also when the worker dies between any two writes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from forensics.aws.case_store import CaseStore
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.custody.chain import verify_chain
from forensics.custody.ledger import CustodyLedger
from forensics.errors import ThrottledError
from forensics.intake.admission import CaseAdmission
from forensics.models.artifact import Artifact, ArtifactKind
from forensics.models.case import CaseStatus
from forensics.models.containment import ReleaseResult
from forensics.models.custody import CustodyAction, CustodyEvent
from forensics.models.evidence import Outcome
from forensics.models.finding import CustomAction, Finding, FindingSource, Severity
from tests.unit.accounts import settings
from tests.unit.builders import NOW, SNAPSHOT, finding, plan
from tests.unit.moto_store import TABLE

JOINING = finding(key="another-key", title="Port scan", severity=Severity.CRITICAL)


class Mailbox:
    """What people were sent; ``broken`` keeps every message from being sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.subjects: list[str] = []
        self.broken = False

    def publish(self, *, case_id: str, event: str, subject: str, lines: list[str], facts: dict[str, Any]) -> None:
        """Keep the event."""
        if self.broken:
            raise ThrottledError("SNS is busy")
        self.sent.append(event)
        self.subjects.append(subject)


class Dies(RuntimeError):
    """The worker is killed here."""


class Mortal:
    """DynamoDB, until the given number of writes is reached."""

    def __init__(self, client: Any, *, writes: int) -> None:
        self._client, self.left = client, writes

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def counted(**request: Any) -> Any:
            if name in {"put_item", "update_item", "transact_write_items", "delete_item"}:
                self.left -= 1
                if self.left < 0:
                    raise Dies
            return call(**request)

        return counted


@pytest.fixture
def mailbox() -> Mailbox:
    """What people were sent in one test."""
    return Mailbox()


def admission(client: Any, mailbox: Mailbox) -> CaseAdmission:
    """Admission to a store."""
    store = CaseStore(client, table=TABLE)
    ledger = CustodyLedger(client, key=SigningKeyGateway(None, key_id="none"), store=store, actor="test")  # type: ignore[arg-type]
    return CaseAdmission(store=store, ledger=ledger, notifier=mailbox, settings=settings())  # type: ignore[arg-type]


def admit(client: Any, mailbox: Mailbox, item: Finding) -> tuple[str, str]:
    """The outcome of a finding's admission, and its case."""
    admitted = admission(client, mailbox).admit(item, received_at=NOW)
    return admitted.outcome, admitted.case.case_id


def left(store: CaseStore, case_id: str) -> Counter[str]:
    """How many items of each kind a case has, and which entries its ledger has."""
    events = [CustodyEvent.model_validate(d) for _, d in store.items(case_id, "CUSTODY#")]
    verify_chain(events)
    kinds = Counter(sk.partition("#")[0] for sk, _ in store.items(case_id))
    return Counter({k: kinds[k] for k in ("FINDING", "TIMELINE")}) + Counter(e.action.value for e in events)


# the timeline has the finding, and that the case is more severe than it was
JOINED = Counter({"FINDING": 2, "TIMELINE": 2, CustodyAction.FINDING_JOINED.value: 1})


def test_a_joined_finding_leaves_record_timeline_ledger_and_one_notice(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox
) -> None:
    _, case_id = admit(dynamodb, mailbox, finding())
    for how in ("joined", "exists", "exists"):
        assert admit(dynamodb, mailbox, JOINING) == (how, case_id)
        assert left(store, case_id) == JOINED
    assert mailbox.sent == ["severity_raised"]


@pytest.mark.parametrize("writes", range(9))
def test_a_worker_killed_after_any_write_leaves_the_rest_to_its_successor(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox, writes: int
) -> None:
    _, case_id = admit(dynamodb, mailbox, finding())
    mortal = Mortal(dynamodb, writes=writes)
    try:
        admit(mortal, mailbox, JOINING)
    except Dies:
        assert mortal.left < 0
    admit(dynamodb, mailbox, JOINING)
    assert left(store, case_id) == JOINED
    assert store.case(case_id).severity == Severity.CRITICAL
    assert 1 <= len(mailbox.sent) <= 2, "people may be notified twice, and never not at all"


def test_a_case_is_as_severe_as_its_most_severe_finding_which_is_told_once(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox
) -> None:
    _, case_id = admit(dynamodb, mailbox, finding(severity=Severity.LOW))
    seen = []
    for number, severity in enumerate(
        (Severity.LOW, Severity.MEDIUM, Severity.CRITICAL, Severity.HIGH, Severity.CRITICAL)
    ):
        admit(dynamodb, mailbox, finding(key=f"joining-{number}", severity=severity))
        seen.append(store.case(case_id).severity)
    assert seen == [Severity.LOW, Severity.MEDIUM, Severity.CRITICAL, Severity.CRITICAL, Severity.CRITICAL]
    assert mailbox.sent == ["severity_raised"] and mailbox.subjects[0].startswith("CRITICAL ")
    admission(dynamodb, mailbox)._tell(store.case(case_id), "anything", "Something happened later")
    assert mailbox.subjects[-1].startswith("CRITICAL "), "and so is every later message"
    assert [c.severity for c in store.list_cases()[0]] == [Severity.CRITICAL], "what the board lists"


def test_a_severity_that_cannot_be_read_raises_none(store: CaseStore, dynamodb: Any, mailbox: Mailbox) -> None:
    _, case_id = admit(dynamodb, mailbox, finding(severity=Severity.LOW))
    admit(dynamodb, mailbox, finding(key="unreadable", severity=Severity.MEDIUM, severity_unread=True))
    assert store.case(case_id).severity == Severity.LOW


def test_the_opening_finding_delivered_again_leaves_nothing(store: CaseStore, dynamodb: Any, mailbox: Mailbox) -> None:
    _, case_id = admit(dynamodb, mailbox, finding())
    assert admit(dynamodb, mailbox, finding()) == ("exists", case_id)
    assert left(store, case_id) == Counter({"FINDING": 1})
    assert mailbox.sent == []


def test_another_shape_of_the_opening_finding_joins(store: CaseStore, dynamodb: Any, mailbox: Mailbox) -> None:
    _, case_id = admit(dynamodb, mailbox, finding())
    assert admit(dynamodb, mailbox, finding(source=FindingSource.SECURITY_HUB_V2)) == ("joined", case_id)
    assert left(store, case_id) == JOINED - Counter({"TIMELINE": 1})


@pytest.mark.parametrize("planned", [False, True])
def test_only_a_case_with_a_plan_may_need_more_than_it(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox, planned: bool
) -> None:
    _, case_id = admit(dynamodb, mailbox, finding())
    if planned:
        store.put(case_id, "PLAN", plan())
    assert admission(dynamodb, mailbox).admit(JOINING, received_at=NOW).wants_more is planned


def test_a_plan_that_came_while_the_worker_died_is_still_extended(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox
) -> None:
    """The run that extends the plan is ordered until the message is gone, not only by the first delivery."""
    _, case_id = admit(dynamodb, mailbox, finding())
    store.put(case_id, "PLAN", plan())
    assert [admission(dynamodb, mailbox).admit(JOINING, received_at=NOW).wants_more for _ in range(2)] == [True, True]


@pytest.mark.parametrize(("later", "outcome"), [(timedelta(hours=-1), "closed"), (timedelta(hours=1), "opened")])
def test_a_case_that_could_not_be_processed_swallows_no_later_news(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox, later: timedelta, outcome: str
) -> None:
    _, case_id = admit(dynamodb, mailbox, finding())
    store.end_case(case_id, status=CaseStatus.FAILED, closed_at=NOW)
    admitted = admission(dynamodb, mailbox).admit(finding(updated_at=NOW + later), received_at=NOW)
    assert admitted.outcome == outcome and (admitted.case.case_id == case_id) is (outcome == "closed")


@pytest.mark.parametrize(("later", "sent"), [(timedelta(hours=-1), []), (timedelta(hours=1), ["active_again"])])
def test_a_closed_cases_finding_is_told_once_when_it_is_active_after_the_end(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox, later: timedelta, sent: list[str]
) -> None:
    _, case_id = admit(dynamodb, mailbox, finding())
    store.end_case(case_id, status=CaseStatus.CLOSED, closed_at=NOW)
    for _ in range(2):
        admitted = admission(dynamodb, mailbox).admit(finding(updated_at=NOW + later), received_at=NOW)
        assert (admitted.outcome, admitted.case.case_id, admitted.needs_run) == ("closed", case_id, False)
    assert mailbox.sent == sent


def test_a_closed_cases_finding_that_became_more_severe_opens_one_further_case(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox
) -> None:
    _, first = admit(dynamodb, mailbox, finding(severity=Severity.LOW))
    store.end_case(first, status=CaseStatus.CLOSED, closed_at=NOW)
    how, second = admit(dynamodb, mailbox, finding(severity=Severity.CRITICAL))
    assert how == "opened" and second != first
    assert admit(dynamodb, mailbox, finding(severity=Severity.CRITICAL)) == ("exists", second)
    assert len(store.list_cases()[0]) == 2


def test_a_custom_action_on_a_closed_cases_finding_opens_a_case(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox
) -> None:
    _, first = admit(dynamodb, mailbox, finding())
    store.end_case(first, status=CaseStatus.CLOSED, closed_at=NOW)
    order = finding(source=FindingSource.SECURITY_HUB_ACTION, action=CustomAction.ISOLATE)
    how, second = admit(dynamodb, mailbox, order)
    assert how == "opened" and second != first
    assert admit(dynamodb, mailbox, order) == ("exists", second)


def _press(number: int) -> Finding:
    return finding(
        source=FindingSource.SECURITY_HUB_ACTION,
        action=CustomAction.FULL,
        press=f"event-{number}",
        severity=Severity.LOW,
    )


@pytest.mark.parametrize("end", [CaseStatus.CLOSED, CaseStatus.CLOSED_WITH_GAPS])
def test_an_order_pressed_again_after_the_end_opens_a_case(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox, end: CaseStatus
) -> None:
    seen = []
    for number in range(3):
        how, case_id = admit(dynamodb, mailbox, _press(number))
        assert how == "opened"
        assert admit(dynamodb, mailbox, _press(number)) == ("exists", case_id), "delivered again, it is the same press"
        store.end_case(case_id, status=end, closed_at=NOW)
        assert admit(dynamodb, mailbox, _press(number)) == ("closed", case_id)
        seen.append(case_id)
    assert len(set(seen)) == 3


def test_an_order_pressed_again_on_an_open_case_joins_it_each_time(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox
) -> None:
    _, case_id = admit(dynamodb, mailbox, finding())
    for number in range(2):
        assert admit(dynamodb, mailbox, _press(number)) == ("joined", case_id)
    assert mailbox.sent == ["finding_joined", "finding_joined"], "two presses are two orders"


def _closed(store: CaseStore, dynamodb: Any, mailbox: Mailbox, item: Finding | None = None) -> str:
    _, case_id = admit(dynamodb, mailbox, item or finding())
    store.end_case(case_id, status=CaseStatus.CLOSED, closed_at=NOW)
    return case_id


def test_an_activity_that_goes_on_is_told_once_however_long(store: CaseStore, dynamodb: Any, mailbox: Mailbox) -> None:
    """GuardDuty puts new occurrences into the same finding: updates every six hours, for four weeks."""
    case_id = _closed(store, dynamodb, mailbox)
    for number in range(1, 113):
        again = finding(updated_at=NOW + timedelta(hours=6 * number))
        assert admit(dynamodb, mailbox, again) == ("closed", case_id)
    assert mailbox.sent == ["active_again"]


def test_an_activity_that_had_ceased_and_comes_back_opens_a_case(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox
) -> None:
    first = _closed(store, dynamodb, mailbox)
    assert admit(dynamodb, mailbox, finding(updated_at=NOW + timedelta(days=2))) == ("closed", first)
    again = finding(updated_at=NOW + timedelta(days=10))
    how, second = admit(dynamodb, mailbox, again)
    assert how == "opened" and second != first
    assert admit(dynamodb, mailbox, again) == ("exists", second)
    assert any("quiet for 8 days" in str(data["what"]) for _, data in store.items(second, "TIMELINE#"))


def test_an_activity_after_the_targets_release_opens_a_case(store: CaseStore, dynamodb: Any, mailbox: Mailbox) -> None:
    first = _closed(store, dynamodb, mailbox)
    store.put(first, "RELEASE", ReleaseResult(outcome=Outcome.DONE, released_at=NOW + timedelta(days=1)))
    assert admit(dynamodb, mailbox, finding(updated_at=NOW + timedelta(hours=3))) == ("closed", first)
    how, second = admit(dynamodb, mailbox, finding(updated_at=NOW + timedelta(days=2)))
    assert how == "opened" and second != first


def test_a_new_wave_below_the_settings_severity_is_told(store: CaseStore, dynamodb: Any, mailbox: Mailbox) -> None:
    case_id = _closed(store, dynamodb, mailbox, finding(severity=Severity.LOW))
    for days in (1, 20, 21, 40):
        low = finding(severity=Severity.LOW, updated_at=NOW + timedelta(days=days))
        assert admit(dynamodb, mailbox, low) == ("closed", case_id)
    assert mailbox.sent == ["active_again"] * 3, "once for each wave: at the end, after 19 days, after another 19"


def test_nobody_being_told_is_a_failure_of_the_case_and_stops_nothing(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox
) -> None:
    _, case_id = admit(dynamodb, mailbox, finding())
    mailbox.broken = True
    assert admit(dynamodb, mailbox, JOINING) == ("joined", case_id)
    ((_, failure),) = store.items(case_id, "FAILURE#")
    assert "SNS is busy" in failure["cause"]


def test_every_finding_about_the_same_artifact_joins_its_case(
    store: CaseStore, dynamodb: Any, mailbox: Mailbox
) -> None:
    def about(kind: ArtifactKind, key: str) -> Finding:
        return finding(key=key * 16, instance_id=SNAPSHOT, artifact=Artifact(kind=kind, id=SNAPSHOT))

    opened = admit(dynamodb, mailbox, about(ArtifactKind.SNAPSHOT, "a"))
    joined = admit(dynamodb, mailbox, about(ArtifactKind.RECOVERY_POINT, "b"))
    assert (opened[0], joined[0], opened[1]) == ("opened", "joined", joined[1])
    assert store.case(opened[1]).subject == f"snapshot {SNAPSHOT}"
    assert admit(dynamodb, mailbox, finding(key="c" * 16))[1] != opened[1], "an instance has a case of its own"
