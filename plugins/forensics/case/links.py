"""Links of a case's tasks in Airflow's UI: the case's page, its report, the runs that release its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from forensics.case.addresses import PAGES_PATH, case_page, release_runs
from forensics.case.ui_address import ui_address
from forensics.models.base import CASE_ID_FORM

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class CaseLink(BaseOperatorLink):
    """The page of the task's case."""

    name = "Case"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, or an empty text for a task without a case."""
        case_id = _case_of(operator)
        return case_page(ui_address() + PAGES_PATH, case_id) if case_id else ""


class ReportLink(CaseLink):
    """The report on the case's page, beginning with what to do next."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, or an empty text for a task without a case."""
        page = super().get_link(operator, ti_key=ti_key)
        return f"{page}#next" if page else ""


class ReleaseRunLink(BaseOperatorLink):
    """The runs that release the task's target."""

    name = "Release run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, or an empty text for a task without a case."""
        case_id = _case_of(operator)
        return release_runs(ui_address(), case_id) if case_id else ""


def _case_of(operator: BaseOperator) -> str:
    """The task's case id once its template is rendered."""
    case_id = str(getattr(operator, "case_id", ""))
    return case_id if CASE_ID_FORM.fullmatch(case_id) else ""
