"""The settings about people are a part of the one list of settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from forensics.people_settings import PeopleSettings
from forensics.settings import Settings


def test_every_one_of_them_is_a_setting_with_a_default() -> None:
    assert set(PeopleSettings.model_fields) <= set(Settings.model_fields)
    assert not [name for name, field in PeopleSettings.model_fields.items() if field.is_required()]


@pytest.mark.parametrize("model", ["eu.amazon.nova-pro-v1:0", "global.amazon.nova-2-lite-v1:0", "us-gov.x.y"])
def test_a_model_that_would_take_findings_out_of_the_region_is_refused(model: str) -> None:
    assert PeopleSettings(summary_model="amazon.nova-pro-v1:0").summary_model
    with pytest.raises(ValidationError, match="out of the Region"):
        PeopleSettings(summary_model=model)
