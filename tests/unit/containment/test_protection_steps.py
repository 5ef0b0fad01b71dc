"""What keeps the evidence: protections, Auto Scaling, load balancers."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.models.containment import Stage
from tests.unit.builders import CASE_ID
from tests.unit.containment.targets import everything, planned


def test_a_spot_instance_is_not_asked_for_what_ec2_refuses() -> None:
    plan = planned(everything(spot=True))
    assert not {"protect.DisableApiTermination", "protect.DisableApiStop", "protect.shutdown"} & {
        s.id for s in plan.steps
    }
    assert any("Spot" in r for r in plan.residuals)


@pytest.mark.parametrize(
    ("changes", "operation"),
    [
        ({}, "enter_standby"),
        ({"maximum": 1}, "detach_instances"),
        ({"lifecycle": "Warmed:Running"}, "detach_instances"),
        ({"lifecycle": "Standby"}, None),
        ({"lifecycle": "Detached"}, None),
    ],
)
def test_how_it_leaves_its_group(changes: dict[str, Any], operation: str | None) -> None:
    target = everything()
    assert target.scaling is not None
    plan = planned(target.model_copy(update={"scaling": target.scaling.model_copy(update=changes)}))
    left = [s.call for s in plan.steps if s.id == "scaling.leave"]
    assert [c.operation for c in left] == ([operation] if operation else [])
    assert all(c.params["ShouldDecrementDesiredCapacity"] is False for c in left)


def test_everything_that_would_end_the_evidence_is_switched_off() -> None:
    steps = {s.id: s.call for s in planned(everything()).steps if s.stage is Stage.PROTECT}
    assert list(steps) == [
        "protect.mark", "protect.DisableApiTermination", "protect.DisableApiStop", "protect.shutdown", "protect.volumes",
        "protect.interface.eni-0", "protect.recovery",
    ]  # fmt: skip
    assert steps["protect.shutdown"].params["InstanceInitiatedShutdownBehavior"] == {"Value": "stop"}
    assert steps["protect.recovery"].params["AutoRecovery"] == "disabled"


def test_what_is_protected_already_is_left_alone() -> None:
    target = everything(
        termination_protected=True, stop_protected=True, shutdown_behavior="stop", auto_recovery="disabled"
    )
    found = {s.id for s in planned(target).steps if s.stage is Stage.PROTECT}
    assert found == {"protect.mark", "protect.volumes", "protect.interface.eni-0"}


def test_instance_and_interfaces_are_marked_for_the_service_control_policies_and_only_once() -> None:
    target = everything()
    (call,) = [s.call for s in planned(target).steps if s.id == "protect.mark"]
    tags = [{"Key": "forensics:contained", "Value": CASE_ID}]
    ids = [target.instance_id, *(i.id for i in target.interfaces)]
    assert (call.operation, call.params) == ("create_tags", {"Resources": ids, "Tags": tags})
    marked = tuple(i.model_copy(update={"contained": CASE_ID}) for i in target.interfaces)
    known = target.model_copy(update={"contained": CASE_ID, "interfaces": marked})
    assert "protect.mark" not in {s.id for s in planned(known).steps}
    other = known.model_copy(update={"contained": "fc-20261124-ffffffffff"})
    (call,) = [s.call for s in planned(other).steps if s.id == "protect.mark"]
    assert call.params["Resources"] == [target.instance_id], "an earlier case's tag is replaced"


def test_scale_in_protection_comes_before_the_group_is_left() -> None:
    ids = [s.id for s in planned(everything()).steps]
    assert ids.index("scaling.protect") < ids.index("scaling.leave")
