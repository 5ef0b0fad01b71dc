"""The part of an operator that asks a person for approval under *Required actions*."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context

from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.containment.approval import HumanResponse


class _ApprovalOperator(ForensicOperator, HITLOperator):
    """A step that may wait for a person. Subclasses call :meth:`ask` and implement :meth:`answered`."""

    template_fields: tuple[str, ...] = ("case_id",)

    @abstractmethod
    def answered(self, recorder: CaseRecorder, response: HumanResponse) -> Json:
        """Record the answer, or its absence, and do what follows from it."""

    def ask(self, subject: str, body: str, *, default: str, context: Context) -> None:
        """Defer until a person answers; after ``approval_timeout_seconds`` the default counts."""
        self.subject, self.body, self.defaults = subject, body, [default]
        self.response_timeout = timedelta(seconds=self.settings.approval_timeout_seconds)
        HITLOperator.execute(self, context)

    def execute_complete(self, context: Context, event: dict[str, object]) -> Json:
        """Airflow's entry after the answer, or after the time for it has passed."""
        response = HumanResponse.model_validate(event)
        return self._guarded(context, lambda recorder: self.answered(recorder, response))
