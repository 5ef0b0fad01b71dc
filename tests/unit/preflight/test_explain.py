"""Every cause has an action that names where to change something."""

from __future__ import annotations

import pytest

from forensics.aws.denials import Cause
from forensics.errors import ForensicsError
from forensics.preflight.explain import action_for, next_action_for


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_an_action(cause: Cause) -> None:
    assert len(action_for(cause)) > 20


def test_an_error_without_a_cause_keeps_its_own_action() -> None:
    assert next_action_for(ForensicsError("x", next_action="do this")) == "do this"
