"""After a point-in-time restore of the table: every ledger is held against what is signed, and what is missing is put back."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator, Context

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.s3 import EvidenceStore
from forensics.case.audit_record import list_cases
from forensics.case.parameters import optional_case_id
from forensics.case.step import Json
from forensics.custody.ledger import CustodyLedger
from forensics.custody.restoring import LedgerRestore, Restored
from forensics.errors import CustodyChainError, CustodyError
from forensics.models.base import CASE_ID_FORM

# Source identity of the look at all cases; the roles' trust policies ask for fc-*.
RESTORE = "fc-ledgers"


class RestoreLedgersOperator(BaseOperator):
    """Hold the ledgers of all cases, or of the one that is named, against the evidence store.

    :param case_id: one case; empty for all that the table or the evidence store has
    """

    template_fields = ("case_id",)

    def __init__(self, *, case_id: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id

    def execute(self, context: Context) -> Json:
        """Return which ledgers got events back, and which cases the table does not know any more.

        Raises :class:`CustodyError` in the end when a ledger has gone on beside the signed one; the others are done.
        """
        hook = ForensicsHook()
        session = hook.forensic(RESTORE, "custodian")
        store, evidence = CaseStore.of(hook.own(), hook.settings), EvidenceStore.of(session, hook.settings)
        ledger = CustodyLedger.of(hook.own(), session, hook.settings, actor=f"{session.role_arn} as {RESTORE}")
        named = optional_case_id("case_id", self.case_id)
        ids = [named] if named else self._all(store, evidence)
        restore, done, wrong = LedgerRestore(store, ledger, evidence), list[Restored](), list[str]()
        for case_id in ids:
            try:
                found = restore.run(case_id)
            except CustodyChainError as error:
                wrong.append(str(error))
                self.log.error("%s", error)
                continue
            if found is not None:
                done.append(found)
                self.log.info("%s: %s of %s events put back", case_id, found.added, found.signed)
        if wrong:
            raise CustodyError(f"{len(wrong)} ledgers are not as signed: {'; '.join(wrong)[:3000]}")
        return {
            "looked_at": len(ids),
            "restored": {r.case_id: [r.had + 1, r.signed] for r in done if r.added},
            "only_in_evidence": [r.case_id for r in done if not r.known],
        }

    @staticmethod
    def _all(store: CaseStore, evidence: EvidenceStore) -> list[str]:
        """The table's cases, and those of which only objects are left."""
        known = [case.case_id for case in list_cases(store)]
        return list(dict.fromkeys([*known, *(n for n in evidence.folders("cases/") if CASE_ID_FORM.fullmatch(n))]))
