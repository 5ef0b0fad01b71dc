"""One case has one number of gaps: on the page, in the JSON report, in both messages, on the board and in the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from forensics import case_keys
from forensics.case.view import read_board_view, read_view
from forensics.models.board import Entry
from forensics.models.case import Case, CaseStatus, CaseView
from forensics.models.results import StoredArtifact
from forensics.report import render_html, render_json
from forensics.report.closing import close_case
from forensics.report.writer import complete_report, write_report
from forensics.web.app import create_app
from forensics.web.board_index import Snapshot
from tests.unit.recorders import FakeRecorder
from tests.unit.report import sample

VIEWS: dict[str, tuple[Callable[[], CaseView], int]] = {
    "closed complete": (sample.complete_view, 0),
    # a failed step, two disks, differing digests, a partial isolation, a failed investigation, two gaps of the memory tools
    "closed with gaps": (sample.rich_view, 8),
    "running": (sample.running_view, 1),
    "tool noise": (sample.noisy_view, 0),
}


class Stored(FakeRecorder):
    """A recorder of a case whose records are those of a view; the tools' results lie in the evidence store."""

    def __init__(self, view: CaseView) -> None:
        super().__init__(view.case)
        case_id = view.case.case_id
        singles = {case_keys.PLAN: view.plan, case_keys.TARGET: view.target, case_keys.CONTAINMENT: view.containment}
        items = {key: value for key, value in singles.items() if value}
        items |= {f"{case_keys.FINDING}{n}": value for n, value in enumerate(view.findings)}
        items |= {f"{case_keys.EVIDENCE}{value.evidence_id}": value for value in view.evidence}
        items |= {f"{case_keys.FAILURE}{value.step}": value for value in view.failures}
        for number, run in enumerate(view.investigations):
            stored = None
            for found in (r for r in view.results if r.evidence_id == run.evidence_id and run.outcome == "DONE"):
                body = found.model_dump_json(by_alias=True).encode()
                stored = self.evidence_store.put(f"cases/{case_id}/artifacts/{number}/results.json", body)
            made = (
                {"results": StoredArtifact(uri=stored.uri, sha256=stored.sha256, bytes=stored.size_bytes)}
                if stored
                else {}
            )
            items[f"{case_keys.RESULT}{number}"] = run.model_copy(update={"artifacts": made})
        for key, value in items.items():
            self.store.put(case_id, key, value)

    def facts(self, event: str) -> int:
        """The count in the newest message of an event; its lines, its subject and its facts must agree."""
        mail = [m for m in self.mailbox.mail if m.event == event][-1]
        lines = sum(line.startswith("Gap: ") for line in mail.lines)
        named = re.search(r"(\d+) gaps? \[", mail.subject)
        assert mail.facts["gap_count"] == lines == (int(named.group(1)) if named else 0)
        assert len(mail.facts.get("gaps", [None] * lines)) == lines
        return lines


class OneCase:
    """The pages' reader on such a recorder."""

    def __init__(self, recorder: FakeRecorder) -> None:
        self._recorder = recorder

    def cases(self) -> Snapshot:
        """The one case."""
        return Snapshot((Entry(self._recorder.case_now()),), datetime.now(UTC))

    def case_view(self, case_id: str) -> CaseView | None:
        """All of it."""
        return read_view(self._recorder.store, self._recorder.evidence_store, case_id)

    def board_view(self, case: Case) -> CaseView:
        """What the board reads."""
        return read_board_view(self._recorder.store, case.case_id)

    def case_of_run(self, run_id: str) -> str | None:
        """Not asked for here."""
        return None


def counts_on_pages(recorder: FakeRecorder) -> set[int]:
    """The numbers on the case's page, in its JSON, on the board and in the list of cases."""
    view = recorder.view()
    page = render_html(view)
    listed = page.split('<section id="gaps">')[1].split("</section>")[0].split("Still pending")[0]
    document = json.loads(render_json(view))
    client = TestClient(create_app(OneCase(recorder), authorize=lambda: None))
    board = client.get("/").text.split("<tbody>")[1]
    tag = re.search(r"(\d+)&nbsp;gap|(\d+) gaps?</span>", board.replace("&nbsp;", " "))
    head = re.search(r"(\d+) gaps?[,<]", page.split("What is missing")[1])
    return {
        max(0, listed.count("<tr>") - 1),
        len(document["gaps"]),
        document["summary"]["gap_count"],
        int(head.group(1)) if head else 0,
        int(tag.group(2)) if tag else 0,
        client.get("/api/cases").json()["cases"][0]["gap_count"],
    }


@pytest.mark.parametrize("name", VIEWS)
def test_the_pages_say_one_number(name: str) -> None:
    make, number = VIEWS[name]
    assert counts_on_pages(Stored(make())) == {number}


@pytest.mark.parametrize("name", VIEWS)
def test_messages_say_the_pages_number_when_the_work_has_ended(name: str) -> None:
    recorder = Stored(VIEWS[name][0]())
    write_report(recorder, task_states={})
    counted = {recorder.facts("report")} | counts_on_pages(recorder)
    assert len(counted) == 1
    found = close_case(
        recorder,
        remove_forensic_resources=lambda: None,
        end_protection=lambda: None,
        complete_report=lambda: complete_report(recorder, task_states={}),
        keep_evidence=lambda _: None,
        annotate_findings=lambda _: None,
    )
    assert {recorder.facts("case_closed"), len(found)} | counts_on_pages(recorder) == counted
    expected = CaseStatus.CLOSED_WITH_GAPS if found else CaseStatus.CLOSED
    assert recorder.case_now().status is expected
