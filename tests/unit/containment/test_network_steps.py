"""Groups per VPC and the two-step change."""

from __future__ import annotations

from forensics.models.containment import Stage
from tests.unit.containment.targets import everything, planned


def test_a_stopped_instance_has_no_flow_to_break_and_stays_in_its_target_group() -> None:
    stages = {s.stage for s in planned(everything(state="stopped")).steps}
    assert not stages & {Stage.OPEN, Stage.CLEANUP, Stage.BALANCERS}
    assert Stage.CLOSE in stages
