"""The custody ledger: append with a condition on the head, sign the head, store it under Object Lock."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from pydantic import TypeAdapter

from forensics import case_keys
from forensics.aws.attributes import from_item, to_item
from forensics.aws.case_items import case_pk
from forensics.aws.case_store import CaseStore
from forensics.aws.error_map import aws_errors
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.s3 import EvidenceStore
from forensics.aws.session import AwsSession
from forensics.custody.chain import GENESIS, canonical, next_event, stored_form, verify_chain
from forensics.custody.signed_ledgers import refuse_if_behind
from forensics.custody.timestamps import TimestampAuthority, TimestampError
from forensics.errors import CaseError, ConflictError, CustodyChainError
from forensics.models.base import Model, format_utc
from forensics.models.custody import SIGNATURE_ALGORITHM, CustodyAction, CustodyEvent, CustodyFacts, SignedHead
from forensics.naming import case_prefix
from forensics.printable import single_lines
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        PutTypeDef,
        TransactWriteItemTypeDef,
        UniversalAttributeValueTypeDef,
    )

    _Item = dict[str, UniversalAttributeValueTypeDef]

_TRIES = 12
_FRESH = "attribute_not_exists(PK)"
Beside = Callable[[CustodyEvent], Mapping[str, Model]]
_VISIBLE: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


class LedgerHead(Model):
    """The item beside the chain that names its newest event."""

    seq: int
    digest: str


class CustodyLedger:
    """Append-only, hash-chained events of cases; ``key`` signs the chain's head."""

    def __init__(
        self,
        client: DynamoDBClient,
        *,
        key: SigningKeyGateway,
        store: CaseStore,
        actor: str,
        authority: TimestampAuthority | None = None,
    ) -> None:
        self._db = client
        self._authority = authority
        self._newest: dict[str, tuple[int, str]] = {}
        self.key = key
        self._store = store
        self._actor = actor

    @classmethod
    def of(cls, own: AwsSession, signer: AwsSession, settings: Settings, *, actor: str) -> Self:
        """The deployment's table under the base identity, its signing key under ``signer``."""
        key, store = SigningKeyGateway.of(signer, settings), CaseStore.of(own, settings)
        return cls(own.dynamodb, key=key, store=store, actor=actor, authority=TimestampAuthority.of(settings))

    def head(self, case_id: str) -> tuple[int, str]:
        """(sequence number, digest) of the newest event; (0, 64 zeros) for an empty ledger."""
        with aws_errors(f"read the ledger head of {case_id}"):
            item = self._db.get_item(
                TableName=self._store.table,
                Key={"PK": {"S": case_pk(case_id)}, "SK": {"S": case_keys.LEDGER_HEAD}},
                ConsistentRead=True,
            ).get("Item")
        if item is None:
            return 0, GENESIS
        head = LedgerHead.stored(from_item(item["data"]))
        return head.seq, head.digest

    def append(
        self,
        case_id: str,
        action: CustodyAction,
        *,
        evidence_id: str | None = None,
        detail: Mapping[str, object] | None = None,
        facts: CustodyFacts | None = None,
        once: str | None = None,
        beside: Beside | None = None,
    ) -> None:
        """Append an event. ``once`` names the event within the case: a retry of the same step does not add it again.

        ``beside`` gives items of the case that say the same as the event: both are written, or neither; it is asked again when another
        event came between. What ``detail`` repeats of a host is made visible before it is hashed: RFC 8785 has no lone surrogates.
        """
        said = _VISIBLE.validate_python(single_lines(dict(detail or {})))
        for attempt in range(_TRIES):
            # What this ledger wrote last is the head, unless others have written since: the write says so, and the head is read then.
            known = self._newest.pop(case_id, None)
            seq, previous = known or self.head(case_id)
            event = next_event(
                case_id=case_id,
                seq=seq + 1,
                previous=previous,
                action=action,
                actor=self._actor,
                at=datetime.now(UTC),
                evidence_id=evidence_id,
                detail=said,
                facts=facts,
            )
            try:
                self._write(event, seq=seq, once=once, beside=beside(event) if beside else {})
            except ConflictError:
                if once and self._seen(case_id, once):
                    return
                time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
            else:
                self._newest[case_id] = (event.seq, event.digest)
                return
        msg = (
            f"custody event {action.value} of {case_id} could not be appended in {_TRIES} tries: the head keeps moving"
        )
        # Contention, not damage: the task's retry gets through.
        raise CaseError(msg, next_action="clear the task; the ledger itself is intact")

    def _write(self, event: CustodyEvent, *, seq: int, once: str | None, beside: Mapping[str, Model]) -> None:
        head: PutTypeDef = {
            "TableName": self._store.table,
            "Item": {
                **_item(event, case_keys.LEDGER_HEAD),
                "seq": {"N": str(event.seq)},
                "data": to_item({"seq": event.seq, "digest": event.digest}),
            },
            "ConditionExpression": _FRESH,
        }
        if seq:
            # by its digest too: of two chains with as many events only one goes on
            head["ConditionExpression"] = "seq = :n AND #data.#digest = :d"
            head["ExpressionAttributeNames"] = {"#data": "data", "#digest": "digest"}
            head["ExpressionAttributeValues"] = {":n": {"N": str(seq)}, ":d": {"S": event.previous}}
        record = _item(event, f"{case_keys.CUSTODY_EVENT}{event.seq:08d}")
        record["data"] = to_item(stored_form(event))
        items: list[TransactWriteItemTypeDef] = [{"Put": head}, self._new(record)]
        if once:
            items.append(self._new(_item(event, f"{case_keys.LEDGER_ONCE}{once}")))
        for sk, value in beside.items():
            kept = {**_item(event, sk), "data": to_item(value.to_store())}
            items.append({"Put": {"TableName": self._store.table, "Item": kept}})
        with aws_errors(f"append custody event {event.seq} of {event.case_id}"):
            self._db.transact_write_items(TransactItems=items)

    def _new(self, item: _Item) -> TransactWriteItemTypeDef:
        return {"Put": {"TableName": self._store.table, "Item": item, "ConditionExpression": _FRESH}}

    def _seen(self, case_id: str, once: str) -> bool:
        with aws_errors(f"read the ledger of {case_id}"):
            answer = self._db.get_item(
                TableName=self._store.table,
                Key={"PK": {"S": case_pk(case_id)}, "SK": {"S": f"{case_keys.LEDGER_ONCE}{once}"}},
                ConsistentRead=True,
            )
        return "Item" in answer

    def events(self, case_id: str) -> list[CustodyEvent]:
        """All events of a case in the order of their numbers."""
        return [CustodyEvent.stored(data) for _, data in self._store.items(case_id, case_keys.CUSTODY_EVENT)]

    def verified(self, case_id: str) -> tuple[list[CustodyEvent], str]:
        """Events and head of a whole chain; a tail that was cut off is noticed by the head item beside it."""
        # The head is read first: events that are appended meanwhile only make the list longer.
        seq, digest = self.head(case_id)
        events = self.events(case_id)
        head = verify_chain(events)
        if len(events) < seq:
            msg = f"custody ledger of {case_id}: event {len(events) + 1} is missing (the head says {seq})"
            raise CustodyChainError(msg)
        if seq and events[seq - 1].digest != digest:
            msg = f"custody ledger of {case_id}: event {seq} is not the one that the head names"
            raise CustodyChainError(msg)
        return events, head

    def check_signature(self, case_id: str, *, covers: int) -> None:
        """Check with KMS that a signed head covers the event with this number; raises :class:`CustodyChainError`.

        The signature is over the head's digest, and the chain up to it is recomputed, so nothing before it was changed.
        """
        events, _ = self.verified(case_id)
        for signed in self.signed_heads(case_id):
            statement = json.loads(signed.statement)
            seq = int(statement["seq"])
            if statement["case_id"] != case_id or not covers <= seq <= len(events):
                continue
            if statement["head"] == events[seq - 1].digest and self._verifies(signed):
                return
        msg = f"custody ledger of {case_id}: no valid signature covers event {covers}"
        raise CustodyChainError(msg)

    def _verifies(self, signed: SignedHead) -> bool:
        digest = hashlib.sha384(signed.statement.encode()).digest()
        return self.key.verify(digest, base64.b64decode(signed.signature))

    def sign_head(self, case_id: str, *, phase: str, evidence: EvidenceStore) -> dict[str, str]:
        """Verify the chain, sign its head with KMS and put the signed statement under Object Lock.

        The statement is signed over its SHA-384 digest (KMS ``MessageType=DIGEST``), so that anyone can check it with
        the public key and no AWS access.
        """
        events, head = self.verified(case_id)
        refuse_if_behind(evidence, case_id, events, known=self.signed_heads(case_id), key=self.key)
        statement = {
            "schema": "forensics.custody-head/1",
            "case_id": case_id,
            "phase": phase,
            "seq": len(events),
            "head": head,
            "signed_at": format_utc(datetime.now(UTC)),
        }
        message = canonical(statement)
        made = self.key.sign(message, what=f"the ledger head of {case_id}")
        signed = {
            "statement": message.decode(),
            "signature": made.signature,
            "algorithm": SIGNATURE_ALGORITHM,
            "key_arn": made.key.arn,
            "public_key_der": base64.b64encode(made.key.der).decode(),
        }
        stamp = self._stamp(base64.b64decode(made.signature))
        missing = stamp.get("timestamp", {}).get("missing")
        # The name says what is signed: a try that died after it had stored the statement is not followed by a second one.
        what = hashlib.sha256(f"{head}|{made.key.arn}|{bool(missing)}".encode()).hexdigest()[:8]
        name = f"{case_prefix(case_id)}custody/head-{len(events):08d}-{phase}-{what}.json"
        body = canonical({**signed, "events": [stored_form(e) for e in events], **stamp})
        stored, kept = evidence.put_first(name, body, content_type="application/json")
        if kept != body:
            signed = self._adopted(json.loads(kept), signed, where=stored.uri)
        record = SignedHead(seq=len(events), head=head, phase=phase, uri=stored.uri, **signed)
        self._store.put_once(case_id, f"{case_keys.LEDGER_SIGNATURE}{len(events):08d}#{phase}", record)
        return {"head": head, "uri": stored.uri, **({"no_timestamp": missing} if missing else {})}

    def _adopted(self, found: Mapping[str, str], made: Mapping[str, str], *, where: str) -> dict[str, str]:
        """The statement that an earlier try has stored: about the same head, and signed by our key, or it is not adopted."""
        ours, theirs = (json.loads(one["statement"]) | {"signed_at": ""} for one in (made, found))
        digest = hashlib.sha384(found["statement"].encode()).digest()
        if ours != theirs or not self.key.verify(digest, base64.b64decode(found["signature"])):
            msg = f"{where} is not the statement about the ledger's head that its name says"
            raise CustodyChainError(msg)
        return {name: found[name] for name in made}

    def _stamp(self, signature: bytes) -> dict[str, dict[str, str]]:
        """The token of the time-stamping authority for a signature, or why there is none; empty where none is configured."""
        if self._authority is None:
            return {}
        stated = {"authority": self._authority.url}
        try:
            token = self._authority.token(signature)
        except TimestampError as error:
            return {"timestamp": {**stated, "missing": error.message[:500]}}
        return {"timestamp": {**stated, "token": base64.b64encode(token).decode()}}

    def put_back(self, signed: SignedHead, events: Sequence[CustodyEvent]) -> None:
        """Write events that a signed head covers behind the table's last one, and the head's record. Safe to repeat.

        Raises :class:`ConflictError` when the ledger has gone on meanwhile.
        """
        for event in events:
            self._write(event, seq=event.seq - 1, once=None, beside={})
        case_id = str(json.loads(signed.statement)["case_id"])
        self._store.put_once(case_id, f"{case_keys.LEDGER_SIGNATURE}{signed.seq:08d}#{signed.phase}", signed)

    def signed_heads(self, case_id: str) -> list[SignedHead]:
        """Every signed head of the case, as recorded beside the ledger."""
        return [SignedHead.stored(data) for _, data in self._store.items(case_id, case_keys.LEDGER_SIGNATURE)]


def _item(event: CustodyEvent, sk: str) -> _Item:
    return {"PK": {"S": case_pk(event.case_id)}, "SK": {"S": sk}}
