"""The pages on a local server, inside a frame with the sandbox that Airflow's UI gives it, and a browser that looks at them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse

from forensics.case.remarks import Author
from forensics.models.approval import Approval, Person
from forensics.models.remarks import Remark, RemarkRequest
from forensics.web.access import Right, Visitor
from forensics.web.app import create_app
from forensics.web.timeline import TimelineReader
from tests.ui.chromium import MISSING, PROGRAM, Tab, browser
from tests.ui.started import RUNS
from tests.unit.builders import NOW
from tests.unit.report import sample
from tests.unit.web.test_app import Shelf
from tests.unit.web.test_audit import Reader as AuditInMemory
from tests.unit.web.test_audit import summary as audit_summary
from tests.unit.web.test_incident import Reader as LinksInMemory
from tests.unit.web.test_intake import Reader as IntakeInMemory
from tests.unit.web.test_preflight import Reader as PreflightInMemory

# Airflow 3.2.1, ui/dist: the plugin's page is an iframe with this sandbox; its theme is a class of the document element.
SANDBOX = "allow-scripts allow-same-origin allow-forms"
FRAME = (
    '<!DOCTYPE html><html class="{theme}" style="color-scheme: {theme}"><head><title>Airflow</title></head>'
    '<body style="margin:0"><p id="outer">Airflow</p>'
    '<iframe title="Forensic cases" sandbox="{sandbox}" src="{path}" style="border:0;width:100%;height:90vh"></iframe></body></html>'
)


class MemoryRemarks:
    """Writes remarks into the shelf, as the store would be read again."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def add(self, case_id: str, asked: RemarkRequest, *, author: Author, title: str, evidence_id: str) -> None:
        view = self._shelf.views[case_id]
        said = {**asked.model_dump(exclude={"once"}), "title": title, "by": str(author.person), "at": NOW}
        remark = Remark.model_validate({**said, "seq": len(view.remarks) + 1})
        self._shelf.views[case_id] = view.model_copy(update={"remarks": (*view.remarks, remark)})


def everything() -> Visitor:
    """A person who may do all."""
    return Visitor(Person(login="mara"), frozenset(Right))


def airflow(shelf: Shelf, timeline: TimelineReader | None = None) -> FastAPI:
    """Airflow's UI as far as the pages see it: the frame, a run's page, the pages themselves."""
    app = FastAPI()
    pages = create_app(
        shelf,
        authorize=lambda: None,
        visitor=everything,
        remarks=MemoryRemarks(shelf),
        intake=IntakeInMemory(),
        audit=AuditInMemory(audit_summary(late=3, differences=2)),
        preflight=PreflightInMemory(),
        links=LinksInMemory(),
        timeline=timeline,
    )
    app.mount("/forensics", pages)

    @app.get("/frame/{theme}/{path:path}")
    def frame(theme: str, path: str) -> HTMLResponse:
        return HTMLResponse(FRAME.format(theme=theme, path=f"/forensics/{path}", sandbox=SANDBOX))

    # As Airflow's own route answers: datamodels/dag_run.py, ``TriggerDAGRunPostBody`` and ``DAGRunResponse``
    @app.post("/api/v2/dags/{dag_id}/dagRuns")
    def start(dag_id: str, body: dict[str, Any]) -> dict[str, str]:
        if body["conf"].get("reason") == "refuse":
            raise HTTPException(400, "<i>paused</i>")
        RUNS.append((dag_id, body))
        return {"dag_id": dag_id, "dag_run_id": "manual__2026-11-24T03:12:00+00:00"}

    @app.get("/dags/{path:path}")
    def run(path: str) -> HTMLResponse:
        return HTMLResponse("<!DOCTYPE html><title>a run</title><p id=run>the run's page</p>")

    return app


@pytest.fixture(scope="session")
def shelf() -> Shelf:
    """One case with everything, one that runs."""
    running = sample.running_view()
    other = running.case.model_copy(update={"case_id": "fc-20261123-00000000aa"})
    return Shelf({sample.CASE_ID: sample.rich_view(), other.case_id: running.model_copy(update={"case": other})})


@pytest.fixture
def waiting(shelf: Shelf) -> Iterator[dict[str, str]]:
    """Cases whose isolation waits for a person's answer, was refused, was approved; gone afterwards."""
    view = sample.running_view()
    asked = Approval(
        digest="d" * 64, at=NOW, reason="waits for an answer", run_id=view.case.run_id or "r", step="containment.plan_containment",
        open=True, until=NOW + timedelta(hours=1), needed=2, not_counted=("mara: asked for it",),
    )  # fmt: skip
    answers = {
        "asked": asked,
        "refused": asked.model_copy(update={"open": False, "reason": "false alarm", "by": "noa"}),
        "given": asked.model_copy(
            update={
                "open": False,
                "granted": True,
                "by": "noa",
                "reason": "approved by noa, kim",
                "approvers": (Person(login="noa"), Person(login="kim")),
            }
        ),
    }
    found = {}
    for number, (name, approval) in enumerate(answers.items()):
        found[name] = f"fc-20261122-{number:010x}"
        case = view.case.model_copy(update={"case_id": found[name]})
        shelf.views[found[name]] = view.model_copy(update={"case": case, "approval": approval})
    yield found
    for case_id in found.values():
        del shelf.views[case_id]


@pytest.fixture(scope="session")
def site(shelf: Shelf) -> Iterator[str]:
    """Address of the server."""
    server = uvicorn.Server(uvicorn.Config(airflow(shelf), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def tab() -> Iterator[Tab]:
    """A browser's tab."""
    if PROGRAM is None:
        pytest.skip(MISSING)
    with browser() as made:
        yield made
