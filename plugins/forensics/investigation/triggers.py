"""Waits for the forensic instance and its volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.polling import WaitResult
from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import ScopedTiming, ScopedTrigger
from forensics.errors import ForensicsError, InvestigationError


class ForensicInstanceOnlineTrigger(ScopedTrigger):
    """Fires when the instance is running and its SSM agent is online.

    :param instance_id: the forensic instance
    """

    what = "forensic instance"
    advice = "look at its system log and the AMI, then clear the task"
    error: type[ForensicsError] = InvestigationError

    def __init__(self, *, instance_id: str, **kwargs: Unpack[ScopedTiming]) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id

    def arguments(self) -> Mapping[str, object]:
        return {"scope": self.scope, "instance_id": self.instance_id}

    def waiting_for(self) -> str:
        return f"SSM agent of {self.what} {self.instance_id}"

    def check(self) -> WaitResult | None:
        state = Ec2Gateway.of(self.session).state(self.instance_id)
        if state in {"terminated", "shutting-down", "stopped", "stopping"}:
            msg = f"{self.what} {self.instance_id} is {state} before it was ready"
            raise self.error(msg, next_action=self.advice)
        if state == "running" and SsmGateway.of(self.session).status(self.instance_id).online:
            return WaitResult(ok=True, payload={"instance_id": self.instance_id})
        return None


class InstancesGoneTrigger(ScopedTrigger):
    """Fires when all instances are terminated.

    :param instance_ids: the instances
    """

    def __init__(self, *, instance_ids: list[str], **kwargs: Unpack[ScopedTiming]) -> None:
        super().__init__(**kwargs)
        self.instance_ids = instance_ids

    def arguments(self) -> Mapping[str, object]:
        return {"scope": self.scope, "instance_ids": self.instance_ids}

    def waiting_for(self) -> str:
        return f"instances {', '.join(self.instance_ids)} to be terminated"

    def check(self) -> WaitResult | None:
        ec2 = Ec2Gateway.of(self.session)
        if all(ec2.state(i) in {"terminated", "gone"} for i in self.instance_ids):
            return WaitResult(ok=True, payload={"instances": self.instance_ids})
        return None


class VolumesAttachedTrigger(ScopedTrigger):
    """Attaches each volume when it is available, and fires when all are attached. A restarted triggerer continues.

    :param instance_id: the instance that gets them
    :param volumes: evidence id, volume id and device name of each
    """

    def __init__(self, *, instance_id: str, volumes: list[list[str]], **kwargs: Unpack[ScopedTiming]) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.volumes = volumes
        # EC2's descriptions are eventually consistent: a volume may be shown as available after it was attached.
        self._asked: set[str] = set()

    def arguments(self) -> Mapping[str, object]:
        return {"scope": self.scope, "instance_id": self.instance_id, "volumes": self.volumes}

    def waiting_for(self) -> str:
        return f"volumes {', '.join(v for _, v, _ in self.volumes)} to be attached to {self.instance_id}"

    def check(self) -> WaitResult | None:
        ebs = EbsGateway.of(self.session)
        found = {v["VolumeId"]: v for v in ebs.volumes([v for _, v, _ in self.volumes])}
        if broken := sorted(v for v, facts in found.items() if facts["State"] == "error"):
            msg = f"volume {', '.join(broken)} ended in state error"
            raise InvestigationError(msg)
        ready = True
        for _, volume_id, device in self.volumes:
            facts = found.get(volume_id, {"State": "creating"})
            if facts["State"] == "available" and volume_id not in self._asked:
                ebs.attach(volume_id, instance_id=self.instance_id, device=device)
                self._asked.add(volume_id)
            holders = {a["InstanceId"] for a in facts.get("Attachments", []) if a.get("State") == "attached"}
            ready = ready and facts["State"] == "in-use" and holders == {self.instance_id}
        return WaitResult(ok=True, payload={item: volume for item, volume, _ in self.volumes}) if ready else None
