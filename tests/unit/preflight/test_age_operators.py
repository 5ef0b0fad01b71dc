"""The step puts what was measured before it fails for what was not."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.cloudwatch import Metrics
from forensics.preflight import age_operators
from forensics.preflight.age_operators import MeasureAgesOperator
from forensics.preflight.ages import Ages
from tests.unit.preflight.conftest import FakeHook
from tests.unit.preflight.test_record import Answering, Numbers


@pytest.mark.parametrize("problems", [[], ["the AMI: denied"]])
def test_what_is_measured_is_put(
    hook: FakeHook, answering: Answering, monkeypatch: pytest.MonkeyPatch, problems: list[str]
) -> None:
    numbers = Numbers()
    answering(Metrics, numbers)
    monkeypatch.setattr(age_operators, "ForensicsHook", lambda: hook)
    monkeypatch.setattr(age_operators, "measure", lambda *_, **__: Ages({"AmiDays": 3.0}, ["made"], problems))
    context: Any = {}
    step = MeasureAgesOperator(task_id="measure_ages")
    if problems:
        with pytest.raises(AirflowFailException, match="the AMI: denied"):
            step.execute(context)
    else:
        assert step.execute(context) == {"AmiDays": 3.0}
    assert numbers.sent == {"AmiDays": 3.0}
