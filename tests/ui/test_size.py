"""Large cases on the pages: the work for a page is bounded by the page, not by the case. Times are printed, for the reader.

Sizes by environment: UI_CASES, UI_FINDINGS, UI_ENTRIES (``make ui-times``: 10,000 cases, 40,000 findings, 5,000,000 entries of a stored timeline).
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from forensics.models.case import Case, CaseView
from forensics.models.results import ToolFinding
from forensics.models.timeline import TimelineStore
from forensics.timeline.cache import TimelineCache
from forensics.timeline.search import Found, TimelineSearch, TimelineSearcher
from forensics.web.board_index import Snapshot
from forensics.web.timeline import PER_PAGE, StoredState
from lab.scenarios import timeline_bench
from tests.ui.chromium import Tab
from tests.ui.conftest import airflow
from tests.unit.report import sample
from tests.unit.web.test_app import Shelf

CASES, FINDINGS, ENTRIES = (
    int(os.environ.get(name, str(small)))
    for name, small in (("UI_CASES", 2_000), ("UI_FINDINGS", 4_000), ("UI_ENTRIES", 20_000))
)
CASE = f"case/{sample.CASE_ID}"
# What a page may weigh: a phone gets it in a second or two.
MOST_BYTES = 1_000_000
SEVERITIES = ("critical", "high", "medium", "low", "info")


class CountingShelf(Shelf):
    """Says how often it was read, and how."""

    def __init__(self, views: dict[str, CaseView]) -> None:
        super().__init__(views)
        self.reads: Counter[str] = Counter()

    def cases(self) -> Snapshot:
        self.reads["cases"] += 1
        return super().cases()

    def case_view(self, case_id: str) -> CaseView | None:
        self.reads["case"] += 1
        return super().case_view(case_id)

    def board_view(self, case: Case) -> CaseView:
        self.reads["row"] += 1
        return super().board_view(case)


class StoredTimeline:
    """A stored timeline on disk, of which the web server has a copy."""

    def __init__(self, folder: Path, entries: int) -> None:
        self.store = timeline_bench.stored(folder, entries)
        self._searcher = TimelineSearcher(TimelineCache(folder / "cache", most_bytes=1 << 34))
        self.reads = 0

    def state(self, view: CaseView) -> StoredState:
        return StoredState(self.store)

    def search(self, view: CaseView, store: TimelineStore, asked: TimelineSearch, *, limit: int) -> Found:
        return self._searcher.search(view, store, self._read, asked, limit=limit, wait=600)

    def _read(self, uri: str) -> Iterator[bytes]:
        self.reads += 1
        with Path(uri.removeprefix("file://")).open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece


@contextmanager
def served(shelf: Shelf, timeline: StoredTimeline | None = None) -> Iterator[str]:
    """The pages on a server of their own."""
    server = uvicorn.Server(uvicorn.Config(airflow(shelf, timeline), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def look(tab: Tab, address: str, what: str) -> int:
    """Open a page; print when it was there by the browser's own clock, and return its bytes."""
    tab.open(address)
    entry = "performance.getEntriesByType('navigation')[0]"
    shown, weight = tab.run(f"{entry}.domContentLoadedEventEnd"), int(tab.run(f"{entry}.decodedBodySize"))
    print(f"{what:<60} {shown:8.0f} ms {weight / 1000:8.0f} kB")
    return weight


def with_findings(number: int) -> CaseView:
    """The sample case with so many findings of a tool."""
    findings = tuple(
        ToolFinding(
            id=f"{n:016x}", title=f"Finding {n}", detail="of a tool " * 9, severity=SEVERITIES[n % 5], confidence="high",
            time=sample.at(n), technique="T1110", source="/var/log/auth.log", data={"line": n},
        )
        for n in range(number)
    )  # fmt: skip
    first = sample.rich_view().results[0].model_copy(update={"findings": findings})
    return sample.complete_view(results=(first,))


def test_the_board_reads_the_list_once_and_the_rows_that_it_shows(tab: Tab) -> None:
    view = sample.complete_view()
    names = [f"fc-20250101-{n:010x}" for n in range(CASES)]
    views = {name: view.model_copy(update={"case": view.case.model_copy(update={"case_id": name})}) for name in names}
    weights = []
    for some in (dict(list(views.items())[:50]), views):
        shelf = CountingShelf(some)
        with served(shelf) as site:
            weights.append(look(tab, f"{site}/forensics/?limit=50&sort=severity", f"board of {len(some)} cases"))
        assert shelf.reads == {"cases": 1, "row": 50}
    assert weights[1] < MOST_BYTES and weights[1] < weights[0] + 5_000, "the page does not grow with the cases"


def test_a_case_page_does_not_grow_with_its_findings(tab: Tab) -> None:
    weights = []
    for number in (FINDINGS // 2, FINDINGS):
        shelf = CountingShelf({sample.CASE_ID: with_findings(number)})
        with served(shelf) as site:
            weights.append(look(tab, f"{site}/forensics/{CASE}", f"case page with {number} findings"))
        assert shelf.reads == {"case": 1}
    assert weights[1] < MOST_BYTES and weights[1] < weights[0] + 20_000


def test_a_page_of_a_stored_timeline_has_so_many_entries_and_no_more(tab: Tab) -> None:
    with tempfile.TemporaryDirectory() as folder:
        timeline, shelf = StoredTimeline(Path(folder), ENTRIES), CountingShelf({sample.CASE_ID: sample.complete_view()})
        with served(shelf, timeline) as site:
            page = f"{site}/forensics/{CASE}/timeline"
            for query in (
                "",
                "?text=Accepted+publickey",
                "?user=user7",
                "?since=2026-09-01T00:00&until=2026-09-02T00:00",
            ):
                weight = look(tab, page + query, f"timeline of {ENTRIES} entries {query}")
                assert tab.run("document.querySelectorAll('tbody tr').length") <= PER_PAGE and weight < MOST_BYTES
        assert timeline.reads == 1, "the copy is made once, and searched from then on"
