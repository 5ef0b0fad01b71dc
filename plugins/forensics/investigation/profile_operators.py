"""The step that lets a person's order in: one more activity on the evidence of a case that has ended."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.investigation.profiles import why_not
from forensics.models.case import TimelineKind


class CheckProfileOperator(ForensicOperator):
    """Whether the ordered activity can be run on the case now; the timeline says who ordered it.

    :param activity: name of the activity, as in the registry of documents
    """

    takes_artifacts = True
    template_fields = ("case_id", "activity")

    def __init__(self, *, activity: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activity = activity

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Refuse with the reason, or record the order."""
        described = recorder.target() or recorder.artifact()
        platform = described.platform if described else "linux"
        why = why_not(self.activity, case=recorder.case, evidence=recorder.evidence(), platform=platform)
        if why:
            refused = f"{self.activity} is not run on {recorder.case_id}: {why}"
            recorder.note(refused, kind=TimelineKind.INVESTIGATION)
            # Airflow's own error: an order that is refused is no failure of the case, and leaves no gap in it.
            raise AirflowFailException(
                f"{refused}. What to do next: wait until the case has ended, or choose another activity, and start it again"
            )
        people = ", ".join(str(person) for person in recorder.run.askers.known) or "somebody whom Airflow does not name"
        recorder.note(f"{self.activity} ordered by {people}", kind=TimelineKind.INVESTIGATION)
        return {"activity": self.activity}
