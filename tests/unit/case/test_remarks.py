"""Remarks of people: one event of the ledger and the items that pages read, both or neither."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydantic import ValidationError

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.remarks import Author, Remarks
from forensics.case.view import read_board_view, read_view
from forensics.custody.chain import verify_chain
from forensics.custody.ledger import CustodyLedger
from forensics.errors import ForensicsError
from forensics.models.approval import Person
from forensics.models.board import BoardLine
from forensics.models.custody import CustodyAction
from forensics.models.remarks import Assignment, RemarkKind, RemarkRequest, Verdict
from tests.unit.report import sample
from tests.unit.signing import signing_key

AUTHOR = Author(Person(id="7", login="mara"), "create runs of the DAG forensic_case")
KEY = "memory/memory-image/F1"


@pytest.fixture
def ledger(store: CaseStore, dynamodb: Any) -> CustodyLedger:
    return CustodyLedger(dynamodb, key=signing_key(), store=store, actor="reader as web-ui")


@pytest.fixture
def remarks(store: CaseStore, ledger: CustodyLedger) -> Remarks:
    case = sample.case(closed_at=None)
    store.open_case(case, finding=sample.finding())
    return Remarks(store, ledger)


def verdict(value: Verdict, **more: Any) -> RemarkRequest:
    return RemarkRequest(kind=RemarkKind.VERDICT, finding=KEY, verdict=value, **more)


def test_a_verdict_is_an_event_with_who_and_by_which_permission_and_an_item_with_its_number(
    store: CaseStore, ledger: CustodyLedger, remarks: Remarks
) -> None:
    remarks.add(sample.CASE_ID, verdict(Verdict.FALSE, note="our scanner"), author=AUTHOR, title="Beacon", evidence_id="memory-image")  # fmt: skip
    (event,) = ledger.events(sample.CASE_ID)
    assert (event.action, event.evidence_id) == (CustodyAction.FINDING_JUDGED, "memory-image")
    assert event.detail == {"finding": KEY, "title": "Beacon", "verdict": "false", "note": "our scanner"}
    assert event.facts is not None
    assert event.facts.identity == {"person": "mara", "person_id": "7"}
    assert event.facts.authority == "Airflow's permission: create runs of the DAG forensic_case"
    view = read_view(store, None, sample.CASE_ID)
    assert view is not None
    (remark,) = view.remarks
    assert (remark.verdict, remark.by, remark.at, remark.seq) == (Verdict.FALSE, "mara (user id 7)", event.at, 1)
    verify_chain(ledger.events(sample.CASE_ID))


def test_the_same_order_counts_once(ledger: CustodyLedger, remarks: Remarks, store: CaseStore) -> None:
    for _ in range(2):
        remarks.add(sample.CASE_ID, verdict(Verdict.TRUE, once="ab" * 8), author=AUTHOR, title="Beacon")
    assert len(ledger.events(sample.CASE_ID)) == 1
    assert len(list(store.items(sample.CASE_ID, case_keys.REMARK))) == 1


def test_owner_and_tags_keep_each_other_and_the_board_finds_the_case_by_both(
    store: CaseStore, remarks: Remarks
) -> None:
    remarks.add(sample.CASE_ID, RemarkRequest(kind=RemarkKind.OWNER, owner="mara"), author=AUTHOR)
    remarks.add(sample.CASE_ID, RemarkRequest(kind=RemarkKind.TAGS, tags=("ransomware",)), author=AUTHOR)
    assigned = store.get(sample.CASE_ID, case_keys.ASSIGNMENT, Assignment)
    assert assigned is not None and (assigned.owner, assigned.tags, assigned.seq) == ("mara", ("ransomware",), 2)
    (entry,) = store.lines.read({})
    assert isinstance(entry.line, BoardLine) and (entry.line.owner, entry.line.tags) == ("mara", ("ransomware",))
    view = read_board_view(store, sample.CASE_ID)
    assert view.assignment == assigned
    remarks.add(sample.CASE_ID, RemarkRequest(kind=RemarkKind.OWNER), author=AUTHOR)
    assigned = store.get(sample.CASE_ID, case_keys.ASSIGNMENT, Assignment)
    assert assigned is not None and (assigned.owner, assigned.tags) == ("", ("ransomware",)), "given back"


def test_people_who_write_at_once_lose_nothing(store: CaseStore, ledger: CustodyLedger, remarks: Remarks) -> None:
    def say(number: int) -> None:
        asked = (
            RemarkRequest(kind=RemarkKind.OWNER, owner=f"p{number}")
            if number % 2
            else RemarkRequest(kind=RemarkKind.TAGS, tags=(f"t{number}",))
        )
        remarks.add(sample.CASE_ID, asked, author=AUTHOR)

    threads = [threading.Thread(target=say, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = ledger.events(sample.CASE_ID)
    verify_chain(events)
    assigned = store.get(sample.CASE_ID, case_keys.ASSIGNMENT, Assignment)
    assert assigned is not None and assigned.seq == len(events) == 4
    owners = [e.detail["owner"] for e in events if e.action is CustodyAction.CASE_ASSIGNED]
    tags = [e.detail["tags"] for e in events if e.action is CustodyAction.CASE_TAGGED]
    assert (assigned.owner, list(assigned.tags)) == (owners[-1], tags[-1])


def test_what_cannot_be_written_leaves_neither_event_nor_item(
    store: CaseStore, ledger: CustodyLedger, remarks: Remarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = CustodyLedger(store._db, key=signing_key(), store=CaseStore(store._db, table="nowhere"), actor="x")
    with pytest.raises(ForensicsError):
        Remarks(store, lost).add(sample.CASE_ID, verdict(Verdict.TRUE), author=AUTHOR)
    assert ledger.events(sample.CASE_ID) == [] and not list(store.items(sample.CASE_ID, case_keys.REMARK))


def test_texts_of_people_hide_nothing(store: CaseStore, ledger: CustodyLedger, remarks: Remarks) -> None:
    hostile = "a\ud800\u202e\n\x1b[31m"
    asked = RemarkRequest(kind=RemarkKind.COMMENT, note=hostile)
    remarks.add(sample.CASE_ID, asked, author=Author(Person(login="m\u202e"), "x"))
    (event,) = ledger.events(sample.CASE_ID)
    view = read_view(store, None, sample.CASE_ID)
    assert view is not None and view.remarks[0].note == event.detail["note"] == "a[U+D800][U+202E]⏎␛[31m"
    assert view.remarks[0].by == "m[U+202E]"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "verdict", "finding": KEY},
        {"kind": "verdict", "verdict": "true"},
        {"kind": "comment", "note": "  "},
        {"kind": "comment", "note": "x", "verdict": "true"},
        {"kind": "tags", "tags": ["<b>"]},
        {"kind": "tags", "tags": [str(n) for n in range(11)]},
        {"kind": "owner", "owner": "x" * 101},
        {"kind": "comment", "note": "x", "once": "'; drop"},
        {"kind": "delete"},
    ],
)
def test_what_is_no_whole_remark_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RemarkRequest.model_validate(wrong)
