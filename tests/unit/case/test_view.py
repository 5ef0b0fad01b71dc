"""Reading a whole case: every kind of item finds its place, and one that cannot be read says so."""

from __future__ import annotations

from typing import Any

import pytest

from forensics import case_keys
from forensics.aws.attributes import to_item
from forensics.aws.case_items import item_key
from forensics.aws.case_store import CaseStore
from forensics.case.gaps import gaps, pending
from forensics.case.view import MOST_RESULTS, read_board_view, read_view
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.results import StoredArtifact, ToolResults
from forensics.report import render_html
from tests.unit.builders import CASE_ID, INSTANCE, NOW, case, evidence, finding, investigation, plan, target
from tests.unit.moto_store import TABLE
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


class CountedRequests:
    """DynamoDB's answers to what a view asks: how many requests, how many items."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.requests = self.items = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **request: Any) -> Any:
        answer = self._client.query(**request)
        self.requests += 1
        self.items += len(answer["Items"])
        return answer

    def get_item(self, **request: Any) -> Any:
        self.requests += 1
        return self._client.get_item(**request)

    def transact_get_items(self, **request: Any) -> Any:
        self.requests += 1
        return self._client.transact_get_items(**request)


def test_what_a_view_costs_does_not_grow_with_the_case(dynamodb: Any) -> None:
    """A case with more findings and entries than are read: so many requests and items, and it says what was left."""
    counted = CountedRequests(dynamodb)
    store = CaseStore(counted, table=TABLE)
    opened = case(finding_key="f" * 64)
    store.put(CASE_ID, case_keys.CASE, opened)
    store.put(CASE_ID, case_keys.PLAN, plan())
    flood = [(f"{case_keys.TIMELINE}{n:05d}", sample.timeline()[0].model_dump(mode="json")) for n in range(2_300)]
    flood += [(f"{case_keys.FINDING}{n:064d}#guardduty", finding().model_dump(mode="json")) for n in range(700)]
    flood += [(f"{case_keys.LEDGER_ONCE}{n}", {}) for n in range(500)]
    opening = finding().model_copy(update={"key": "f" * 64})
    store.put(CASE_ID, f"{case_keys.FINDING}{'f' * 64}#guardduty", opening)
    for sk, data in flood:
        dynamodb.put_item(TableName=TABLE, Item={**item_key(CASE_ID, sk), "data": to_item(data)})
    view = read_view(store, None, CASE_ID)
    assert view is not None
    assert (len(view.timeline), len(view.findings)) == (2_000, 400)
    assert view.cut == {"timeline": 2_000, "findings": 400} and view.findings[0] == opening
    assert counted.requests <= 29 and counted.items <= 2_000 + 400 + 20
    page = render_html(view)
    assert "more than 2000 timeline on record" in page and "more than 400 findings on record" in page
    assert any("findings after the first 400" in gap.subject for gap in [*gaps(view), *pending(view)])
    counted.requests = counted.items = 0
    assert len(read_board_view(store, CASE_ID).findings) == 400
    assert counted.requests <= 6 and counted.items <= 420


def test_of_the_results_of_many_tools_so_many_bytes_are_read(recorder: FakeRecorder) -> None:
    item = investigation(MEMORY)
    large = StoredArtifact(uri=f"s3://evidence/cases/{CASE_ID}/r.json", sha256="0" * 64, bytes=MOST_RESULTS)
    recorder.put(f"{case_keys.RESULT}b", item.model_copy(update={"artifacts": {"results": large}}))
    view = read_view(recorder.store, recorder.evidence_store, CASE_ID)
    assert view is not None and view.results == (RESULTS,)
    (line,) = [t for t in view.timeline if t.kind is TimelineKind.FAILURE]
    assert f"of a case's results {MOST_RESULTS} are read" in line.what


def test_the_board_reads_what_it_shows_and_nothing_from_s3(recorder: FakeRecorder) -> None:
    recorder.evidence_store.objects.clear()
    view = read_board_view(recorder.store, CASE_ID)
    whole = read_view(recorder.store, None, CASE_ID)
    assert whole is not None
    for name in ("plan", "target", "containment", "evidence", "investigations", "failures", "findings"):
        assert getattr(view, name) == getattr(whole, name), name
    assert view.custody == () and view.timeline == ()
