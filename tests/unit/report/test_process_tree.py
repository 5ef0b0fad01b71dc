"""The tree of processes on the page: marked, in order, each process once; hostile names stay text."""

from __future__ import annotations

import time
from typing import Any

from forensics.models.case import CaseView
from forensics.models.results import ToolProcess, ToolResults
from forensics.report import render_html
from forensics.report.process_tree import Branch, process_trees
from tests.unit.report import sample
from tests.unit.report.test_hostile import check


def view_with(*processes: ToolProcess) -> CaseView:
    first = sample.rich_view().results[0]
    return sample.rich_view(results=(first.model_copy(update={"process_tree": processes}),))


def named(pid: int, ppid: int = 0, **more: Any) -> ToolProcess:
    return ToolProcess.model_validate({"pid": pid, "ppid": ppid, "name": f"p{pid}", **more})


def pids(branch: Branch) -> list[int]:
    return [branch.process.pid, *(pid for child in branch.children for pid in pids(child))]


CRITICAL = {"severity": "critical", "title": "Process 61 poses as a kernel thread"}


def test_children_stand_below_their_parents_and_marks_are_counted() -> None:
    view = view_with(
        named(1),
        named(50, 1),
        named(60, 50),
        named(61, 60, marks=[CRITICAL]),
        named(77, 60, listed=False),
        named(9, 400),
    )
    (tree,) = process_trees(view)
    assert [pids(root) for root in tree.roots] == [[1, 50, 60, 61, 77], [9]]
    assert (tree.processes, tree.marked) == (6, 2)
    page = check(render_html(view))
    assert "6 processes, 2 marked" in page.text
    assert "Process 61 poses as a kernel thread" in page.text and "not listed" in page.text


def test_connections_and_programs_of_marked_processes_are_shown() -> None:
    view = view_with(
        named(
            61,
            exe="/dev/shm/.x (deleted)",
            marks=[CRITICAL],
            uid=0,
            connections=["TCP 10.0.0.5:1 with 203.0.113.9:443"],
        )
    )
    text = check(render_html(view)).text
    assert "program /dev/shm/.x (deleted)" in text and "203.0.113.9:443" in text


def test_processes_that_are_each_others_parents_are_there_once() -> None:
    (tree,) = process_trees(view_with(named(5, 6), named(6, 5), named(7, 7), named(8, 5)))
    assert sorted(pid for root in tree.roots for pid in pids(root)) == [5, 6, 7, 8]


def test_a_chain_of_a_thousand_is_shown_without_nesting_a_thousand_deep() -> None:
    chain = [named(n, n - 1) for n in range(1, 1_001)]
    view = view_with(*chain)
    (tree,) = process_trees(view)
    assert sum(len(pids(root)) for root in tree.roots) == 1_000
    began = time.process_time()
    page = check(render_html(view))
    assert time.process_time() - began < 10 and "p1000" in page.text


def test_hostile_names_stay_text() -> None:
    hostile = [
        named(
            n + 10,
            name=text[:200],
            args=text[:1000],
            exe=text[:1000],
            connections=[text],
            marks=[{"severity": "high", "title": text[:500]}],
        )
        for n, text in enumerate(sample.HOSTILE)
    ]
    check(render_html(view_with(*hostile)))


def test_results_of_earlier_toolkits_have_no_tree() -> None:
    first = sample.rich_view().results[0]
    read = ToolResults.model_validate(first.model_dump(by_alias=True, exclude={"process_tree"}))
    assert read.process_tree == () and process_trees(sample.rich_view()) == []
