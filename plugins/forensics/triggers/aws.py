"""What the case waits for in AWS."""

from __future__ import annotations

import time
from typing import Any

from forensics.aws.ebs import raise_if_failed
from forensics.aws.session import Scope
from forensics.errors import ForensicsError, InvestigationError
from forensics.hooks.session import AccountGateways, ForensicsHook
from forensics.triggers.base import Outcome, PollTrigger


class _ScopedTrigger(PollTrigger):
    """A wait in one account, Region and phase."""

    def __init__(self, *, scope: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scope = scope

    @property
    def account(self) -> AccountGateways:
        """Gateways of the scope; sessions are cached and renewed below."""
        return ForensicsHook().account(Scope(**self.scope))


class SsmCommandsCompletedTrigger(_ScopedTrigger):
    """Fires when every command has ended on its instance.

    The invocations are named by the caller: an empty list can never look like success.

    :param commands: pairs of command id and instance id
    :param must_succeed: a command that ended otherwise fails the wait; else whoever waits judges the results
    """

    def __init__(self, *, commands: list[list[str]], must_succeed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.must_succeed = must_succeed
        if not commands:
            msg = "no command to wait for"
            raise ForensicsError(msg)
        self.commands = commands

    def arguments(self) -> dict[str, Any]:
        return {"scope": self.scope, "commands": self.commands, "must_succeed": self.must_succeed}

    def waiting_for(self) -> str:
        return f"SSM commands {', '.join(c for c, _ in self.commands)}"

    def check(self) -> Outcome | None:
        ssm = self.account.ssm
        for command_id, instance_id in self.commands:
            found = ssm.invocation(command_id=command_id, instance_id=instance_id)
            if found is None or not found.finished:
                return None
            if self.must_succeed and found.status != "Success":
                action = "look at the command's output in SSM; clear this task to send it again"
                return Outcome(ok=False, payload={"cause": found.cause(), "next_action": action})
        # The results are read again by the task: they may be larger than a trigger event should be.
        return Outcome(ok=True, payload={"commands": self.commands})


class SnapshotsCompletedTrigger(_ScopedTrigger):
    """Fires when all snapshots are completed, or when one ends in error.

    :param snapshot_ids: the snapshots
    """

    def __init__(self, *, snapshot_ids: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot_ids = snapshot_ids

    def arguments(self) -> dict[str, Any]:
        return {"scope": self.scope, "snapshot_ids": self.snapshot_ids}

    def waiting_for(self) -> str:
        return f"snapshots {', '.join(self.snapshot_ids)}"

    def check(self) -> Outcome | None:
        found = self.account.ebs.snapshots(self.snapshot_ids)
        raise_if_failed(found, what="snapshot")
        states = {s.id: s.state for s in found}
        if len(states) == len(self.snapshot_ids) and all(state == "completed" for state in states.values()):
            return Outcome(ok=True, payload={"snapshots": states})
        return None


class QuotaPauseTrigger(PollTrigger):
    """Fires when a pause is over: AWS said that a quota of the account and Region is reached.

    :param until: Unix time
    """

    def __init__(self, *, until: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.until = until

    def arguments(self) -> dict[str, Any]:
        return {"until": self.until}

    def waiting_for(self) -> str:
        return "room in a quota of the account and Region"

    def check(self) -> Outcome | None:
        return Outcome(ok=True, payload={}) if time.time() >= self.until else None


class ForensicInstanceOnlineTrigger(_ScopedTrigger):
    """Fires when the instance is running and its SSM agent is online.

    :param instance_id: the forensic instance
    """

    def __init__(self, *, instance_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id

    def arguments(self) -> dict[str, Any]:
        return {"scope": self.scope, "instance_id": self.instance_id}

    def waiting_for(self) -> str:
        return f"SSM agent of forensic instance {self.instance_id}"

    def check(self) -> Outcome | None:
        account = self.account
        state = account.ec2.state(self.instance_id)
        if state in {"terminated", "shutting-down", "stopped", "stopping"}:
            msg = f"forensic instance {self.instance_id} is {state} before it was ready"
            raise InvestigationError(msg, next_action="look at its system log and the AMI, then clear the task")
        if state == "running" and account.ssm.status(self.instance_id).online:
            return Outcome(ok=True, payload={"instance_id": self.instance_id})
        return None


class InstancesGoneTrigger(_ScopedTrigger):
    """Fires when all instances are terminated.

    :param instance_ids: the instances
    """

    def __init__(self, *, instance_ids: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_ids = instance_ids

    def arguments(self) -> dict[str, Any]:
        return {"scope": self.scope, "instance_ids": self.instance_ids}

    def waiting_for(self) -> str:
        return f"instances {', '.join(self.instance_ids)} to be terminated"

    def check(self) -> Outcome | None:
        ec2 = self.account.ec2
        if all(ec2.state(i) in {"terminated", "gone"} for i in self.instance_ids):
            return Outcome(ok=True, payload={"instances": self.instance_ids})
        return None


class VolumesAttachedTrigger(_ScopedTrigger):
    """Attaches each volume when it is available, and fires when all are attached. A restarted triggerer goes on from there.

    :param instance_id: the instance that gets them
    :param volumes: evidence id, volume id and device name of each
    """

    def __init__(self, *, instance_id: str, volumes: list[list[str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id
        self.volumes = volumes
        # EC2's descriptions are eventually consistent: a volume may be "available" a moment longer than it is.
        self._asked: set[str] = set()

    def arguments(self) -> dict[str, Any]:
        return {"scope": self.scope, "instance_id": self.instance_id, "volumes": self.volumes}

    def waiting_for(self) -> str:
        return f"volumes {', '.join(v for _, v, _ in self.volumes)} to be attached to {self.instance_id}"

    def check(self) -> Outcome | None:
        ebs = self.account.ebs
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
        return Outcome(ok=True, payload={item: volume for item, volume, _ in self.volumes}) if ready else None


class QueueDepthTrigger(PollTrigger):
    """Fires when the findings' queue has visible messages. It hides none, so a kill loses nothing."""

    # SQS may be up to a minute late with its counts; a peek is not, but counts as a delivery of what it sees.
    LOOKS_PER_PEEK = 4

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._looks = 0

    def arguments(self) -> dict[str, Any]:
        return {}

    def waiting_for(self) -> str:
        return "findings in the queue"

    def check(self) -> Outcome | None:
        queue = ForensicsHook().queue()
        self._looks += 1
        depth = queue.depth()
        if not depth and self._looks % self.LOOKS_PER_PEEK == 0:
            depth = queue.peek()
        return Outcome(ok=True, payload={"depth": depth}) if depth else None
