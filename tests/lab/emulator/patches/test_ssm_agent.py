"""The Python side of SSM, as the fleet of agents uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("ssm_agent_cases.py")


def test_the_api_for_agents() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", str(CASES)]
    done = subprocess.run(command, cwd=CASES.parents[4], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
