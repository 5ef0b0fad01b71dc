"""What is left to a person on an EKS node."""

from __future__ import annotations

from forensics.containment.manual_steps import LABEL, manual_steps
from tests.unit.builders import CASE_ID, INSTANCE
from tests.unit.containment.targets import facts


def test_of_an_eks_node_the_cluster_side_is_left_to_a_person_step_by_step() -> None:
    steps = manual_steps(facts(eks_cluster="shop"), case_id=CASE_ID)
    assert [s.id for s in steps] == [
        "eks.node", "eks.cordon", "eks.keep", "eks.label", "eks.network", "eks.credentials"
    ]  # fmt: skip
    commands = "\n".join(s.command or "" for s in steps)
    assert "kubectl cordon $NODE" in commands and "kubectl drain" not in commands
    assert INSTANCE in commands and "--name shop" in commands and f"{LABEL}={CASE_ID}" in commands
    assert "do-not-disrupt" in commands and "list-pod-identity-associations" in commands
    assert manual_steps(facts(), case_id=CASE_ID) == ()
