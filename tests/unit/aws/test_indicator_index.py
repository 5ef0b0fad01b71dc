"""The index of indicators, on moto's DynamoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.aws.indicator_index import indicator_pk
from forensics.models.indicators import Indicator, IndicatorKind

if TYPE_CHECKING:
    from forensics.aws.case_store import CaseStore

ADDRESS = Indicator(kind=IndicatorKind.ADDRESS, value="203.0.113.7", where="a finding")


def test_cases_are_found_by_indicator_and_stand_there_once(store: CaseStore) -> None:
    for case_id in ("fc-20261124-0000000002", "fc-20261124-0000000001", "fc-20261124-0000000002"):
        store.indicators.add(case_id, ADDRESS)
    assert store.indicators.cases(ADDRESS, limit=10) == ["fc-20261124-0000000001", "fc-20261124-0000000002"]
    assert len(store.indicators.cases(ADDRESS, limit=1)) == 1
    same_value = ADDRESS.model_copy(update={"kind": IndicatorKind.DOMAIN})
    assert store.indicators.cases(same_value, limit=10) == [], "kinds are apart"


def test_long_values_have_keys_that_fit() -> None:
    long = Indicator(kind=IndicatorKind.FILE_NAME, value="ü" * 300)
    assert len(indicator_pk(long).encode()) < 200 and indicator_pk(long) != indicator_pk(ADDRESS)
