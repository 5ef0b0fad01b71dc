"""What people say about a case: the form on its page, and the same for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Protocol
from urllib.parse import parse_qs

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import ValidationError

from forensics.case.remarks import Author
from forensics.models.case import CaseView
from forensics.models.remarks import RemarkRequest
from forensics.report.remarks import known_findings
from forensics.web.access import PERMISSIONS, Right, needs, visitor_of
from forensics.web.answers import site_of
from forensics.web.api_models import RemarkList
from forensics.web.openapi import described
from forensics.web.origin import only_from_own_pages
from forensics.web.problem import Problem

if TYPE_CHECKING:
    from forensics.case.remarks import Remarks

LARGEST_BODY = 32 * 1024
_GUARDS = [Depends(needs(Right.RESPOND)), Depends(only_from_own_pages)]


class RemarkWriter(Protocol):
    """Write side; raises :class:`ForensicsError` when nothing was written."""

    def add(self, case_id: str, asked: RemarkRequest, *, author: Author, title: str, evidence_id: str) -> None:
        """Write one remark into the ledger and the case."""
        ...


class StoreRemarkWriter:
    """Writes into the case store; it is opened per request."""

    def __init__(self, open_remarks: Callable[[], Remarks] | None = None) -> None:
        self._open = open_remarks or _open_remarks

    def add(self, case_id: str, asked: RemarkRequest, *, author: Author, title: str, evidence_id: str) -> None:
        """Write one remark into the ledger and the case."""
        self._open().add(case_id, asked, author=author, title=title, evidence_id=evidence_id)


def _open_remarks() -> Remarks:
    # Imported on the first request: the plugin must load where AWS or its settings are missing.
    from forensics.case.remarks import Remarks
    from forensics.web.gateways import page_gateways

    gateways = page_gateways()
    return Remarks(gateways.store, gateways.ledger)


async def asked_remark(request: Request) -> RemarkRequest:
    """Dependency: the remark in a form's or a program's body; raises :class:`Problem` (413, 415, 422)."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Problem(413, "Too much text", "Nothing was written", f"A remark has at most {LARGEST_BODY} bytes", "Shorten it.")  # fmt: skip
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return RemarkRequest.model_validate_json(body)
        if kind == "application/x-www-form-urlencoded":
            return RemarkRequest.model_validate(_fields(body.decode("utf-8", "replace")))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc'])) or 'remark'}: {e['msg']}" for e in error.errors(include_url=False)]
        raise Problem(
            422,
            "The remark cannot be taken",
            "Nothing was written",
            "; ".join(faults)[:1000],
            "Go back and correct it.",
        ) from error
    raise Problem(415, "Unknown form", "Nothing was written", f"The content type is {kind[:80] or 'not said'}", "Send a form or JSON.")  # fmt: skip


def _fields(text: str) -> dict[str, object]:
    """A form's fields; empty ones are left out, tags stand in one field with commas."""
    given = {name: values[-1] for name, values in parse_qs(text, max_num_fields=20).items()}
    tags = [tag.strip() for tag in given.pop("tags", "").split(",")]
    return {**given, "tags": [tag for tag in tags if tag]}


def add_remarks(app: FastAPI, writer: RemarkWriter, *, view_of: Callable[[str], CaseView], airflow: str) -> None:
    """Add ``POST /case/{id}/remarks`` (the form) and ``GET``, ``POST /api/cases/{id}/remarks`` to the pages.

    ``view_of`` gives the case or raises :class:`Problem` (404).
    """

    def write(request: Request, case_id: str, asked: RemarkRequest) -> str:
        view = view_of(case_id)
        finding = known_findings(view).get(asked.finding) if asked.finding else None
        if asked.finding and finding is None:
            raise Problem(
                404, "No such finding", "Nothing was written", f"The case has no finding {asked.finding[:200]}",
                "Load the case's page again: the finding may come from results that were replaced.",
            )  # fmt: skip
        author = Author(visitor_of(request).person, PERMISSIONS[Right.RESPOND].words)
        title, item = (finding.finding.title, finding.evidence_id) if finding else ("", "")
        writer.add(view.case.case_id, asked, author=author, title=title, evidence_id=item)
        return finding.anchor_id if finding else "notes"

    def from_form(request: Request, case_id: str, asked: Annotated[RemarkRequest, Depends(asked_remark)]) -> Response:
        anchor = write(request, case_id, asked)
        return RedirectResponse(f"{site_of(request, airflow=airflow).case(case_id)}#{anchor}", status_code=303)

    def from_program(
        request: Request, case_id: str, asked: Annotated[RemarkRequest, Depends(asked_remark)]
    ) -> Response:
        """Say something about a case: a verdict on a finding, a comment, its tags, its owner."""
        write(request, case_id, asked)
        return JSONResponse(_remarks_json(view_of(case_id)), status_code=201)

    def read(case_id: str) -> Response:
        """What people have said of a case."""
        return JSONResponse(_remarks_json(view_of(case_id)))

    route = "/api/cases/{case_id}/remarks"
    app.add_api_route("/case/{case_id}/remarks", from_form, methods=["POST"], response_model=None, dependencies=_GUARDS)
    body = {"required": True, "content": {"application/json": {"schema": _inlined(RemarkRequest.model_json_schema())}}}
    app.add_api_route(
        route,
        from_program,
        methods=["POST"],
        status_code=201,
        response_model=None,
        dependencies=_GUARDS,
        responses=described(RemarkList, status=201),
        openapi_extra={"requestBody": body},
    )
    app.add_api_route(route, read, methods=["GET"], response_model=None, responses=described(RemarkList))


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without definitions beside it: an OpenAPI document has them elsewhere."""
    kept: dict[str, Any] = schema.pop("$defs", {})

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            return put(kept[name]) if name in kept else {key: put(inner) for key, inner in value.items()}
        return [put(inner) for inner in value] if isinstance(value, list) else value

    made: dict[str, Any] = put(schema)
    return made


def _remarks_json(view: CaseView) -> dict[str, object]:
    assigned = view.assignment
    return {
        "case_id": view.case.case_id,
        "owner": assigned.owner if assigned else "",
        "tags": list(assigned.tags) if assigned else [],
        "remarks": [remark.model_dump(mode="json") for remark in view.remarks],
    }
