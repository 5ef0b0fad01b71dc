"""What a person is told to do fits what is open."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.case.containment_advice import END_CREDENTIALS, FINISH, ISOLATE, SEAL, next_action
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome

CLOSED = (ContainmentState.NEW_FLOWS_BLOCKED, ContainmentState.ALL_FLOWS_VERIFIED)


def result(state: ContainmentState, **changes: Any) -> ContainmentResult:
    """A result that is not complete."""
    return ContainmentResult(outcome=Outcome.PARTIAL, state=state, **changes)


@pytest.mark.parametrize("state", sorted(set(ContainmentState) - set(CLOSED)))
def test_an_open_network_is_isolated_manually_whatever_else_is_open(state: ContainmentState) -> None:
    assert next_action(result(state)) == ISOLATE
    assert next_action(result(state, credentials_open=("role app",), unsealed="no KMS")) == ISOLATE


@pytest.mark.parametrize("state", CLOSED)
@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"credentials_open": ("role app",)}, END_CREDENTIALS),
        ({"credentials_open": ("role app",), "unsealed": "no KMS", "reason": "both"}, END_CREDENTIALS),
        ({"unsealed": "no KMS", "reason": "no KMS"}, SEAL),
        ({"unsealed": "no KMS", "reason": "protect is open; no KMS"}, FINISH),
        ({"reason": "protect is open"}, FINISH),
    ],
    ids=["credentials", "credentials and seal", "seal", "protection and seal", "protection"],
)
def test_a_closed_network_is_left_as_it_is(state: ContainmentState, changes: dict[str, Any], action: str) -> None:
    said = next_action(result(state, **changes))
    assert said == action
    assert "manually" not in said and said.startswith("leave the")
    assert "clear containment.isolate_target" in said
