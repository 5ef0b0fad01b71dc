"""Ledgers as they are signed and locked in the evidence store: what the table is held against, also after it was restored."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.s3 import EvidenceStore
from forensics.custody.chain import verify_chain
from forensics.errors import CustodyChainError
from forensics.models.custody import CustodyEvent, SignedHead
from forensics.naming import case_prefix

_NAME = re.compile(r"custody/head-(\d{8,})-(.+)-[0-9a-f]{8}\.json$")
LARGEST = 256 * 1024 * 1024
RESTORE = "start the DAG ledger_restore: it puts the signed events back and says what is missing (docs/disaster.md)"


@dataclass(frozen=True)
class SignedLedger:
    """A statement about a ledger's head, verified, with the events that it covers."""

    record: SignedHead
    events: tuple[CustodyEvent, ...]
    signed_at: str

    def why_not(self, events: Sequence[CustodyEvent]) -> str | None:
        """Why a ledger does not hold what was signed; None when it does."""
        for signed, known in zip(self.events, events, strict=False):
            if signed.digest != known.digest:
                return f"event {signed.seq} is not the one that was signed at {self.signed_at}"
        if len(events) < len(self.events):
            return f"it ends with event {len(events)}, and event {len(self.events)} was signed at {self.signed_at}"
        return None


def newest_uri(evidence: EvidenceStore, case_id: str) -> str | None:
    """Where the signed head with the highest number of a case is stored; None when none is."""
    found = [
        (int(m[1]), uri)
        for uri in evidence.iter_uris(f"{case_prefix(case_id)}custody/head-")
        if (m := _NAME.search(uri))
    ]
    return max(found)[1] if found else None


def read(evidence: EvidenceStore, case_id: str, uri: str, *, key: SigningKeyGateway) -> SignedLedger:
    """A signed head with its events. Raises :class:`CustodyChainError` when it is not what this deployment's key has signed."""
    body = evidence.read_json(uri.removeprefix(f"s3://{evidence.bucket}/"), limit=LARGEST)
    try:
        return _verified(body, case_id, uri, key=key)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{uri} is not a signed head of the ledger of {case_id}: {type(error).__name__} {str(error)[:200]}"
        raise CustodyChainError(msg) from error


def _verified(body: JsonValue, case_id: str, uri: str, *, key: SigningKeyGateway) -> SignedLedger:
    name = _NAME.search(uri)
    if not isinstance(body, dict) or name is None:
        raise TypeError("a JSON object is expected")
    text = str(body["statement"])
    statement = json.loads(text)
    events = body["events"]
    if not isinstance(events, list):
        raise TypeError("events are a list")
    chain = [CustodyEvent.stored(event) for event in events]
    if not key.verify(hashlib.sha384(text.encode()).digest(), base64.b64decode(str(body["signature"]))):
        raise ValueError("its signature is not of the key that signs now")
    if statement["case_id"] != case_id or statement["seq"] != len(chain) or statement["head"] != verify_chain(chain):
        raise ValueError("its events are not those that the statement is about")
    fields = {n: str(body[n]) for n in ("statement", "signature", "algorithm", "key_arn", "public_key_der")}
    record = SignedHead(seq=len(chain), head=statement["head"], phase=statement["phase"], uri=uri, **fields)
    return SignedLedger(record, tuple(chain), str(statement["signed_at"]))


def refuse_if_behind(
    evidence: EvidenceStore,
    case_id: str,
    events: Sequence[CustodyEvent],
    *,
    known: Sequence[SignedHead],
    key: SigningKeyGateway,
) -> None:
    """Raise :class:`CustodyChainError` when more, or something else, is signed and locked than a ledger holds.

    So it is after the table was restored to an earlier time: signed as it is, the case would have two ledgers. A head that the
    table knows is not read again; one that this key has not signed is the audit's to report.
    """
    uri = newest_uri(evidence, case_id)
    if uri is None or uri in {head.uri for head in known}:
        return
    try:
        signed = read(evidence, case_id, uri, key=key)
    except CustodyChainError:
        return
    if why := signed.why_not(events):
        msg = f"the custody ledger of {case_id} is behind what is signed in {uri}: {why}. The table was restored, or events are gone"
        raise CustodyChainError(msg, next_action=RESTORE)
