"""Runs that pages asked Airflow for: the DAG and the body. (A module of its own: pytest imports conftest under another name.)"""

from __future__ import annotations

from typing import Any

RUNS: list[tuple[str, dict[str, Any]]] = []
