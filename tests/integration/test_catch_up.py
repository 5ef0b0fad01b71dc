"""The way from Security Hub to here was cut: what it held is fetched, opens its case once, and once only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from forensics.aws.hook import ForensicsHook
from forensics.intake.catch_up_operators import CatchUpFindingsOperator
from forensics.intake.engine import IntakeEngine
from lab.scenarios.driver import finding
from tests.gateways import case_store, finding_queue
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.storm.handlers import FileWork


def drained(folder: Path) -> None:
    IntakeEngine(finding_queue(), FileWork(ForensicsHook(), folder), urgent_rank=2, visibility=1).run(
        seconds=4.0, linger=1.5
    )


def test_findings_of_the_gap_arrive_exactly_once(lab: SmallLab, tmp_path: Path) -> None:
    lab.client("events", "security").disable_rule(Name="forensics-forward-findings")
    began = datetime.now(UTC) - timedelta(minutes=1)
    document: dict[str, Any] = finding(lab.facts["instances"]["web-server"], title="Command and control")
    lab.client("securityhub", "security").batch_import_findings(Findings=[document])
    drained(tmp_path)
    assert list(case_store().open_cases()) == [], "it did not arrive"

    window = {"start": began.isoformat(), "end": None, "region": "", "limit": 100, "service": "securityhub"}
    for _ in range(2):  # somebody presses twice
        result = perform(CatchUpFindingsOperator(task_id="catch_up_findings"), params=window)
        assert [r["sent"] for r in result.values()] == [1]
    drained(tmp_path)
    (case_id,) = case_store().open_cases()
    found = [sk for sk, _ in case_store().items(case_id, "FINDING#")]
    assert len(found) == 1
    before = {
        "start": (began - timedelta(days=2)).isoformat(),
        "end": (began - timedelta(days=1)).isoformat(),
        "region": "",
        "limit": 100,
        "service": "securityhub",
    }
    result = perform(CatchUpFindingsOperator(task_id="catch_up_findings"), params=before)
    assert [r["sent"] for r in result.values()] == [0], "what was not changed in the time is not fetched"
