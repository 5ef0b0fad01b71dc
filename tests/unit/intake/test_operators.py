"""A run that is started with a case's id works that case's instance and no other one."""

from __future__ import annotations

import pytest

from forensics.errors import InvalidCaseError
from forensics.intake.operators import _same_place
from tests.unit.builders import ACCOUNT, INSTANCE, REGION, case

PLACE = {"account_id": ACCOUNT, "region": REGION, "instance_id": INSTANCE}


@pytest.mark.parametrize("params", [PLACE, {}, {"account_id": "", "region": "", "instance_id": ""}])
def test_the_cases_own_place_or_none_is_accepted(params: dict[str, str]) -> None:
    _same_place(case(), params)


@pytest.mark.parametrize(
    ("name", "value"), [("account_id", "111122223333"), ("region", "us-east-1"), ("instance_id", "i-0ffffffffffffffff")]
)
def test_another_place_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidCaseError, match=f"{name} .*not {value}"):
        _same_place(case(), {**PLACE, name: value})
