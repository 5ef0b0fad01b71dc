"""On a clean server the quick profile says nothing critical or high, and at most ten medium findings."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.toolkit.examined import NO_TOOLS, ROOT, SOURCES, TOOLS

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
MODELS = ("web", "docker", "ci")


@pytest.fixture(scope="module")
def examined() -> dict[str, Any]:
    """results.json of each model."""
    done = subprocess.run(
        [str(TOOLS), "-m", "tests.toolkit.clean_servers"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{SOURCES}:{ROOT}", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("model", MODELS)
def test_a_clean_server_is_quiet(examined: dict[str, Any], model: str) -> None:
    findings = examined[model]["findings"]
    grave = [
        (item["severity"], item["title"], item["detail"])
        for item in findings
        if item["severity"] in ("critical", "high")
    ]
    assert grave == []
    medium = [item["title"] for item in findings if item["severity"] == "medium"]
    assert len(medium) <= 10, medium
    assert not [gap for gap in examined[model]["gaps"] if gap["what"].startswith("rule ")]


@pytest.mark.parametrize("model", MODELS)
def test_repeated_hits_are_folded_with_their_number_and_times(examined: dict[str, Any], model: str) -> None:
    shells = [item for item in examined[model]["findings"] if item["title"].startswith("Root shell")]
    assert [(item["count"], item["first"][:10], item["last"][:10]) for item in shells] == [
        (20, "2026-11-01", "2026-11-20")
    ]
    assert len(examined[model]["findings"]) < 60
