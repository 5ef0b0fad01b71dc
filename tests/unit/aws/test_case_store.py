"""The case store: one open case per instance under races, complete pages, exact values."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from forensics import case_keys
from forensics.aws.attributes import from_item, to_item
from forensics.aws.case_items import case_pk
from forensics.aws.case_store import CaseStore
from forensics.custody.chain import canonical
from forensics.errors import AccessDeniedError, AwsError, CaseError
from forensics.models.base import VersionedModel
from forensics.models.case import Case, CaseStatus, Milestone, Phase, StepFailure, TimelineKind
from forensics.models.evidence import EvidenceKind, read_evidence
from forensics.models.finding import CustomAction, Finding, FindingSource, Severity
from tests.unit.builders import CASE_ID, NOW, case, evidence, finding
from tests.unit.moto_store import TABLE

TEXT = st.text("aZ0 #/\u20ac\U0001f600\n", max_size=8)
# Integers as far as JSON's readers agree on them (RFC 8785 refuses larger ones too).
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    TEXT,
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda f: f == 0 or 1e-100 < abs(f) < 1e100),
)
JSON = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT, v, max_size=3), max_leaves=8)


@given(JSON)
def test_json_survives_dynamodb(value: Any) -> None:
    assert from_item(to_item(value)) == value


@pytest.mark.parametrize("value", [5.061355695332761e16, 1e21, 2.0**60, 1.5, 0.1, -0.25, 10**15])
def test_a_number_keeps_its_value_and_so_its_digest(value: float) -> None:
    assert canonical(from_item(to_item(value))) == canonical(value)


@given(st.booleans())
def test_booleans_stay_booleans(value: bool) -> None:
    assert from_item(to_item({"x": value}))["x"] is value


def other(number: int) -> Case:
    """Another case of the same instance."""
    return case(case_id=f"fc-20261124-{number:010x}")


# ---------------------------------------------------------------------- opening
def test_the_first_finding_opens_and_a_redelivery_finds_it(store: CaseStore) -> None:
    assert store.open_case(case(), finding=finding()) == ("opened", CASE_ID)
    assert store.open_case(case(), finding=finding()) == ("exists", CASE_ID)
    assert len(list(store.items(CASE_ID, "FINDING#"))) == 1


def test_the_same_finding_in_three_shapes_leaves_three_records(store: CaseStore) -> None:
    for source in (FindingSource.GUARDDUTY, FindingSource.SECURITY_HUB, FindingSource.SECURITY_HUB_V2):
        store.open_case(case(), finding=finding(source=source))
    assert len(list(store.items(CASE_ID, "FINDING#"))) == 3


def test_another_finding_joins_the_open_case(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    assert store.open_case(other(1), finding=finding(key="another-key")) == ("joined", CASE_ID)
    assert store.get(other(1).case_id, "META", Case) is None
    assert len(list(store.items(CASE_ID, "FINDING#"))) == 2


def close(store: CaseStore, item: Case) -> None:
    """Close a case as the last step does."""
    store.end_case(item.case_id, status=CaseStatus.CLOSED, closed_at=NOW)


def test_only_the_holder_frees_its_instance(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    close(store, case())
    store.open_case(other(1), finding=finding(key="another-key"))
    close(store, case())
    assert store.open_case(other(2), finding=finding(key="third-key"))[0] == "joined"


def test_the_end_and_the_lock_are_one_write(store: CaseStore, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is killed at any moment leaves both or neither (field/security.md, A9)."""
    store.open_case(case(), finding=finding())
    sent: list[list[str]] = []
    really = dynamodb.transact_write_items

    def transact(*, TransactItems: list[dict[str, Any]]) -> Any:
        sent.append([next(iter(item)) for item in TransactItems])
        return really(TransactItems=TransactItems)

    monkeypatch.setattr(dynamodb, "transact_write_items", transact)
    monkeypatch.setattr(dynamodb, "update_item", None)
    monkeypatch.setattr(dynamodb, "delete_item", None)
    ended = store.end_case(CASE_ID, status=CaseStatus.CLOSED, closed_at=NOW)
    assert sent == [["Update", "Delete"]] and ended == store.case(CASE_ID) == case(status="CLOSED", closed_at=NOW)
    assert store.begin_case(CASE_ID, run_id="again").status is CaseStatus.OPEN
    assert sent[1:] == [["Update", "Put"]]


@pytest.mark.parametrize("status", [CaseStatus.CLOSED, CaseStatus.CLOSED_WITH_GAPS, CaseStatus.FAILED])
def test_a_holder_that_has_ended_is_no_holder(store: CaseStore, status: CaseStatus) -> None:
    store.open_case(case(), finding=finding())
    store.update_case(CASE_ID, status=status, closed_at=NOW)  # as earlier releases left it when killed here
    assert store.open_case(other(1), finding=finding(key="another-key")) == ("opened", other(1).case_id)
    assert store.open_case(other(2), finding=finding(key="third-key")) == ("joined", other(1).case_id)


def test_a_case_that_is_opened_again_leaves_another_holder_its_instance(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    close(store, case())
    store.open_case(other(1), finding=finding(key="another-key"))
    assert store.begin_case(CASE_ID, run_id="again").status is CaseStatus.OPEN
    assert store.open_case(other(2), finding=finding(key="third-key")) == ("joined", other(1).case_id)


def test_open_cases_are_listed_oldest_first(store: CaseStore) -> None:
    cases = [
        case(case_id=f"fc-20261124-{n:010x}", instance_id=f"i-{n:017x}", opened_at=NOW + timedelta(minutes=n))
        for n in range(4)
    ]
    for item in reversed(cases):
        store.open_case(item, finding=finding(key=f"finding-{item.case_id}"))
    close(store, cases[2])
    assert list(store.open_cases()) == [cases[n].case_id for n in (0, 1, 3)]


def test_a_new_finding_on_a_closed_cases_instance_opens_a_case(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    close(store, case())
    close(store, case())
    assert store.open_case(other(1), finding=finding(key="another-key")) == ("opened", other(1).case_id)


@pytest.mark.parametrize("source", [FindingSource.GUARDDUTY, FindingSource.SECURITY_HUB_V2])
def test_the_finding_of_a_closed_case_opens_no_second_one(store: CaseStore, source: FindingSource) -> None:
    store.open_case(case(), finding=finding())
    store.open_case(other(1), finding=finding(key="joined-key"))
    close(store, case())
    # A day later another shape gives another case id: the finding is known all the same.
    assert store.open_case(other(2), finding=finding(source=source)) == ("closed", CASE_ID)
    assert store.open_case(other(3), finding=finding(key="joined-key", source=source)) == ("closed", CASE_ID)
    assert [c.case_id for c in store.list_cases()[0]] == [CASE_ID]


def test_a_finding_that_became_more_severe_after_the_end_opens_one_more_case(store: CaseStore) -> None:
    store.open_case(case(), finding=finding(severity=Severity.LOW))
    close(store, case())
    worse = finding(severity=Severity.CRITICAL)
    assert store.open_case(case(), finding=worse) == ("escalated", CASE_ID)
    for expected in ("opened", "exists"):
        assert store.open_case(other(1), finding=worse, after=CASE_ID) == (expected, other(1).case_id)
    assert store.open_case(case(), finding=worse) == ("exists", other(1).case_id)


def test_a_persons_action_on_a_closed_cases_finding_opens_a_case(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    close(store, case())
    order = finding(source=FindingSource.SECURITY_HUB_ACTION, action=CustomAction.ISOLATE)
    assert store.open_case(other(1), finding=order) == ("opened", other(1).case_id)


def test_two_actions_on_one_finding_are_two_records(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    for action in (CustomAction.TRIAGE, CustomAction.ISOLATE):
        order = finding(source=FindingSource.SECURITY_HUB_ACTION, action=action)
        assert store.open_case(other(1), finding=order) == ("joined", CASE_ID)
    assert len(list(store.items(CASE_ID, "FINDING#"))) == 3


def test_a_finding_of_the_open_case_that_became_more_severe_is_told_apart(store: CaseStore) -> None:
    store.open_case(case(), finding=finding(severity=Severity.MEDIUM))
    assert store.open_case(case(), finding=finding(severity=Severity.CRITICAL)) == ("raised", CASE_ID)
    assert store.open_case(case(), finding=finding(severity=Severity.MEDIUM)) == ("exists", CASE_ID)
    kept = [Finding.model_validate(data) for _, data in store.items(CASE_ID, "FINDING#")]
    assert [f.severity for f in kept] == [Severity.CRITICAL]


def test_a_case_becomes_more_severe_and_never_less(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    store.update_case(CASE_ID, severity=Severity.LOW.value)
    raised = [store.raise_severity(CASE_ID, s) for s in (Severity.LOW, Severity.HIGH, Severity.MEDIUM, Severity.HIGH)]
    assert raised == [False, True, False, False] and store.case(CASE_ID).severity == Severity.HIGH
    assert not store.raise_severity(CASE_ID, Severity.INFORMATIONAL)
    assert not store.raise_severity("fc-20261124-ffffffffff", Severity.CRITICAL), "a case that is not there"


class LosesTheLock:
    """DynamoDB as a worker sees it that loses the race for the instance and then finds its lock gone, so many times."""

    def __init__(self, dynamodb: Any, store: CaseStore, *, times: int) -> None:
        self._dynamodb, self._store, self.times = dynamodb, store, times

    def transact_write_items(self, **request: Any) -> Any:
        """Another case comes and goes around this call."""
        if self.times <= 0:
            return self._dynamodb.transact_write_items(**request)
        self.times -= 1
        rival = other(self.times + 100)
        self._store.open_case(rival, finding=finding(key=f"rival-{self.times:08d}"))
        try:
            return self._dynamodb.transact_write_items(**request)
        finally:
            close(self._store, rival)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dynamodb, name)


def test_a_lock_that_vanishes_meanwhile_is_tried_again(store: CaseStore, dynamodb: Any) -> None:
    rivalled = CaseStore(LosesTheLock(dynamodb, store, times=2), table=store.table)
    assert rivalled.open_case(case(), finding=finding()) == ("opened", CASE_ID)


def test_a_lock_that_keeps_vanishing_is_an_error_that_is_retried(store: CaseStore, dynamodb: Any) -> None:
    rivalled = CaseStore(LosesTheLock(dynamodb, store, times=99), table=store.table)
    with pytest.raises(CaseError, match="kept changing hands") as caught:
        rivalled.open_case(case(), finding=finding())
    assert caught.value.retryable


@pytest.mark.parametrize("same", [True, False], ids=["same finding", "eight findings"])
def test_eight_threads_open_one_case(store: CaseStore, same: bool) -> None:
    cases = [case() if same else other(n + 1) for n in range(8)]
    barrier, answers, errors = threading.Barrier(8), [], []

    def run(item: Case, number: int) -> None:
        barrier.wait()
        try:
            answers.append(store.open_case(item, finding=finding(key=f"finding-{0 if same else number}")))
        except AwsError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(c, n)) for n, c in enumerate(cases)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors
    assert Counter(how for how, _ in answers) == {"opened": 1, "exists" if same else "joined": 7}
    assert len({holder for _, holder in answers}) == 1
    holder = answers[0][1]
    assert len(list(store.items(holder, "FINDING#"))) == (1 if same else 8)


# ---------------------------------------------------------------------- reading and writing
def test_an_unknown_case_says_so(store: CaseStore) -> None:
    with pytest.raises(CaseError, match=f"{CASE_ID} does not exist"):
        store.case(CASE_ID)


def test_updates_keep_the_rest_and_move_the_index(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())
    store.update_case(CASE_ID, phase=Phase.TRIAGE)
    changed = store.update_case(CASE_ID, status=CaseStatus.CLOSED, closed_at=NOW)
    assert store.case(CASE_ID) == changed == case(phase=Phase.TRIAGE, status=CaseStatus.CLOSED, closed_at=NOW)
    assert [c.case_id for c in store.list_cases()[0]] == [CASE_ID]


def test_models_survive_the_store(store: CaseStore) -> None:
    item = evidence(EvidenceKind.CONTROL_PLANE, lock={"ratio": 0.1, "deep": [{"n": 3, "none": None}]}, started_at=NOW)
    store.put(CASE_ID, "EVIDENCE#x", item)
    assert read_evidence(store.data(CASE_ID, "EVIDENCE#x")) == item
    assert store.data(CASE_ID, "EVIDENCE#y") is None


def test_put_once_keeps_the_first(store: CaseStore) -> None:
    assert store.add_finding(CASE_ID, finding(title="first"))
    assert not store.add_finding(CASE_ID, finding(title="second"))
    assert store.get(CASE_ID, f"FINDING#{'k' * 16}#guardduty", Finding) == finding(title="first")


def test_items_read_every_page(store: CaseStore) -> None:
    filler = "x" * 60_000  # 40 items of 60 kB are more than two pages of 1 MB
    for number in range(40):
        store.put_once(CASE_ID, f"TIMELINE#{number:03d}", {"what": filler, "n": number})
    store.put_once(CASE_ID, "OTHER#1", {})
    found = list(store.items(CASE_ID, "TIMELINE#"))
    assert [data["n"] for _, data in found] == list(range(40))
    assert len(list(store.items(CASE_ID))) == 41


def test_items_without_data_are_read_as_nothing(store: CaseStore, dynamodb: Any) -> None:
    dynamodb.put_item(TableName=store.table, Item={"PK": {"S": case_pk(CASE_ID)}, "SK": {"S": "ONCE#x"}})
    assert list(store.items(CASE_ID)) == [("ONCE#x", None)]


def test_the_list_of_cases_pages_through_all_statuses_newest_first(store: CaseStore) -> None:
    statuses = list(CaseStatus)
    for number in range(13):
        item = case(
            case_id=f"fc-20261124-{number:010x}",
            instance_id=f"i-{number:017x}",
            opened_at=NOW + timedelta(minutes=number),
        )
        store.open_case(item, finding=finding(key=f"finding-{number}"))
        store.update_case(item.case_id, status=statuses[number % len(statuses)])
    seen, cursor, pages = [], None, 0
    while True:
        page, cursor = store.list_cases(limit=4, cursor=cursor)
        seen += page
        pages += 1
        if cursor is None:
            break
    assert [c.opened_at for c in seen] == sorted((c.opened_at for c in seen), reverse=True)
    assert len(seen) == len({c.case_id for c in seen}) == 13
    assert pages == 4


def test_the_case_to_release_is_the_newest_that_contained_the_instance(store: CaseStore) -> None:
    place = (case().account_id, case().region, case().instance_id)
    assert store.contained_case(*place) is None
    for days in range(3):
        mine = case(case_id=f"fc-20261124-{days:010x}", opened_at=NOW + timedelta(days=days))
        store.open_case(mine, finding=finding(key=f"{days:016d}"))
        close(store, mine)
        if days < 2:
            store.put_once(mine.case_id, "RESTORE#original", {"facts": "kept"})
    found = store.contained_case(*place)
    assert found is not None and found.case_id == f"fc-20261124-{1:010x}"
    assert store.contained_case(place[0], place[1], "i-0ffffffffffffffff") is None


def test_an_empty_table_has_no_cases(store: CaseStore) -> None:
    assert store.list_cases() == ([], None)


# ---------------------------------------------------------------------- what people read
def test_a_milestone_is_the_first_time(store: CaseStore) -> None:
    assert store.milestone(CASE_ID, Milestone.OPENED, NOW)
    assert not store.milestone(CASE_ID, Milestone.OPENED, NOW + timedelta(hours=1))
    assert dict(store.items(CASE_ID, "MILESTONE#")) == {"MILESTONE#opened": {"at": "2026-11-24T08:00:00.000000Z"}}


def test_the_same_note_twice_is_one(store: CaseStore) -> None:
    for what in ("a", "a", "b"):
        store.note(CASE_ID, what, kind=TimelineKind.CASE, source="test", at=NOW)
    assert [data["what"] for _, data in store.items(CASE_ID, "TIMELINE#")].count("a") == 1
    assert len(list(store.items(CASE_ID, "TIMELINE#"))) == 2


def test_a_failure_is_replaced_and_cleared(store: CaseStore) -> None:
    for cause in ("first", "second"):
        store.fail(CASE_ID, StepFailure(step="disk.copy", cause=cause, next_action="fix it", at=NOW))
    assert [data["cause"] for _, data in store.items(CASE_ID, "FAILURE#")] == ["second"]
    store.clear_failure(CASE_ID, "disk.copy")
    store.clear_failure(CASE_ID, "disk.copy")
    assert list(store.items(CASE_ID, "FAILURE#")) == []


class Counted(VersionedModel):
    """A value of which one writer at a time changes the item."""

    who: str = ""


def test_of_many_who_change_the_same_version_one_wins(store: CaseStore) -> None:
    assert not store.swap(CASE_ID, "X", Counted(version=2)), "there is no first version yet"
    won = Counter[bool]()

    def write(number: int) -> None:
        won[store.swap(CASE_ID, "X", Counted(version=1, who=str(number)))] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == {True: 1, False: 7}
    first = store.get(CASE_ID, "X", Counted)
    assert first is not None and first.version == 1
    assert store.swap(CASE_ID, "X", Counted(version=2, who="next")) and not store.swap(CASE_ID, "X", Counted(version=2))


def test_an_item_written_without_a_version_counts_as_none(store: CaseStore) -> None:
    store.put(CASE_ID, "X", Counted(who="an earlier release"))
    assert store.swap(CASE_ID, "X", Counted(version=1, who="this one"))
    assert store.get(CASE_ID, "X", Counted) == Counted(version=1, who="this one")


class Refusing:
    """DynamoDB's client, whose TransactGetItems is refused with this code."""

    def __init__(self, client: Any, code: str) -> None:
        self._client, self._code = client, code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_get_items(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, "TransactGetItems")


@pytest.mark.parametrize("code", ["", "TransactionCanceledException", "ValidationException"])
def test_several_items_are_those_that_exist_also_while_a_transaction_changes_one(
    store: CaseStore, dynamodb: Any, code: str
) -> None:
    """Amazon DynamoDB API reference, TransactGetItems: cancelled by a conflicting write, refused over 4 MB."""
    store.open_case(case(), finding=finding())
    store.milestone(CASE_ID, Milestone.OPENED, NOW)
    asked = CaseStore(Refusing(dynamodb, code), table=TABLE) if code else store  # type: ignore[arg-type]
    opened = f"{case_keys.MILESTONE}{Milestone.OPENED.value}"
    found = asked.several(CASE_ID, [case_keys.CASE, case_keys.PLAN, opened])
    assert found == {sk: store.data(CASE_ID, sk) for sk in (case_keys.CASE, opened)}


def test_several_items_that_may_not_be_read_are_an_error(dynamodb: Any) -> None:
    with pytest.raises(AccessDeniedError):
        CaseStore(Refusing(dynamodb, "AccessDeniedException"), table=TABLE).several(CASE_ID, [case_keys.CASE])  # type: ignore[arg-type]
