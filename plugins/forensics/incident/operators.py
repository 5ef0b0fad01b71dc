"""The step that looks for other cases of the same attack."""

from __future__ import annotations

from airflow.sdk import Context

from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.incident.linking import link_case


class LinkCasesOperator(ForensicOperator):
    """Compare the case's indicators with those of all cases, and record which share some."""

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Link; the result names the other cases."""
        return [link.case_id for link in link_case(recorder)]
