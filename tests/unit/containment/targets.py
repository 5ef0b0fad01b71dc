"""Targets of containment, for tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from forensics.containment.plan import make_plan
from forensics.containment.policy import ContainmentPolicy
from forensics.models.approval import Approval
from forensics.models.containment import ContainmentPlan
from forensics.models.target_facts import (
    AddressFacts,
    InstanceFacts,
    InterfaceFacts,
    MembershipFacts,
    MetadataFacts,
    ProfileFacts,
    ScalingFacts,
    VolumeFacts,
)
from forensics.settings import Settings
from tests.conftest import ENVIRONMENT
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, NOW, REGION

TOKEN = "0" * 12


def eni(number: int = 0, **changes: Any) -> InterfaceFacts:
    """An interface with one ordinary group."""
    values: dict[str, Any] = {
        "id": f"eni-{number}", "device_index": number, "vpc_id": "vpc-1", "subnet_id": "subnet-1",
        "group_ids": ("sg-app",), "attachment_id": f"eni-attach-{number}",
    }  # fmt: skip
    return InterfaceFacts(**{**values, **changes})


def facts(**changes: Any) -> InstanceFacts:
    """A running instance with one interface."""
    values: dict[str, Any] = {
        "account_id": ACCOUNT, "region": REGION, "instance_id": INSTANCE, "state": "running",
        "interfaces": (eni(),), "termination_protected": False, "stop_protected": False,
        "shutdown_behavior": "terminate", "read_at": NOW,
    }  # fmt: skip
    return InstanceFacts(**{**values, **changes})


GROUP = "arn:aws:elasticloadbalancing:eu-central-1:333344445555:targetgroup/web/1"


def everything(**changes: Any) -> InstanceFacts:
    """A target that has everything that containment changes."""
    address = AddressFacts(
        allocation_id="eipalloc-1", association_id="eipassoc-1", public_ip="198.51.100.7", private_ip="10.0.0.4"
    )
    values: dict[str, Any] = {
        "interfaces": (eni(0, addresses=(address,), delete_on_termination=True), eni(1)),
        "volumes": (VolumeFacts(device="/dev/xvda", volume_id="vol-1", delete_on_termination=True),),
        "metadata": MetadataFacts(endpoint="enabled", tokens="optional"),
        "profile": ProfileFacts(association_id="iip-1", name="app", arn="arn", role="app"),
        "scaling": ScalingFacts(group="web", lifecycle="InService", protected=False, desired=1, minimum=1, maximum=2),
        "memberships": (MembershipFacts(kind="elbv2", balancer=GROUP, target_id="i-0123456789abcdef0", port=80),),
        "auto_recovery": "default",
        "deny_profile_exists": True,
    }
    return facts(**{**values, **changes})


def planned(target: InstanceFacts, *, original: InstanceFacts | None = None, **policy: Any) -> ContainmentPlan:
    """The plan for a target."""
    rules = ContainmentPolicy(**{"deny_profile": "forensics-isolated", **policy})
    return make_plan(target, original=original or target, case_id=CASE_ID, token=TOKEN, policy=rules, now=NOW)


def settings(**changes: Any) -> Settings:
    """The deployment's settings, with a deny-all profile."""
    given = {name.removeprefix("AIRFLOW__FORENSICS__").lower(): value for name, value in ENVIRONMENT.items()}
    return Settings.model_validate({**given, "containment_profile": "forensics-isolated", **changes})


def granted(digest: str, **changes: Any) -> Approval:
    """An approval that counts, in run ``run-1``."""
    given = {"granted": True, "by": "bob", "at": NOW, "reason": "approved by bob", "run_id": "run-1"}
    return Approval(digest=digest, **{**given, "expires_at": NOW + timedelta(days=3650), **changes})
