"""The reaper's step: green with what was removed, red when something could not be removed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.investigation import reaper_operators
from forensics.investigation.reaper_operators import ReapOrphansOperator
from forensics.models.orphans import Orphan
from tests.unit.accounts import HookInMemory, settings


def reap(monkeypatch: pytest.MonkeyPatch, *failed: str) -> list[dict[str, str]]:
    hook = HookInMemory(settings(orphan_after_hours=5))

    class Removal:
        def __init__(self, store: Any, notifier: Any, *, session_of: Any, limit: timedelta) -> None:
            assert limit == timedelta(hours=5)
            assert session_of("fc-20261124-0123456789").case_id == "fc-20261124-0123456789"

        def run(self, now: datetime) -> tuple[list[Orphan], list[str]]:
            assert now.tzinfo is not None
            return [Orphan(id="i-1", kind="instance", case_id="fc-1", reason="old")], list(failed)

    monkeypatch.setattr(reaper_operators, "ForensicsHook", lambda: hook)
    monkeypatch.setattr(reaper_operators, "OrphanRemoval", Removal)
    return ReapOrphansOperator(task_id="reap_orphans").execute({})  # type: ignore[typeddict-item]


def test_what_was_removed_is_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reap(monkeypatch) == [{"id": "i-1", "kind": "instance", "case_id": "fc-1", "reason": "old"}]


def test_what_could_not_be_removed_fails_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AirflowFailException, match=r"2 orphans could not be removed: a; b\. What to do next"):
        reap(monkeypatch, "a", "b")
