"""The base of all models: frozen, strict about fields, times always in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from forensics.models.base import CASE_ID_FORM, AccountId, CaseId, InstanceId, Model, Region, Utc, format_utc


class Thing(Model):
    """A model with every kind of field."""

    at: Utc | None = None
    account: AccountId = "333344445555"
    region: Region = "eu-central-1"
    instance: InstanceId = "i-0123456789abcdef0"
    case: CaseId = "fc-20261124-0123456789"


def test_times_are_written_in_utc_with_microseconds() -> None:
    moment = datetime(2026, 11, 24, 9, 0, tzinfo=timezone(timedelta(hours=1)))
    assert format_utc(moment) == "2026-11-24T08:00:00.000000Z"
    made = Thing(at=moment)
    assert made.model_dump(mode="json")["at"] == "2026-11-24T08:00:00.000000Z"
    assert Thing.model_validate_json(made.model_dump_json()).at == datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "values",
    [
        {"at": datetime(2026, 11, 24)},  # noqa: DTZ001 - what is refused
        {"surprise": 1},
        {"account": "33334444555"},
        {"region": "Frankfurt"},
        {"instance": "i-xyz"},
        {"case": "fc-2026-1"},
        {"case": "fc-20261124-0123456789\n"},
    ],
    ids=lambda v: next(iter(v)),
)
def test_what_is_not_of_the_form_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Thing.model_validate(values)


def test_a_value_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Thing().case = "fc-20261124-ffffffffff"


def test_the_form_of_a_case_id_is_one() -> None:
    assert CASE_ID_FORM.fullmatch(Thing().case) and not CASE_ID_FORM.fullmatch(f"{Thing().case}/..")
