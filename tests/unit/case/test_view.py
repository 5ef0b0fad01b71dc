"""Reading a whole case: every kind of item finds its place, and one that cannot be read says so."""

from __future__ import annotations

import pytest

from forensics import case_keys
from forensics.case.view import read_board_view, read_view
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.results import StoredArtifact, ToolResults
from tests.unit.builders import CASE_ID, INSTANCE, NOW, evidence, finding, investigation, plan, target
from tests.unit.recorders import FakeRecorder
from tests.unit.report import sample

MEMORY = f"memory-{INSTANCE}"
RESULTS = ToolResults(
    schema="forensics.results/1", case_id=CASE_ID, evidence_id=MEMORY, tool="memory", started=NOW, ended=NOW
)


@pytest.fixture
def recorder() -> FakeRecorder:
    """A case with one item of many kinds."""
    made = FakeRecorder(step="test")
    stored = made.evidence_store.put(f"cases/{CASE_ID}/r.json", RESULTS.model_dump_json(by_alias=True).encode())
    artifact = StoredArtifact(uri=stored.uri, sha256=stored.sha256, bytes=stored.size_bytes)
    done = investigation(MEMORY).model_copy(update={"artifacts": {"results": artifact}})
    made.put(case_keys.PLAN, plan())
    made.put(case_keys.TARGET, target())
    made.put(case_keys.CONTAINMENT, sample.containment())
    made.put(case_keys.RESTORE_POINT, sample.restore_point())
    made.put(f"{case_keys.FINDING}a", finding())
    made.put(f"{case_keys.RESULT}a", done)
    made.save_evidence(evidence(sample.evidence()[1].kind))
    made.milestone(Milestone.TRIAGED, NOW)
    made.note("something happened")
    made.custody(CustodyAction.CASE_OPENED)
    made.store.put_once(CASE_ID, case_keys.LEDGER_HEAD, {"seq": 1, "digest": "f" * 64})
    made.store.put_once(CASE_ID, f"{case_keys.LEDGER_SIGNATURE}1#report", {"seq": 1, "head": "f" * 64})
    made.store.put_once(CASE_ID, f"{case_keys.LEDGER_ONCE}x", {})
    return made


def test_every_item_is_where_the_view_has_it(recorder: FakeRecorder) -> None:
    view = read_view(recorder.store, recorder.evidence_store, CASE_ID)
    assert view is not None
    assert (view.plan, view.target, view.containment) == (plan(), target(), sample.containment())
    assert view.restore_point == sample.restore_point()
    assert view.findings == (finding(),) and [e.evidence_id for e in view.evidence] == [MEMORY]
    assert view.milestones == {"triaged": NOW} and view.custody_head == "f" * 64
    assert view.custody_signature == {"seq": "1", "head": "f" * 64}
    assert [e.action for e in view.custody] == [CustodyAction.CASE_OPENED]
    assert [t.what for t in view.timeline] == ["something happened"]
    assert view.results == (RESULTS,) and view.objects == (f"s3://evidence/cases/{CASE_ID}/r.json",)


def test_a_case_that_is_not_there_is_none(recorder: FakeRecorder) -> None:
    assert read_view(recorder.store, recorder.evidence_store, "fc-20261124-ffffffffff") is None


def test_results_that_cannot_be_read_leave_a_line_in_the_timeline(recorder: FakeRecorder) -> None:
    recorder.evidence_store.objects[f"cases/{CASE_ID}/r.json"] = b"{}"
    view = read_view(recorder.store, recorder.evidence_store, CASE_ID)
    assert view is not None and view.results == ()
    (line,) = [t for t in view.timeline if t.kind is TimelineKind.FAILURE]
    assert line.what.startswith(f"results of investigate on {MEMORY} could not be read")


def test_the_board_reads_what_it_shows_and_nothing_from_s3(recorder: FakeRecorder) -> None:
    recorder.evidence_store.objects.clear()
    view = read_board_view(recorder.store, recorder.case_now())
    whole = read_view(recorder.store, None, CASE_ID)
    assert whole is not None
    for name in ("plan", "target", "containment", "evidence", "investigations", "failures", "findings"):
        assert getattr(view, name) == getattr(whole, name), name
    assert view.custody == () and view.timeline == ()
