"""The acquisition's test report names real runs, and says of none what was not seen."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.court.__main__ import PAGE, outcomes, page, verdict
from tests.court.assertions import ASSERTIONS, Assertion

ROOT = Path(__file__).parents[2]
ONE = Assertion("X-1", "Something", "It does", ("tests/a/test_b.py::test_c", "tests/a/test_b.py::test_d"))


@pytest.mark.parametrize("assertion", ASSERTIONS, ids=lambda a: a.id)
def test_every_run_of_an_assertion_is_a_test_of_this_project(assertion: Assertion) -> None:
    for run in assertion.runs:
        file, _, name = run.partition("::")
        functions = {n.name for n in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(n, ast.FunctionDef)}
        assert not name or name in functions, f"{run} is not there any more"


def test_the_ids_are_unique_and_all_four_requirements_have_assertions() -> None:
    assert len({a.id for a in ASSERTIONS}) == len(ASSERTIONS)
    assert len({a.requirement for a in ASSERTIONS}) == 4


def test_the_page_in_the_documents_has_every_assertion_as_it_is() -> None:
    written = (ROOT / PAGE).read_text(encoding="utf-8")
    assert not [a.id for a in ASSERTIONS if f"| {a.id} | {a.text} |" not in written], "run `make acquisition-report`"
    assert "NOT as expected" not in written


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({ONE.runs[0]: ["passed", "passed"], ONE.runs[1]: ["passed"]}, ("as expected", 3, 3)),
        ({ONE.runs[0]: ["passed", "failed"], ONE.runs[1]: ["passed"]}, ("NOT as expected", 2, 3)),
        ({ONE.runs[0]: ["passed"], ONE.runs[1]: ["skipped"]}, ("not shown here", 1, 2)),
        ({ONE.runs[0]: ["passed"]}, ("not shown here", 1, 2)),
        ({}, ("not shown here", 0, 2)),
    ],
)
def test_only_what_was_seen_to_pass_is_as_expected(found: dict[str, list[str]], expected: tuple[str, int, int]) -> None:
    assert verdict(ONE, found) == expected
    text = page([ONE], found, when=datetime(2026, 1, 1, tzinfo=UTC), commit="abc")
    assert f"| X-1 | It does | {expected[1]} of {expected[2]} | {expected[0]} |" in text


def test_the_results_are_read_from_what_pytest_writes(tmp_path: Path) -> None:
    report = tmp_path / "runs.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="tests.a.test_b" name="test_c[1]"/>'
        '<testcase classname="tests.a.test_b" name="test_c[2]"><failure/></testcase>'
        '<testcase classname="tests.a.test_b" name="test_d"><skipped/></testcase></testsuite></testsuites>'
    )
    found = outcomes(report)
    assert found[ONE.runs[0]] == ["passed", "failed"] and found[ONE.runs[1]] == ["skipped"]
    assert found["tests/a/test_b.py"] == ["passed", "failed", "skipped"]
