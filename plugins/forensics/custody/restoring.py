"""The ledger after the table was restored to an earlier time: what is signed in the evidence store is the truth and is put back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.s3 import EvidenceStore
from forensics.custody import signed_ledgers
from forensics.custody.ledger import CustodyLedger
from forensics.errors import CustodyChainError
from forensics.models.case import StepFailure, TimelineKind
from forensics.models.custody import CustodyAction

# The gap under which a restored ledger is known until a person has looked.
STEP = "ledger.restore"
COMPARE = (
    "what was done after that, until the table was lost, is not in the ledger: compare the case with CloudTrail and with the objects"
    " below its prefix in the evidence store, write a comment, then close the case again"
)

FORKED = (
    "keep both: export the case, keep the table's events with it, and have an examiner say which event happened when"
)


@dataclass(frozen=True)
class Restored:
    """What was done for one case: the table ended with event ``had``, now with ``signed``; equal when nothing was missing."""

    case_id: str
    had: int
    signed: int
    signed_at: str
    known: bool

    @property
    def added(self) -> int:
        """How many events were put back."""
        return self.signed - self.had


class LedgerRestore:
    """Holds ledgers against the evidence store and puts back what is missing. Safe to repeat."""

    def __init__(self, store: CaseStore, ledger: CustodyLedger, evidence: EvidenceStore) -> None:
        self._store = store
        self._ledger = ledger
        self._evidence = evidence

    def run(self, case_id: str) -> Restored | None:
        """Put the signed events back that the table lacks; None when nothing of the case is signed.

        Raises :class:`CustodyChainError` when the table has other events than those that are signed: then two ledgers were
        written, and only a person can say what each of them is.
        """
        uri = signed_ledgers.newest_uri(self._evidence, case_id)
        if uri is None:
            return None
        signed = signed_ledgers.read(self._evidence, case_id, uri, key=self._ledger.key)
        events = self._ledger.events(case_id)
        known = self._store.has(case_id, case_keys.CASE)
        shared = list(zip(signed.events, events, strict=False))
        if other := next((s.seq for s, e in shared if s.digest != e.digest), None):
            msg = (
                f"the custody ledger of {case_id} has gone on beside the one that is signed: event {other} of the table is not the one"
                f" that was signed at {signed.signed_at}. Nothing was changed"
            )
            raise CustodyChainError(msg, next_action=FORKED)
        count = len(signed.events)
        if len(events) >= count:
            return Restored(case_id, count, count, signed.signed_at, known=known)
        self._ledger.put_back(signed.record, signed.events[len(events) :])
        done = Restored(case_id, len(events), len(signed.events), signed.signed_at, known=known)
        self._say(done, uri)
        return done

    def _say(self, done: Restored, uri: str) -> None:
        """In the ledger, and where the case's record is there also as its gap."""
        detail = {
            "table_had": done.had,
            "signed": done.signed,
            "signed_at": done.signed_at,
            "uri": uri,
            "missing": COMPARE,
        }
        self._ledger.append(
            done.case_id, CustodyAction.LEDGER_RESTORED, detail=detail, once=f"restored-{done.had}-{done.signed}"
        )
        if not done.known:
            return
        cause = (
            f"the table was restored to an earlier time: it ended with event {done.had}; the events to {done.signed}, signed at"
            f" {done.signed_at}, were put back"
        )
        now = datetime.now(UTC)
        self._store.fail(done.case_id, StepFailure(step=STEP, cause=cause, next_action=COMPARE, at=now))
        self._store.note(done.case_id, cause, kind=TimelineKind.CUSTODY, source=STEP, at=now)
