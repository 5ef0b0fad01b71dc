"""The app in Airflow's API server: built by its first request."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from forensics.web.access import refuse_everyone
from forensics.web.app import create_app
from forensics.web.mount import LazyApp
from forensics.web.reader import StoreReader


def test_the_app_is_built_once_by_the_first_request() -> None:
    made: list[int] = []

    def make() -> Any:
        made.append(1)
        return create_app(StoreReader(), authorize=refuse_everyone)

    client = TestClient(LazyApp(make))
    assert made == []
    assert [client.get("/").status_code for _ in range(2)] == [503, 503]
    assert made == [1]
