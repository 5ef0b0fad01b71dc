"""The ledger: an unbroken chain under concurrent writers, events once, a head that anyone can check."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from forensics import case_keys
from forensics.aws.attributes import to_item
from forensics.aws.case_items import case_pk
from forensics.aws.case_store import CaseStore
from forensics.aws.s3 import StoredObject
from forensics.custody import ledger as custody_ledger
from forensics.custody.chain import GENESIS, verify_chain
from forensics.custody.ledger import CustodyLedger
from forensics.errors import CaseError, CustodyChainError, ForensicsError
from forensics.models.custody import CustodyAction
from tests.unit.builders import CASE_ID
from tests.unit.moto_store import TABLE
from tests.unit.signing import signing_key


class KeptObjects:
    """An evidence store that keeps what it gets."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def iter_uris(self, prefix: str) -> Iterator[str]:
        return iter([f"s3://evidence/{key}" for key in self.objects if key.startswith(prefix)])

    bucket = "evidence"

    def read_json(self, key: str, *, limit: int) -> Any:
        return json.loads(self.objects[key])

    def put_first(self, key: str, body: bytes, *, content_type: str) -> tuple[StoredObject, bytes]:
        assert content_type == "application/json"
        body = self.objects.setdefault(key, body)
        stored = StoredObject(
            uri=f"s3://evidence/{key}",
            bucket="evidence",
            key=key,
            version_id="1",
            sha256=hashlib.sha256(body).hexdigest(),
            size_bytes=len(body),
            lock_mode="GOVERNANCE",
            locked_until=datetime.now(UTC) + timedelta(days=1),
        )
        return stored, body


@pytest.fixture
def ledger(store: CaseStore, dynamodb: Any) -> CustodyLedger:
    """A ledger on the store."""
    return CustodyLedger(dynamodb, key=signing_key(), store=store, actor="custodian")


def test_an_empty_ledger_has_the_genesis_head(ledger: CustodyLedger) -> None:
    assert ledger.head(CASE_ID) == (0, GENESIS)
    assert ledger.events(CASE_ID) == []


def test_events_form_a_chain_with_the_head_at_its_end(ledger: CustodyLedger) -> None:
    for action in (CustodyAction.CASE_OPENED, CustodyAction.TARGET_DESCRIBED, CustodyAction.PLAN_DECIDED):
        ledger.append(CASE_ID, action, detail={"ratio": 0.25, "big": 2.0**60, "n": 1.0})
    events = ledger.events(CASE_ID)
    assert [e.seq for e in events] == [1, 2, 3]
    assert ledger.head(CASE_ID) == (3, verify_chain(events))


def test_concurrent_writers_leave_an_unbroken_chain(ledger: CustodyLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody_ledger, "_TRIES", 200)
    failed: list[ForensicsError] = []

    def write(number: int) -> None:
        try:
            for _ in range(4):
                ledger.append(CASE_ID, CustodyAction.EVIDENCE_LOCKED, evidence_id=f"disk-vol-{number}")
        except ForensicsError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not failed
    events = ledger.events(CASE_ID)
    assert ledger.head(CASE_ID) == (16, verify_chain(events))
    assert sorted(str(e.evidence_id) for e in events) == sorted(f"disk-vol-{n}" for n in range(4) for _ in range(4))


def test_once_is_once_also_for_two_writers_at_a_time(ledger: CustodyLedger) -> None:
    def write() -> None:
        ledger.append(CASE_ID, CustodyAction.CASE_OPENED, once="case-opened")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    write()
    ledger.append(CASE_ID, CustodyAction.CASE_OPENED, once="another")
    assert [e.seq for e in ledger.events(CASE_ID)] == [1, 2]


def test_a_head_that_keeps_moving_is_contention_and_is_retried(
    ledger: CustodyLedger, store: CaseStore, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custody_ledger, "_TRIES", 2)
    ledger.append(CASE_ID, CustodyAction.CASE_OPENED)
    late = CustodyLedger(dynamodb, key=signing_key(), store=store, actor="late")
    monkeypatch.setattr(late, "head", lambda _: (0, GENESIS))
    with pytest.raises(CaseError, match="the head keeps moving") as caught:
        late.append(CASE_ID, CustodyAction.PLAN_DECIDED)
    assert caught.value.retryable


class HeadsRead:
    """DynamoDB's client, which counts how often a ledger's head is read."""

    def __init__(self, client: Any) -> None:
        self._client, self.number = client, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_item(self, **request: Any) -> Any:
        self.number += request["Key"]["SK"]["S"] == case_keys.LEDGER_HEAD
        return self._client.get_item(**request)


def test_a_writer_that_nobody_comes_between_reads_the_head_once(store: CaseStore, dynamodb: Any) -> None:
    heads = HeadsRead(dynamodb)
    one, other = (CustodyLedger(heads, key=signing_key(), store=store, actor=name) for name in ("one", "other"))
    for _ in range(5):
        one.append(CASE_ID, CustodyAction.PLAN_DECIDED)
    assert heads.number == 1
    other.append(CASE_ID, CustodyAction.PLAN_DECIDED)  # reads it, and is between
    one.append(CASE_ID, CustodyAction.PLAN_DECIDED)
    assert heads.number == 3, "the write did not fit, so it was read again"
    assert [e.seq for e in one.verified(CASE_ID)[0]] == [*range(1, 8)]


def test_an_event_follows_the_head_that_is_stored_and_not_one_of_the_same_number(
    ledger: CustodyLedger, dynamodb: Any
) -> None:
    """A table that was restored may have another event of that number: what a writer remembers is no ground to go on."""
    ledger.append(CASE_ID, CustodyAction.CASE_OPENED)
    key = {"PK": {"S": case_pk(CASE_ID)}, "SK": {"S": case_keys.LEDGER_HEAD}}
    dynamodb.put_item(TableName=TABLE, Item={**key, "seq": {"N": "1"}, "data": to_item({"seq": 1, "digest": "a" * 64})})
    ledger.append(CASE_ID, CustodyAction.PLAN_DECIDED)
    assert ledger.events(CASE_ID)[1].previous == "a" * 64
    with pytest.raises(CustodyChainError):
        ledger.verified(CASE_ID)


def test_the_signed_head_can_be_checked_with_the_object_alone(ledger: CustodyLedger, store: CaseStore) -> None:
    ledger.append(CASE_ID, CustodyAction.CASE_OPENED)
    ledger.append(CASE_ID, CustodyAction.CASE_CLOSED)
    kept = KeptObjects()
    answer = ledger.sign_head(CASE_ID, phase="close", evidence=kept)  # type: ignore[arg-type]
    ((key, body),) = kept.objects.items()
    assert key.startswith(f"cases/{CASE_ID}/custody/head-00000002-close-")
    signed = json.loads(body)
    public = serialization.load_der_public_key(base64.b64decode(signed["public_key_der"]))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(signed["signature"])
    public.verify(signature, signed["statement"].encode(), ec.ECDSA(hashes.SHA384()))
    statement = json.loads(signed["statement"])
    assert (statement["case_id"], statement["seq"], statement["phase"]) == (CASE_ID, 2, "close")
    assert statement["head"] == answer["head"] == ledger.head(CASE_ID)[1]
    assert [e["seq"] for e in signed["events"]] == [1, 2]
    assert [sk for sk, _ in store.items(CASE_ID, "CUSTODYSIG#")] == ["CUSTODYSIG#00000002#close"]


def test_a_try_that_died_after_the_statement_was_stored_is_followed_by_no_second_one(
    ledger: CustodyLedger, store: CaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by tests/crash: close_case killed between the object and its record left two statements about one head."""
    ledger.append(CASE_ID, CustodyAction.CASE_CLOSED)
    kept = KeptObjects()
    with monkeypatch.context() as dying:
        dying.setattr(store, "put_once", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ledger.sign_head(CASE_ID, phase="close", evidence=kept)  # type: ignore[arg-type]
    answer = ledger.sign_head(CASE_ID, phase="close", evidence=kept)  # type: ignore[arg-type]
    (body,) = kept.objects.values()
    (signed,) = ledger.signed_heads(CASE_ID)
    assert (signed.uri, signed.statement) == (answer["uri"], json.loads(body)["statement"])
    ledger.check_signature(CASE_ID, covers=1)


@pytest.mark.parametrize("lie", ["statement", "signature"])
def test_a_statement_that_is_not_ours_is_not_adopted(ledger: CustodyLedger, lie: str) -> None:
    ledger.append(CASE_ID, CustodyAction.CASE_CLOSED)
    kept = KeptObjects()
    ledger.sign_head(CASE_ID, phase="close", evidence=kept)  # type: ignore[arg-type]
    ((key, body),) = kept.objects.items()
    found = json.loads(body)
    other = json.dumps({**json.loads(found["statement"]), "head": "0" * 64})
    kept.objects[key] = json.dumps({**found, lie: other if lie == "statement" else "AAAA"}).encode()
    with pytest.raises(CustodyChainError, match="is not the statement about the ledger's head"):
        ledger.sign_head(CASE_ID, phase="close", evidence=kept)  # type: ignore[arg-type]


def _delete(dynamodb: Any, store: CaseStore, seq: int) -> None:
    key = {"PK": {"S": case_pk(CASE_ID)}, "SK": {"S": f"CUSTODY#{seq:08d}"}}
    dynamodb.delete_item(TableName=store.table, Key=key)


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_ledger_with_a_missing_event_is_never_signed(
    ledger: CustodyLedger, store: CaseStore, dynamodb: Any, gone: int
) -> None:
    for _ in range(3):
        ledger.append(CASE_ID, CustodyAction.EVIDENCE_ACQUIRED)
    _delete(dynamodb, store, gone)
    kept = KeptObjects()
    with pytest.raises(CustodyChainError, match=f"event {gone} is missing"):
        ledger.sign_head(CASE_ID, phase="close", evidence=kept)  # type: ignore[arg-type]
    assert kept.objects == {}


def test_a_signed_head_covers_the_events_before_it_and_no_later_one(ledger: CustodyLedger) -> None:
    ledger.append(CASE_ID, CustodyAction.CASE_OPENED)
    ledger.append(CASE_ID, CustodyAction.RESTORE_POINT_TAKEN)
    ledger.sign_head(CASE_ID, phase="restore-point", evidence=KeptObjects())  # type: ignore[arg-type]
    ledger.append(CASE_ID, CustodyAction.TARGET_CONTAINED)
    for covered in (1, 2):
        ledger.check_signature(CASE_ID, covers=covered)
    with pytest.raises(CustodyChainError, match="no valid signature covers event 3"):
        ledger.check_signature(CASE_ID, covers=3)


def test_a_signature_of_another_key_covers_nothing(ledger: CustodyLedger) -> None:
    ledger.append(CASE_ID, CustodyAction.CASE_OPENED)
    ledger.sign_head(CASE_ID, phase="close", evidence=KeptObjects())  # type: ignore[arg-type]
    ledger.key = signing_key()
    with pytest.raises(CustodyChainError, match="no valid signature covers event 1"):
        ledger.check_signature(CASE_ID, covers=1)
