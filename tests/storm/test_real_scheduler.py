"""A small load test on the real scheduler; ``make storm`` is the whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.scenarios.load_test import Load, load_stack, run_load
from lab.stack import postgres

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(4 * 3600)]


def test_a_small_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    load = Load(findings=40, instances=15, kills=2, span_seconds=20.0)
    with postgres.database("auto") as (_, url), load_stack(tmp_path / "load", database=url) as lab:
        figures = run_load(lab, load)
    print(figures.text())
    assert figures.clean, figures.text()
    assert (figures.cases, figures.runs) == (load.instances, load.instances)
    assert sum(figures.killed.values()) == load.kills
    assert figures.throttled > 0
    assert figures.dead_letters == 0
