"""Plans as people read them."""

from __future__ import annotations

from forensics.containment.manual_steps import manual_steps
from forensics.containment.plan_text import plan_lines
from tests.unit.builders import CASE_ID
from tests.unit.containment.targets import GROUP, everything, facts, planned


def test_who_else_is_affected_is_said() -> None:
    steps = {s.id: s.side_effects for s in planned(everything()).steps}
    assert "replacement" in steps["scaling.leave"][0]
    assert "NO other target stays" in steps[f"balancer.{GROUP}.i-0123456789abcdef0.80"][0]
    assert "198.51.100.7" in steps["address.198.51.100.7.eni-0"][0]
    text = "\n".join(plan_lines(planned(everything(), approval=("production",))))
    assert "production" in text and "Also affected" in text and "autoscaling.enter_standby" in text


def test_the_plan_of_an_eks_node_shows_what_is_left_to_a_person() -> None:
    node = facts(eks_cluster="shop")
    plan = planned(node)
    assert [s.id for s in plan.manual_steps] == [s.id for s in manual_steps(node, case_id=CASE_ID)]
    text = "\n".join(plan_lines(plan))
    assert "Manual steps" in text and "never drain it" in text
