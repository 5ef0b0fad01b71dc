"""From the target as it is back to how it was."""

from __future__ import annotations

from forensics.containment.release_plan import differences, release_calls
from tests.unit.builders import CASE_ID
from tests.unit.containment.targets import eni, everything


def test_nothing_is_released_where_nothing_differs() -> None:
    assert release_calls(everything(), facts=everything(), case_id=CASE_ID) == []
    assert differences(everything(), facts=everything()) == []


def test_a_difference_is_named_by_its_field() -> None:
    changed = everything(stop_protected=True, interfaces=(eni(0, group_ids=("sg-x",)), eni(1)))
    found = differences(everything(), facts=changed)
    assert "stop_protected: was False, is True" in found
    assert any(d.startswith("interfaces.eni-0.group_ids") for d in found)
    assert any(d.startswith("interfaces.eni-0.addresses") for d in found)


def test_protections_come_off_last() -> None:
    contained = everything(
        termination_protected=True, interfaces=(eni(0, group_ids=("sg-q",)), eni(1)), state="running"
    )
    operations = [str(c) for c in release_calls(everything(), facts=contained, case_id=CASE_ID)]
    assert operations[-1] == "ec2.modify_instance_attribute"
    assert operations.index("ec2.modify_network_interface_attribute") < operations.index(
        "ec2.modify_instance_attribute"
    )
