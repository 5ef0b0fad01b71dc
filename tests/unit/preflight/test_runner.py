"""Checks run side by side; one that never answers costs its own limit and nothing else."""

from __future__ import annotations

import threading

from forensics.models.preflight import CheckResult, CheckStatus
from forensics.preflight.runner import run_checks
from tests.unit.preflight.checks import Made, waits


def test_all_lines_come_back_and_are_said() -> None:
    said: list[CheckResult] = []
    found = run_checks([Made(lambda: "fine", str(n)) for n in range(50)], threads=5, say=said.append)
    assert {line.subject for line in found} == {str(n) for n in range(50)}
    assert said == found


def test_one_that_never_answers_does_not_hold_the_others_up() -> None:
    never = threading.Event()
    checks = [Made(waits(never), "late", limit=0.05), *[Made(lambda: "fine", str(n)) for n in range(3)]]
    found = {line.subject: line for line in run_checks(checks, threads=1)}
    never.set()
    assert found["late"].status is CheckStatus.BROKEN
    assert "no answer within" in found["late"].detail
    assert [found[str(n)].status for n in range(3)] == [CheckStatus.OK] * 3


def test_patience_is_a_factor_on_the_limit() -> None:
    never = threading.Event()
    (line,) = run_checks([Made(waits(never), "late", limit=0.01)], patience=2.0)
    never.set()
    assert line.status is CheckStatus.BROKEN


def test_checks_run_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def meet() -> str:
        both.wait()
        return "met"

    found = run_checks([Made(meet), Made(meet)], threads=2)
    assert [line.detail for line in found] == ["met", "met"]


def test_nothing_to_check_is_nothing_found() -> None:
    assert run_checks([]) == []
