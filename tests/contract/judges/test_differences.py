"""The table of differences names questions and judges that exist."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.contract.judges.differences import listed, rows
from tests.contract.judges.emulators import EMULATORS

HERE = Path(__file__).parent


def test_each_row_is_about_a_question_that_is_asked_and_a_judge_that_is_known() -> None:
    asked = {
        node.name
        for file in HERE.glob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    judges = {emulator.name for emulator in EMULATORS} - {"lab"}
    assert {test for test, _ in listed()} <= asked
    assert {name for _, name in listed()} <= judges


def test_each_row_says_who_is_right_and_by_which_source() -> None:
    assert rows()
    for test, _, _, verdict in rows():
        assert verdict.startswith(("the lab: ", "the judge: ")), test
