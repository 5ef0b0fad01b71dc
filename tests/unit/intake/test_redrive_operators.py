"""The redrive task: rendered parameters are text, and "False" is false."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from forensics.aws.sqs import FindingQueue
from forensics.intake import redrive_operators
from forensics.intake.redrive import RedriveCounts
from forensics.intake.redrive_operators import RedriveFindingsOperator

pytestmark = pytest.mark.usefixtures("settings_environment")


@pytest.mark.parametrize(
    ("params", "asked"),
    [({"limit": 1000, "quarantined": False}, (1000, False)), ({"limit": 5, "quarantined": True}, (5, True))],
)
def test_the_runs_parameters_reach_the_redrive(
    monkeypatch: pytest.MonkeyPatch, params: dict[str, object], asked: tuple[int, bool]
) -> None:
    seen: list[tuple[int, bool]] = []

    def redrive(queue: FindingQueue, *, limit: int, quarantined: bool, began: datetime) -> RedriveCounts:
        seen.append((limit, quarantined))
        assert queue.url.endswith("/findings") and began.tzinfo is not None
        return RedriveCounts(moved=3, left=1)

    monkeypatch.setattr(redrive_operators, "redrive", redrive)
    task = RedriveFindingsOperator(task_id="redrive_findings")
    context: Any = {"params": params}
    task.render_template_fields(context)
    assert task.execute(context) == {"moved": 3, "left": 1}
    assert seen == [asked]
