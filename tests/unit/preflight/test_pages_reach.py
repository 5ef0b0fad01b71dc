"""The web server tries its own way, and leaves what it found for the preflight."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.aws.reach import Answer, ReachGateway
from forensics.models.preflight import CheckStatus
from forensics.preflight.pages_reach import reach_of_pages, record_pages
from tests.unit.preflight.conftest import FakeHook, Items


def test_it_tries_what_the_pages_work_with(hook: FakeHook, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answers(ReachGateway):
        def __init__(self) -> None:
            """No session."""

        def ask(self, service: str, operation: str, params: Any) -> Answer:
            return Answer()

    monkeypatch.setattr(ReachGateway, "of", lambda _: Answers())
    found = reach_of_pages(hook)  # type: ignore[arg-type]
    assert [r.subject.split()[0] for r in found.results] == ["dynamodb", "s3", "sqs", "sts"]
    assert {r.status for r in found.results} == {CheckStatus.OK}
    items = Items()
    record_pages(items, found)  # type: ignore[arg-type]
    assert items.held["PAGES"] == found
