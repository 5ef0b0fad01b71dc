"""What became of messages that opened no case: the page and the JSON behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Protocol

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from forensics.models.intake import IntakeCounts, IntakeRecord, MessageOutcome
from forensics.report.page import Link
from forensics.web.answers import site_of
from forensics.web.api_models import Intake
from forensics.web.openapi import described
from forensics.web.pages import render

if TYPE_CHECKING:
    from forensics.aws.sqs import FindingQueue
    from forensics.intake.intake_log import IntakeLog

LEVELS = {"ignored": "idle", "announced": "warn", "failed": "warn", "quarantined": "bad", "dead": "bad"}
# The order in which the day's numbers are shown; others follow.
COLUMNS = ("opened", "joined", "raised", "exists", "closed", "announced", "ignored", "quarantined", "failed", "dead")
Verdict = Annotated[str | None, Query(pattern=r"^(ignored|announced|quarantined|failed|dead)$")]
Limit = Annotated[int, Query(ge=1, le=500)]


@dataclass(frozen=True)
class IntakeState:
    """The intake as people see it: newest records first."""

    counts: tuple[IntakeCounts, ...]
    records: tuple[IntakeRecord, ...]
    waiting: int
    dead_letters: int


class IntakeReader(Protocol):
    """Read side; raises :class:`ForensicsError` when AWS cannot answer."""

    def intake(self, *, limit: int) -> IntakeState:
        """The last days' counts, the newest records, and what is in the queues."""
        ...


class StoreIntakeReader:
    """Reads the case store and SQS; gateways are opened per request."""

    def __init__(self, open_log: Callable[[], tuple[IntakeLog, FindingQueue]] | None = None) -> None:
        self._open = open_log or _open_log

    def intake(self, *, limit: int) -> IntakeState:
        """The last days' counts, the newest records, and what is in the queues."""
        log, queue = self._open()
        return IntakeState(
            counts=tuple(log.counts()),
            records=tuple(log.records(today=datetime.now(UTC), limit=limit)),
            waiting=queue.depth(),
            dead_letters=queue.dead_letters(),
        )


def _open_log() -> tuple[IntakeLog, FindingQueue]:
    # Imported on the first request: the plugin must load where AWS or its settings are missing.
    from forensics.aws.hook import ForensicsHook
    from forensics.aws.sqs import FindingQueue
    from forensics.intake.intake_log import IntakeLog

    hook = ForensicsHook()
    return IntakeLog.of(hook.own(), hook.settings), FindingQueue.of(hook.own(), hook.settings)


def add_intake(app: FastAPI, reader: IntakeReader, *, airflow: str) -> None:
    """Add the routes ``/intake`` and ``/api/intake`` to the pages."""

    def page(request: Request, verdict: Verdict = None, limit: Limit = 200) -> Response:
        state, site = reader.intake(limit=limit), site_of(request, airflow=airflow)
        shown = [r for r in state.records if verdict in {None, r.verdict}]
        names = [*COLUMNS, *sorted({n for c in state.counts for n in c.numbers} - set(COLUMNS))]
        links = [Link("All cases", site.board()), Link("JSON", f"{site.root}/api/intake", top=True)]
        return HTMLResponse(
            render(
                "intake.html.j2", state=state, records=shown, names=names, levels=LEVELS, links=links, here=site.intake(),
                chosen=verdict or "", verdicts=[outcome.value for outcome in MessageOutcome],
            )
        )  # fmt: skip

    def as_json(verdict: Verdict = None, limit: Limit = 200) -> Response:
        """What became of messages that opened no case."""
        state = reader.intake(limit=limit)
        return JSONResponse(
            {
                "waiting": state.waiting,
                "dead_letters": state.dead_letters,
                "days": [c.model_dump(mode="json") for c in state.counts],
                "records": [r.model_dump(mode="json") for r in state.records if verdict in {None, r.verdict}],
            }
        )

    app.add_api_route("/intake", page, methods=["GET"], response_model=None)
    app.add_api_route("/api/intake", as_json, methods=["GET"], response_model=None, responses=described(Intake))
