"""Contains and releases a target as the product does, without Airflow and case store."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.containment_state import assess
from forensics.containment.plan import make_plan
from forensics.containment.plan_runner import PlanRunner
from forensics.containment.policy import ContainmentPolicy
from forensics.containment.quarantine_groups import CaseGroups
from forensics.containment.release_plan import release_calls
from forensics.models.containment import ContainmentPlan, ContainmentState, ContainmentStep
from forensics.models.target_facts import InstanceFacts
from tests.containment.world import DENY_PROFILE, Made, World

CASE_ID = "fc-20261124-0123456789"
POLICY = ContainmentPolicy(deny_profile=DENY_PROFILE)


@dataclass
class Driver:
    """One target on its way through containment and release."""

    gateway: ContainmentGateway
    instance_id: str
    token: str
    original: InstanceFacts
    policy: ContainmentPolicy = POLICY

    @classmethod
    def start(cls, gateway: ContainmentGateway, instance_id: str, *, policy: ContainmentPolicy = POLICY) -> Driver:
        """Read the target before anything is changed."""
        token = secrets.token_hex(6)
        facts = gateway.facts.read(
            instance_id, case_id=CASE_ID, token=token, deny_profile=policy.deny_profile, endpoints=policy.contain_first
        )
        return cls(gateway, instance_id, token, facts, policy)

    def facts(self) -> InstanceFacts:
        """The target as it is now."""
        return self.gateway.facts.read(
            self.instance_id,
            case_id=CASE_ID,
            token=self.token,
            deny_profile=self.policy.deny_profile,
            original=self.original,
            endpoints=self.policy.contain_first,
        )

    def plan(self, facts: InstanceFacts | None = None) -> ContainmentPlan:
        """What is still to be done."""
        now = datetime(2026, 11, 24, tzinfo=UTC)
        return make_plan(
            facts or self.facts(),
            original=self.original,
            case_id=CASE_ID,
            token=self.token,
            policy=self.policy,
            now=now,
        )

    def contain(self) -> list[ContainmentStep]:
        """One try."""
        facts = self.facts()
        return PlanRunner(self.gateway, self.plan(facts), facts=facts).run()

    def state(self) -> tuple[ContainmentState, list[str]]:
        """The product's verdict: the network, and what a plan made now would still change."""
        facts = self.facts()
        ids = CaseGroups(CASE_ID, self.token).quarantine_by_vpc(facts)
        rules = {g: self.gateway.facts.facts.rule_count(g) for g in ids.values()}
        state, problems = assess(facts, groups=ids, rules=rules)
        return state, [*problems, *[s.id for s in self.plan(facts).steps], *facts.unknown]

    def release(self) -> int:
        """Bring the target back; returns the number of calls."""
        calls = release_calls(self.original, facts=self.facts(), case_id=CASE_ID)
        for call in calls:
            self.gateway.perform(call, ids={})
        return len(calls)


def verify_contained(world: World, made: Made, *, before: dict[str, Any]) -> list[str]:
    """A verifier of its own on raw answers: what is still open on the target; empty when it is contained."""
    now = world.everything(made)
    open_ = []
    rules = {g["GroupId"]: (g["IpPermissions"], g["IpPermissionsEgress"]) for g in now["groups"]}
    for eni in now["interfaces"]:
        ids = [g["GroupId"] for g in eni["Groups"]]
        if len(ids) != 1 or rules[ids[0]] != ([], []):
            open_.append(f"{eni['NetworkInterfaceId']} is in {ids} with rules {[rules[i] for i in ids]}")
        if eni["Attachment"]["DeleteOnTermination"]:
            open_.append(f"{eni['NetworkInterfaceId']} goes with the instance")
    if len(now["interfaces"]) != len(before["interfaces"]):
        open_.append("the number of interfaces changed")
    open_ += [f"address {a['PublicIp']}" for a in now.get("addresses", []) if a.get("NetworkInterfaceId")]
    if not (
        now["disableApiTermination"]["DisableApiTermination"]["Value"]
        and now["disableApiStop"]["DisableApiStop"]["Value"]
    ):
        open_.append("it can be terminated or stopped")
    if now["instanceInitiatedShutdownBehavior"]["InstanceInitiatedShutdownBehavior"]["Value"] != "stop":
        open_.append("a shutdown terminates it")
    mappings = now["instance"]["BlockDeviceMappings"]
    open_ += [f"volume {m['DeviceName']} goes with it" for m in mappings if m["Ebs"]["DeleteOnTermination"]]
    if now["instance"]["MetadataOptions"]["HttpEndpoint"] != "disabled":
        open_.append("the metadata service answers")
    names = [p["IamInstanceProfile"]["Arn"].rsplit("/", 1)[-1] for p in now["profiles"]]
    if made.role and names not in ([DENY_PROFILE], []):
        open_.append(f"profile {names}")
    if made.role and not any(n.startswith("forensics-deny-") for n in now["policies"]):
        open_.append("credentials of the role are alive")
    if made.scaling_group and any(m["LifecycleState"] not in ("Standby",) for m in now["member"]):
        open_.append(f"Auto Scaling can end it: {now['member']}")
    if made.cell.running and made.target_group:
        open_ += ["registered with a target group" for t in now["targets"] if t["Id"] == made.instance_id]
    return open_
