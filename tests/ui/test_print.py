"""The stored report on paper: few pages, raw records left out and said so, nothing of the answers lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forensics.models.case import CaseView
from forensics.models.results import ToolFinding, ToolProcess, ToolTimelineEntry
from forensics.report import render_html
from tests.ui.chromium import Tab
from tests.unit.report import sample

# The demo's case, counted in its report: findings by severity with the mean length of their texts, entries of the timeline,
# events of the ledger, processes in memory.
SEVERITIES = {"critical": 14, "high": 26, "medium": 14, "low": 6, "info": 9}
TITLE, DETAIL, SOURCE = 49, 93, 20
TOOL_MOMENTS, OWN_MOMENTS, EVENTS, PROCESSES = 175, 40, 60, 9
MOST_PAGES = 12
TECHNIQUES = (
    "T1110",
    "T1136.001",
    "T1505.003",
    "T1070.004",
    "T1036",
    "T1059.004",
    "T1014",
    "T1053.003",
    "T1071",
    "T1048.003",
)


def words(length: int, n: int) -> str:
    """A text of so many characters, none like the other."""
    return (f"{n} /usr/local/lib/.sysd/sysd of the session from 203.0.113.66 with a command line " * 3)[:length]


def of_demo_size() -> CaseView:
    """The sample case, as large as the demo's."""
    names = [name for name, number in SEVERITIES.items() for _ in range(number)]
    findings = tuple(
        ToolFinding(
            id=f"{n:016x}", title=words(TITLE, n), detail=words(DETAIL, n), severity=severity, confidence="high",
            time=sample.at(n), technique=TECHNIQUES[n % len(TECHNIQUES)], source=words(SOURCE, n), data={"line": n},
        )
        for n, severity in enumerate(names)
    )  # fmt: skip
    moments = tuple(
        ToolTimelineEntry(time=sample.at(60 * n), what=words(DETAIL, n), source="auth.log") for n in range(TOOL_MOMENTS)
    )
    tree = tuple(ToolProcess(pid=n + 1, ppid=n // 2, name="worker", args=words(60, n)) for n in range(PROCESSES))
    first = sample.rich_view().results[0]
    found = first.model_copy(update={"findings": findings, "timeline": moments, "process_tree": tree})
    own = sample.timeline()
    events = sample.custody()
    return sample.complete_view(
        results=(found,),
        timeline=(own * (OWN_MOMENTS // len(own) + 1))[:OWN_MOMENTS],
        custody=(events * (EVENTS // len(events) + 1))[:EVENTS],
        evidence=sample.evidence()[:3],
    )


@pytest.fixture
def stored(tab: Tab, tmp_path: Path) -> Tab:
    """The browser with a stored report, as a file."""
    report = tmp_path / "report.html"
    report.write_text(render_html(of_demo_size()), "utf-8")
    tab.open("about:blank")
    tab.window(1280, 900)
    tab.open(report.as_uri())
    return tab


def test_a_report_of_the_demos_size_is_printed_on_few_pages(stored: Tab) -> None:
    pages = stored.pages_of_print()
    print(f"the report of a case of the demo's size: {pages} pages")
    assert 2 < pages <= MOST_PAGES


def _shown(tab: Tab, selector: str) -> Any:
    """Whether something of a selector is seen."""
    return tab.run(f"[...document.querySelectorAll('{selector}')].some(e => e.checkVisibility())")


def test_paper_has_the_words_and_leaves_out_raw_records_and_says_so(stored: Tab) -> None:
    raw = ["#custody table", ".tl.raw", "details.noprint", "#provenance table"]
    stored.run("document.querySelectorAll('details').forEach(d => { d.open = false })")
    assert not _shown(stored, ".onpaper")
    stored.ask("Emulation.setEmulatedMedia", media="print")
    try:
        assert [selector for selector in raw if _shown(stored, selector)] == []
        for kept in (
            "#answers li",
            "#findings .item .head",
            "#gaps",
            "details.minor .head",
            "ul.tree",
            "#evidence dl",
            ".onpaper",
        ):
            assert _shown(stored, kept), kept
        said = stored.run("document.querySelector('.onpaper').innerText")
        assert "report.json" in said and sample.custody()[-1].digest in said
        wide = stored.run("document.querySelector('#times td').getBoundingClientRect().height")
        assert wide < 40, "a table on paper is a table, not a phone's cards"
    finally:
        stored.ask("Emulation.setEmulatedMedia", media="")
