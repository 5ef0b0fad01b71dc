"""Only a confirmed finding supports an isolation."""

from __future__ import annotations

import pytest

from forensics.models.verification import Standing, Verification
from tests.unit.builders import NOW


@pytest.mark.parametrize("standing", Standing)
def test_only_confirmed_is_confirmed(standing: Standing) -> None:
    answer = Verification(finding_key="k", standing=standing, reason="x", at=NOW)
    assert answer.confirmed is (standing.value == "confirmed")
