"""Airflow's public REST API (v2) and the product's API beside it, as far as the command needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from forensics_cli.faults import CommandError, Exit, NotFound, Refused, Unreachable
from forensics_cli.sign_in import unreachable

CASES = "/forensics/api"
ENDED = frozenset({"success", "failed"})
# What a JSON document of an API is: the product's OpenAPI document and Airflow's say its form.
Document = dict[str, Any]


class Api:
    """Requests to one Airflow; every answer that is not the expected one becomes a :class:`CommandError`."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    # ------------------------------------------------------------------ runs
    def start(self, dag_id: str, conf: Mapping[str, object]) -> Document:
        """Start a run of a DAG; without a logical date, so that any number of them may be started at the same moment."""
        return self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": dict(conf)})

    def run(self, dag_id: str, run_id: str) -> Document:
        """A run of a DAG as it is now."""
        return self._ask("GET", f"{_run(dag_id, run_id)}")

    def tasks(self, dag_id: str, run_id: str) -> list[Document]:
        """The task instances of a run (all: a run of the product has fewer than a page holds)."""
        answer = self._ask("GET", f"{_run(dag_id, run_id)}/taskInstances", params={"limit": 100})
        return list(answer.get("task_instances", []))

    def case_of_run(self, run_id: str) -> str | None:
        """The case that a run of ``forensic_case`` has opened; None while it has not."""
        return str(self._returned("forensic_case", run_id, "open_case") or "").strip('"') or None

    def result(self, dag_id: str, run_id: str, task_id: str) -> Document | None:
        """The document that a task has returned; None while it has not, and when it failed."""
        found = self._returned(dag_id, run_id, task_id)
        return found if isinstance(found, dict) else None

    def _returned(self, dag_id: str, run_id: str, task_id: str) -> object:
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        try:
            return self._ask("GET", path).get("value")
        except NotFound:
            return None

    def run_page(self, dag_id: str, run_id: str) -> str:
        """Address of a run in Airflow's UI."""
        return f"{str(self._client.base_url).rstrip('/')}/dags/{dag_id}/runs/{quote(run_id, safe='')}"

    # ------------------------------------------------------------------ cases
    def case(self, case_id: str) -> Document:
        """The report of a case."""
        return self._ask("GET", f"{CASES}/cases/{quote(case_id, safe='')}")

    def case_page(self, case_id: str) -> str:
        """Address of a case's page."""
        return f"{str(self._client.base_url).rstrip('/')}/forensics/case/{quote(case_id, safe='')}"

    def cases(self, asked: Mapping[str, str], *, limit: int) -> Iterator[Document]:
        """The board's lines, ``limit`` at most."""
        cursor = ""
        while limit > 0:
            page = min(limit, 100)
            given = {
                **{k: v for k, v in asked.items() if v},
                "limit": str(page),
                **({"cursor": cursor} if cursor else {}),
            }
            answer = self._ask("GET", f"{CASES}/cases", params=given)
            yield from answer["cases"]
            limit, cursor = limit - page, answer.get("next") or ""
            if not cursor:
                return

    def timeline(self, case_id: str, asked: Mapping[str, str], *, limit: int) -> Iterator[Document]:
        """Entries of a case's timeline, oldest first, ``limit`` at most."""
        cursor = ""
        while limit > 0:
            page = min(limit, 1000)
            given = {
                **{k: v for k, v in asked.items() if v},
                "limit": str(page),
                **({"cursor": cursor} if cursor else {}),
            }
            answer = self._ask("GET", f"{CASES}/cases/{quote(case_id, safe='')}/timeline", params=given)
            yield from answer["entries"]
            limit, cursor = limit - page, answer.get("next") or ""
            if not cursor:
                return

    def preflight(self) -> Document:
        """The last results of the preflight."""
        return self._ask("GET", f"{CASES}/preflight")

    # ------------------------------------------------------------------ requests
    def _ask(self, method: str, path: str, **given: Any) -> Document:
        try:
            answer = self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise unreachable(error, str(self._client.base_url)) from error
        if answer.status_code >= 400:
            raise _fault(answer)
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            what = f"{answer.request.url.path} did not answer as Airflow with this product does"
            why = f"status {answer.status_code}, {answer.headers.get('content-type', 'no content type')}"
            raise Unreachable(
                what, why=why, next_action="check the address; a sign-in page or a proxy may have answered"
            )
        return document


def _run(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _fault(answer: httpx.Response) -> CommandError:
    """What Airflow's ``detail`` or the product's ``error`` says of a refusal."""
    what, why, next_action = _said(answer)
    if answer.status_code == 401:
        return Refused(
            "Airflow does not know you", why=why or what, next_action="sign in again: the token may have ended"
        )
    if answer.status_code == 403:
        return Refused(
            what, why=why, next_action=next_action or "ask an administrator of Airflow for the role (docs/report.md)"
        )
    if answer.status_code == 404:
        return NotFound(what, why=why, next_action=next_action or "check the id; forensics list shows the cases")
    if answer.status_code in {400, 409, 422}:
        return CommandError(what, why=why, next_action=next_action or "correct what it names", status=Exit.BAD)
    return Unreachable(
        what, why=why, next_action=next_action or "try again; if it stays so, look at the API server's log"
    )


def _said(answer: httpx.Response) -> tuple[str, str, str]:
    head = f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}"
    try:
        document = answer.json()
    except ValueError:
        return head, "", ""
    if isinstance(document, dict) and isinstance(document.get("error"), dict):
        error = document["error"]
        return str(error.get("what") or error.get("title")), str(error.get("why", "")), str(error.get("next", ""))
    return head, str(document.get("detail", "") if isinstance(document, dict) else ""), ""
