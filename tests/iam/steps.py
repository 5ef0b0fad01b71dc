"""What a step of the product is here, and what all parts of the story need: cases, targets, disks, keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskAwaitingInput

from forensics.containment.release_operators import RELEASE
from forensics.intake.operators import OpenCaseOperator
from lab.accounts import REGION
from tests.containment.steps import answer, context, plan_release
from tests.containment.world import Made, World
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform


class StepFailed(Exception):
    """A step ended without what it is for."""


@dataclass(frozen=True)
class Step:
    """One step. ``prepare`` is done once before, ``renew`` before each try: what a step does halfway stays done."""

    name: str
    run: Callable[[], Any]
    prepare: Callable[[], None] = lambda: None
    renew: Callable[[], None] = lambda: None


@dataclass
class Cases:
    """What is known of the cases so far."""

    lab: SmallLab
    world: World
    folder: Path
    cases: dict[str, str] = field(default_factory=dict)
    targets: dict[str, Made] = field(default_factory=dict)
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifact: str = ""
    presses: dict[str, str] = field(default_factory=dict)
    snapshot: str = ""
    ecs_task: str = ""

    def _on(self, case: str, name: str, kind: type[BaseOperator]) -> Callable[[], Any]:
        return lambda: perform(kind(task_id=name), case_id=self.cases[case])

    def _balance(self, name: str) -> None:
        """Register the target with a load balancer of the first generation."""
        classic, instance = self.world.clients["elb"], self.targets[name].instance_id
        listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}
        label = f"lb-{instance[-12:]}"
        classic.create_load_balancer(LoadBalancerName=label, Listeners=[listener], AvailabilityZones=[f"{REGION}a"])
        classic.register_instances_with_load_balancer(LoadBalancerName=label, Instances=[{"InstanceId": instance}])

    def _encrypted_disks(self, made: Made) -> None:
        """Disks under EBS's own key, a key of the account, and one of another account."""
        foreign = self._key("security", for_account="member")
        kinds = ({}, {"KmsKeyId": self._key("member")}, {"KmsKeyId": foreign})
        for device, more in zip("fgh", kinds, strict=True):
            self._add_volume(made.instance_id, f"/dev/sd{device}", **more)

    def _key(self, account: str, *, for_account: str = "") -> str:
        kms, accounts = self.lab.client("kms", account), self.lab.facts["accounts"]
        users = [accounts[a] for a in (account, for_account) if a]
        allowed = [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{u}:root"}, "Action": "kms:*", "Resource": "*"}
            for u in users
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        return str(kms.create_key(Policy=policy)["KeyMetadata"]["Arn"])

    def _add_volume(self, instance: str, device: str, **more: str) -> None:
        ec2 = self.world.ec2
        # a volume is attached to nothing that is still starting
        ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        volume = ec2.create_volume(
            AvailabilityZone=described["Placement"]["AvailabilityZone"], Size=1, VolumeType="gp3", Encrypted=True, **more
        )["VolumeId"]  # fmt: skip
        ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)

    def _opening(self, name: str, *, actions: str = "disk+isolate") -> Callable[[], None]:
        def open_case() -> None:
            target = self.targets[name].instance_id
            given = {
                "account_id": self.lab.facts["accounts"]["member"], "region": REGION, "instance_id": target,
                "actions": actions, "reason": "least privilege", "requester": "alice",
            }  # fmt: skip
            self.cases[name] = perform(OpenCaseOperator(task_id="open_case"), params=given, run_id=f"manual__{target}")

        return open_case

    def _plan_release(self, name: str) -> Callable[[], None]:
        def plan() -> None:
            step = plan_release(self.cases[name], reason="false alarm", requester="alice")
            try:
                step.execute(context(step))
            except TaskAwaitingInput:
                step.execute_complete(context(step), answer(RELEASE))
                return
            msg = "the release did not ask for approval"
            raise StepFailed(msg)

        return plan
