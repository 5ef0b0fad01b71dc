"""From the target as it is back to how it was."""

from __future__ import annotations

from typing import Any

from forensics.containment.release_plan import differences, release_calls, release_digest, unapproved_calls
from forensics.models.containment import ReleasePlan
from forensics.models.target_facts import InstanceFacts
from tests.unit.builders import CASE_ID, NOW
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


def test_a_state_in_passing_is_the_one_in_which_it_ends() -> None:
    """EC2 user guide, "Amazon EC2 instance state changes"; a target isolated while it started could never be released completely."""
    group = everything().scaling
    assert group is not None
    starting = everything(state="pending", scaling=group.model_copy(update={"lifecycle": "Pending:Wait"}))
    assert differences(starting, facts=everything(state="running")) == []
    assert differences(everything(state="stopping"), facts=everything(state="stopped")) == []
    assert differences(starting, facts=everything(state="stopped")) == ["state: was 'running', is 'stopped'"]


def test_a_target_that_is_protected_only_on_its_way_back_is_not_protected_afterwards() -> None:
    """Found by `make test-containment`: protection whose first call failed was given for the return into the group, and stayed."""
    group = everything().scaling
    assert group is not None
    standby = everything(scaling=group.model_copy(update={"lifecycle": "Standby", "protected": False}))
    found = [
        c.params["ProtectedFromScaleIn"]
        for c in release_calls(everything(), facts=standby, case_id=CASE_ID)
        if c.operation == "set_instance_protection"
    ]
    assert found == [True, False]


def test_protections_come_off_last() -> None:
    contained = everything(
        termination_protected=True, interfaces=(eni(0, group_ids=("sg-q",)), eni(1)), state="running"
    )
    operations = [str(c) for c in release_calls(everything(), facts=contained, case_id=CASE_ID)]
    assert operations[-1] == "ec2.modify_instance_attribute"
    assert operations.index("ec2.modify_network_interface_attribute") < operations.index(
        "ec2.modify_instance_attribute"
    )


def test_the_tag_of_this_case_goes_last_and_one_of_another_case_stays() -> None:
    marked = (eni(0, contained=CASE_ID), eni(1, contained="fc-20261124-ffffffffff"))
    facts = everything(interfaces=marked, contained=CASE_ID, termination_protected=True)
    *_, last = release_calls(everything(), facts=facts, case_id=CASE_ID)
    assert last.operation == "delete_tags"
    assert last.params == {
        "Resources": [facts.instance_id, "eni-0"],
        "Tags": [{"Key": "forensics:contained", "Value": CASE_ID}],
    }


def contained(**changes: Any) -> InstanceFacts:
    """A target that containment has changed."""
    return everything(termination_protected=True, interfaces=(eni(0, group_ids=("sg-q",)), eni(1)), **changes)


def test_a_call_of_another_kind_than_those_approved_is_found() -> None:
    calls_then = release_calls(everything(), facts=contained(), case_id=CASE_ID)
    approved = ReleasePlan(calls=tuple(calls_then), digest="d", requester="alice", made_at=NOW)
    assert unapproved_calls(calls_then, approved=approved) == []
    more = release_calls(everything(), facts=contained(role_policies=(f"forensics-deny-{CASE_ID}",)), case_id=CASE_ID)
    assert unapproved_calls(more, approved=approved) == ["iam.delete_role_policy"]


def test_an_approval_is_bound_to_the_calls_and_their_order() -> None:
    found = release_calls(everything(), facts=contained(), case_id=CASE_ID)
    assert len(found) > 1
    assert release_digest(found) == release_digest(list(found)) != release_digest(found[::-1])


def test_a_full_group_is_raised_while_its_instance_comes_back() -> None:
    scaling = everything().scaling
    assert scaling is not None
    full = everything(scaling=scaling.model_copy(update={"maximum": 1}))
    left = everything(scaling=scaling.model_copy(update={"maximum": 1, "lifecycle": "Detached"}))
    found = [(c.operation, c.params.get("MaxSize")) for c in release_calls(full, facts=left, case_id=CASE_ID)]
    assert found[:2] == [("update_auto_scaling_group", 2), ("attach_instances", None)]
    assert ("set_desired_capacity", None) in found and ("update_auto_scaling_group", 1) in found


def test_facts_that_aws_renews_are_no_difference() -> None:
    profile = everything().profile
    assert profile is not None
    renewed = everything(profile=profile.model_copy(update={"association_id": "iip-2"}), unknown=("x",))
    assert differences(everything(), facts=renewed) == []
