"""What the pages read: the protocol, and the reader on top of the case store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from forensics.case.stored_results import KeptResults
from forensics.errors import StoredItemError
from forensics.models.base import CASE_ID_FORM
from forensics.models.board import Entry
from forensics.models.case import Case, CaseView
from forensics.web.board_index import FRESH, STALE, BoardIndex, Snapshot

if TYPE_CHECKING:
    from forensics.aws.case_store import CaseStore
    from forensics.case.view import ResultsReader


class CaseReader(Protocol):
    """Read side of the pages; methods raise :class:`ForensicsError` when the store cannot answer."""

    def cases(self) -> Snapshot:
        """All cases with the lines by which the board finds them, as of some seconds ago at most."""
        ...

    def case_view(self, case_id: str) -> CaseView | None:
        """Everything about one case; None when the case does not exist."""
        ...

    def board_view(self, case: Case) -> CaseView:
        """The few items of a case that the board shows, and those that its gaps are counted from."""
        ...

    def case_of_run(self, run_id: str) -> str | None:
        """The id of the case that a DAG run processes; None when no recent case names the run."""
        ...


class Gateways(Protocol):
    """What the reader needs of :class:`forensics.case.recorder.CaseGateways`."""

    @property
    def store(self) -> CaseStore:
        """The case store."""
        ...

    def view(self, case_id: str, *, read: ResultsReader) -> CaseView | None:
        """The whole case; ``read`` reads its tools' results."""
        ...


def _open_gateways() -> Gateways:
    # Imported on the first request: the plugin must load where AWS or its settings are missing.
    from forensics.web.gateways import page_gateways

    return page_gateways()


class StoreReader:
    """Reads cases from DynamoDB and the evidence store; gateways are opened per request."""

    def __init__(self, open_gateways: Callable[[], Gateways] = _open_gateways) -> None:
        self._open = open_gateways
        self._parsed: dict[str, tuple[dict[str, Any], Entry]] = {}
        self._index = BoardIndex(self._read_cases)
        self._results = KeptResults()

    def cases(self) -> Snapshot:
        """All cases with the lines by which the board finds them, as of some seconds ago at most."""
        return self._index.entries()

    def _read_cases(self) -> Iterator[Entry | StoredItemError]:
        yield from self._open().store.lines.read(self._parsed)

    def case_view(self, case_id: str) -> CaseView | None:
        """Everything about one case; None when the case does not exist."""
        return self._open().view(case_id, read=self._results.read)

    def board_view(self, case: Case) -> CaseView:
        """The few items of a case that the board shows, without the tools' results in S3."""
        from forensics.case.view import read_board_view

        store = self._open().store
        return read_board_view(store, case.case_id)

    def case_of_run(self, run_id: str) -> str | None:
        """The case whose id the run id starts with, else the newest case that names the run."""
        named = CASE_ID_FORM.match(run_id)
        if named:
            return named.group()
        # A run that has just started may be younger than what is known: once more, then.
        for oldest in (STALE, FRESH):
            known = self._index.entries(oldest=oldest).entries
            if found := [entry.case for entry in known if entry.case.run_id == run_id]:
                break
        return max(found, key=lambda case: case.opened_at).case_id if found else None
