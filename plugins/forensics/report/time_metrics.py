"""How long a case took to each stage, as metrics: CloudWatch makes percentiles of them, beside the aim of five minutes to the first results."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.aws.cloudwatch import Metrics
from forensics.case.board_line import stage_times
from forensics.case.recorder import CaseRecorder
from forensics.case.view import read_board_view
from forensics.case_keys import TIMES_PUT
from forensics.errors import ForensicsError
from forensics.models.case import CaseView
from forensics.models.notices import Notified


def times_of(view: CaseView) -> dict[str, float]:
    """Metric → seconds from reception; none for samples and drills, which say nothing about real cases."""
    if view.case.sample or view.case.drill:
        return {}
    return {f"SecondsTo{stage.value.capitalize()}": seconds for stage, seconds in stage_times(view).items()}


def put_times(recorder: CaseRecorder, metrics: Metrics) -> None:
    """Put the times of a case once at most, when it is first closed. A refusal is a line of its timeline and stops nothing.

    PutMetricData has no token that would make a repetition the same (Amazon CloudWatch API reference), so the mark comes first: a worker that
    is killed in between leaves a case without these metrics, and none that counts twice. Only an answer that is lost on its way may, when
    the AWS client repeats the request by itself.
    """
    store = recorder.gateways.store
    times = times_of(read_board_view(store, recorder.case_id))
    if not times or not recorder.put_once(TIMES_PUT, Notified(at=datetime.now(UTC).isoformat())):
        return
    try:
        metrics.put(times, unit="Seconds")
    except ForensicsError as error:
        store.remove(recorder.case_id, TIMES_PUT)  # the next closing puts them
        recorder.note(f"the case's times were not put to CloudWatch: {error}"[:500])
