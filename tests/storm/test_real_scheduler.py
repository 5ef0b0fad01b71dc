"""The small storm on the real scheduler; ``make storm`` is the whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.scenarios.load_test import Storm, blow, storm_stack
from lab.stack import postgres

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_a_small_storm_loses_and_doubles_nothing(tmp_path: Path) -> None:
    storm = Storm(findings=40, instances=15, kills=2, span_seconds=20.0)
    with postgres.database("auto") as (_, url), storm_stack(tmp_path / "storm", database=url) as lab:
        figures = blow(lab, storm)
    print(figures.text())
    assert figures.clean, figures.text()
    assert (figures.cases, figures.runs) == (storm.instances, storm.instances)
    assert sum(figures.killed.values()) == storm.kills
    assert figures.throttled > 0
    assert figures.dead_letters == 0
