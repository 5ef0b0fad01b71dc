"""The step puts what it has counted, all of it, to the product's namespace."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.aws.case_store import CaseStore
from forensics.aws.cloudwatch import Metrics
from forensics.preflight import operations_operators
from forensics.preflight.operations_operators import MeasureOperationsOperator
from tests.unit.builders import case, finding
from tests.unit.preflight.conftest import FakeHook
from tests.unit.preflight.test_record import Answering, Numbers


def test_what_is_counted_is_put(
    hook: FakeHook, answering: Answering, store: CaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.open_case(case(), finding=finding())
    numbers = Numbers()
    answering(CaseStore, store)
    answering(Metrics, numbers)
    monkeypatch.setattr(operations_operators, "ForensicsHook", lambda: hook)
    context: Any = {}
    found = MeasureOperationsOperator(task_id="measure_operations").execute(context)
    assert numbers.sent == found and found["OpenCases"] == 1
