"""The line of an event data store: there when a setting names one, broken when it takes no calls in or lets nobody in."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from forensics.aws.cloudtrail_lake import DataStore, LakeGateway
from forensics.errors import AccessDeniedError
from forensics.models.preflight import CheckStatus
from forensics.preflight.lake_check import LakeCheck
from forensics.preflight.plan import quick_checks
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import FakeHook, settings_with

STORE = "arn:aws:cloudtrail:eu-central-1:111122223333:eventdatastore/01234567-89ab-cdef-0123-456789abcdef"


def scope(members: str = "", **given: str) -> PreflightScope:
    return PreflightScope(FakeHook(settings_with(member_accounts=members, **given)), run="r")  # type: ignore[arg-type]


def test_each_store_of_the_setting_has_a_line_unless_lake_is_off() -> None:
    lines = [c.subject for c in quick_checks(scope(record_data_stores=STORE)) if isinstance(c, LakeCheck)]
    assert lines == [STORE]
    off = quick_checks(scope(record_data_stores=STORE, record_lake_gib="0"))
    assert not [c for c in off if isinstance(c, LakeCheck)]


def test_a_store_that_takes_calls_in_and_those_that_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # the gateway's own answers are in tests/integration/test_cloud_lake.py
    gateway = create_autospec(LakeGateway, instance=True)
    monkeypatch.setattr(LakeGateway, "of", lambda *_, **__: gateway)
    known = DataStore(STORE, "ENABLED", True, frozenset({"Data", "Management"}), None, 366)
    gateway.store.return_value = known
    check = LakeCheck(scope("333344445555"), STORE)
    assert (found := check.run()).status is CheckStatus.OK and "Data, Management events of all Regions" in found.detail
    gateway.store.return_value = DataStore(STORE, "STOPPED_INGESTION", True, known.categories, None, 366)
    assert (found := check.run()).status is CheckStatus.BROKEN and "takes no events in" in found.detail
    assert "record_data_stores" in found.next_action
    gateway.store.side_effect = AccessDeniedError("describe the store: denied", next_action="let the role in")
    assert (found := check.run()).status is CheckStatus.BROKEN and found.next_action
    assert LakeCheck(scope(), STORE).run().status is CheckStatus.NOT_TRIED
