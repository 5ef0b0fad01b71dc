"""The daily run that keeps evidence: renews it while cases are open, finishes what a closing could not do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.case.audit_record import list_cases
from forensics.case.parameters import optional_case_id
from forensics.case.recorder import CaseRecorder
from forensics.case.retention import due_cases, end, lifted, retain
from forensics.case.step import ForensicOperator, Json
from forensics.custody.holding import EvidenceHolding
from forensics.models.case import CaseStatus


class ListDueCasesOperator(BaseOperator):
    """The ids of the cases whose retention has to be seen to: the one that was named, or all that are due.

    :param case_id: one case; empty for all
    """

    template_fields = ("case_id",)

    def __init__(self, *, case_id: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id

    def execute(self, context: Context) -> list[str]:
        """Return the ids, newest first."""
        named = optional_case_id("case_id", self.case_id)
        if named:
            return [named]
        hook = ForensicsHook()
        store = CaseStore.of(hook.own(), hook.settings)
        return due_cases(store, list_cases(store), days=hook.settings.retention_days, now=datetime.now(UTC))


class KeepEvidenceOperator(ForensicOperator):
    """Keep the evidence of one case as long as it has to be kept: from now while it is open, else from its closing."""

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Extend what ends too early, hold what is not held, record it."""
        settings, case = self.settings, recorder.case
        is_open = case.status is CaseStatus.OPEN or case.closed_at is None
        done = retain(
            recorder,
            EvidenceHolding.of(self.sessions),
            until=end(case, days=settings.retention_days, now=datetime.now(UTC)),
            closed=not is_open,
            hold=is_open and settings.legal_hold and not lifted(recorder),
        )
        recorder.clear_failed("close:retention")
        recorder.clear_failed("open_case:retention")
        return done.model_dump(mode="json")
