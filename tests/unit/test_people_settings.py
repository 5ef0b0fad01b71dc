"""The settings about people are a part of the one list of settings."""

from __future__ import annotations

from forensics.people_settings import PeopleSettings
from forensics.settings import Settings


def test_every_one_of_them_is_a_setting_with_a_default() -> None:
    assert set(PeopleSettings.model_fields) <= set(Settings.model_fields)
    assert not [name for name, field in PeopleSettings.model_fields.items() if field.is_required()]
