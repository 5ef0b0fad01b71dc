"""After the table was restored to an earlier time the signed heads in the evidence store are the truth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics import case_keys
from forensics.aws.case_items import case_pk
from forensics.aws.case_store import CaseStore
from forensics.custody import signed_ledgers
from forensics.custody.chain import verify_chain
from forensics.custody.ledger import CustodyLedger
from forensics.custody.restoring import STEP, LedgerRestore
from forensics.errors import CustodyChainError
from forensics.models.case import StepFailure
from forensics.models.custody import CustodyAction
from tests.unit.builders import CASE_ID, case, finding
from tests.unit.recorders import EvidenceInMemory
from tests.unit.signing import signing_key


class Restorable:
    """A case's table that can be put back to how it was."""

    def __init__(self, dynamodb: Any, store: CaseStore) -> None:
        self.db, self.store = dynamodb, store
        self.evidence = EvidenceInMemory()
        self.ledger = CustodyLedger(dynamodb, key=signing_key(), store=store, actor="custodian")
        self.copy: list[dict[str, Any]] = []

    def acts(self, *actions: CustodyAction) -> None:
        for action in actions:
            self.ledger.append(CASE_ID, action, detail={"n": action.value}, once=action.value)

    def sign(self, phase: str) -> str:
        return self.ledger.sign_head(CASE_ID, phase=phase, evidence=self.evidence)["head"]

    def back_up(self) -> None:
        self.copy = self._items()

    def restore(self) -> None:
        """As DynamoDB's point-in-time restore: everything is as it was then."""
        for item in self._items():
            self.db.delete_item(TableName=self.store.table, Key={k: item[k] for k in ("PK", "SK")})
        for item in self.copy:
            self.db.put_item(TableName=self.store.table, Item=item)

    def _items(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.db.scan(TableName=self.store.table)["Items"]
        return found

    def again(self) -> LedgerRestore:
        return LedgerRestore(self.store, self.ledger, self.evidence)


@pytest.fixture
def world(dynamodb: Any, store: CaseStore) -> Restorable:
    made = Restorable(dynamodb, store)
    store.open_case(case(), finding=finding())
    made.acts(CustodyAction.CASE_OPENED, CustodyAction.TARGET_DESCRIBED)
    made.back_up()
    made.acts(CustodyAction.RESTORE_POINT_TAKEN, CustodyAction.TARGET_CONTAINED)
    made.sign("containment")
    made.acts(CustodyAction.EVIDENCE_ACQUIRED)
    return made


def test_nothing_is_signed_while_the_table_is_behind_what_is_signed(world: Restorable) -> None:
    world.restore()
    world.acts(CustodyAction.REPORT_WRITTEN)
    before = dict(world.evidence.objects)
    with pytest.raises(
        CustodyChainError, match=r"is behind what is signed .*: event 3 is not the one that was signed"
    ) as refused:
        world.sign("close")
    assert "ledger_restore" in refused.value.next_action and world.evidence.objects == before


def test_a_shorter_ledger_is_refused_too(world: Restorable) -> None:
    world.restore()
    with pytest.raises(CustodyChainError, match="it ends with event 2, and event 4 was signed"):
        world.sign("close")


def test_the_signed_events_come_back_and_the_gap_is_named(world: Restorable) -> None:
    lost = world.ledger.events(CASE_ID)
    world.restore()
    done = world.again().run(CASE_ID)
    assert done is not None and (done.had, done.signed, done.added, done.known) == (2, 4, 2, True)
    events = world.ledger.events(CASE_ID)
    assert events[:4] == lost[:4] and [e.action for e in events[4:]] == [CustodyAction.LEDGER_RESTORED]
    assert events[4].detail["table_had"] == 2 and events[4].detail["signed"] == 4
    assert world.ledger.head(CASE_ID) == (5, verify_chain(events))
    gap = world.store.get(CASE_ID, f"{case_keys.FAILURE}{STEP}", StepFailure)
    assert gap is not None and "it ended with event 2; the events to 4" in gap.cause and "CloudTrail" in gap.next_action
    world.ledger.check_signature(CASE_ID, covers=3)
    world.sign("close")
    assert world.again().run(CASE_ID) is not None and len(world.ledger.events(CASE_ID)) == 5, "it is safe to repeat"


def test_a_restore_that_died_between_two_events_is_finished_by_the_next(
    world: Restorable, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.restore()
    write, count = world.ledger._write, 0

    def dying(*args: Any, **more: Any) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        write(*args, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(world.ledger, "_write", dying)
        world.again().run(CASE_ID)
    assert [e.seq for e in world.ledger.events(CASE_ID)] == [1, 2, 3]
    world.again().run(CASE_ID)
    assert world.ledger.verified(CASE_ID)[0][-1].action is CustodyAction.LEDGER_RESTORED


def test_a_ledger_that_has_gone_on_beside_the_signed_one_is_left_to_a_person(world: Restorable) -> None:
    world.restore()
    world.acts(CustodyAction.REPORT_WRITTEN)
    before = world.ledger.events(CASE_ID)
    with pytest.raises(CustodyChainError, match=r"has gone on beside .*event 3 of the table") as refused:
        world.again().run(CASE_ID)
    assert world.ledger.events(CASE_ID) == before and "examiner" in refused.value.next_action


def test_a_case_that_the_table_never_heard_of_gets_its_ledger_and_is_named(world: Restorable) -> None:
    world.copy = []
    world.restore()
    done = world.again().run(CASE_ID)
    assert done is not None and not done.known and done.had == 0
    assert [e.seq for e in world.ledger.verified(CASE_ID)[0]] == [1, 2, 3, 4, 5]
    assert not world.store.has(CASE_ID, f"{case_keys.FAILURE}{STEP}")


def test_where_nothing_is_missing_nothing_is_changed(world: Restorable) -> None:
    before = world._items()
    done = world.again().run(CASE_ID)
    assert done is not None and done.added == 0
    assert world._items() == before
    assert world.again().run("fc-20261124-ffffffffff") is None


@pytest.mark.parametrize("lie", ["signature", "events", "statement"])
def test_a_head_that_our_key_has_not_signed_restores_nothing(world: Restorable, lie: str) -> None:
    world.restore()
    ((name, body),) = [(k, v) for k, v in world.evidence.objects.items() if "/custody/head-" in k]
    found = json.loads(body)
    found[lie] = {
        "signature": "AAAA",
        "events": found["events"][:-1],
        "statement": found["statement"].replace('"seq":4', '"seq":9'),
    }[lie]
    world.evidence.objects[name] = json.dumps(found).encode()
    with pytest.raises(CustodyChainError, match="is not a signed head of the ledger"):
        world.again().run(CASE_ID)
    assert len(world.ledger.events(CASE_ID)) == 2
    world.sign("close")  # and it cannot stop the case: the audit reports such an object


def test_the_newest_head_is_the_one_with_the_highest_number(world: Restorable) -> None:
    first = signed_ledgers.newest_uri(world.evidence, CASE_ID)
    world.sign("close")
    newest = signed_ledgers.newest_uri(world.evidence, CASE_ID)
    assert newest != first and newest is not None and "/head-00000005-close-" in newest
    assert {k for k in world.evidence.objects if case_pk(CASE_ID) in k} == set()
