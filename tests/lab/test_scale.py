"""The measurements of docs/capacity.md, small: they count what they say, and fail when they should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from moto import mock_aws

from lab.scenarios import scale

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_scans_and_nothing_grows_with_ended_cases() -> None:
    results = []
    for count in (30, 90):
        with mock_aws():
            results.append(scale.measure(count))
    assert scale.problems(*results) == []
    found = {cost.what: cost.found for cost in results[1]}
    assert found["board, first reading"] == 90 and found["watchdog: the open cases"] == scale.OPEN
    assert found["one case with 500 entries"] == scale.ENTRIES + 1 and found["a page of 50 cases"] == 50
    grown = [replace(cost, requests=cost.requests + 1) for cost in results[1]]
    assert len(scale.problems(results[0], grown)) == len(grown) - len(scale.GROWS)
    assert "scans the table" in scale.problems(results[0], [replace(results[1][0], scans=1), *results[1][1:]])[0]


@pytest.mark.slow
def test_waits_look_together() -> None:
    """Forty waits of a case each: a request a look, not forty; and none of them assumes a role again."""
    program = [sys.executable, "-m", "lab.scenarios.waiting", "--waits", "40", "--seconds", "6", "--settle", "6"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    cost = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert 0 < cost["requests_per_second"] < 2 and cost["roles_per_second"] == 0
