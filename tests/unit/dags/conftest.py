"""The DAG files, loaded as Airflow's DAG processor loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).resolve().parents[3] / "dags"


@pytest.fixture(scope="session")
def bag() -> Any:
    """The DAG bag."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=DAGS, load_op_links=False)
