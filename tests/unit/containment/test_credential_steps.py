"""How credentials end."""

from __future__ import annotations

from tests.unit.containment.targets import everything, planned


def test_without_a_deny_all_profile_the_profile_is_taken_off() -> None:
    (step,) = [s for s in planned(everything(deny_profile_exists=False)).steps if s.id == "credentials.profile"]
    assert step.call.operation == "disassociate_iam_instance_profile"
