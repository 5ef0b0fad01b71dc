"""The target is ended, or replaced by its group, in the middle of its capture: with protection no capture is lost (R126).

``PROTECTION_COUNT`` seeded times (``make protection-check``: 30); a few in every run of the tests. What refuses and who replaces is
the lab's EC2 and Auto Scaling: "Change instance termination protection" and "Enable stop protection" (EC2 user guide),
"Temporarily remove instances" and "Health checks for instances" (Auto Scaling user guide).
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError

from forensics import case_keys
from forensics.containment.operators import IsolateTargetOperator
from forensics.containment.protection_operators import ProtectTargetOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.errors import ForensicsError
from forensics.manifest import MIN_PART
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.protection import ProtectionResult
from forensics.report.operators import CloseCaseOperator
from lab.progress import wait_until
from tests import memory_image
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage

MIB = 1024 * 1024
COUNT = int(os.environ.get("PROTECTION_COUNT", "2"))
ENDERS = ("a person terminates it", "a health check fails", "a person stops it", "its group shrinks")
SHARES = (0.2, 0.5, 0.8)
GROUP = "web"


class Targeted:
    """The lab's web server as the member of an Auto Scaling group, and who tries to end it."""

    def __init__(self, lab: SmallLab, folder: Path, *, mib: int = 84) -> None:
        self.lab = lab
        self.instance = lab.facts["instances"]["web-server"]["instance_id"]
        self.ec2, self.scaling = lab.client("ec2", "member"), lab.client("autoscaling", "member")
        lab.control("config", {"instance_seconds": 0, "terminate_seconds": 0})
        files = memory_image.write(folder, size=mib * MIB)
        kernel = {name: str(path) for name, path in files.items() if name != "memory"}
        self.change(memory=str(files["memory"]), kernel=kernel, capture_rate_mib_s=24)
        self.parts = -(-mib * MIB // MIN_PART)

    def change(self, **changes: Any) -> None:
        """Change the lab's record of the target."""
        known = next(i for i in self.lab.control("instance")["instances"] if i["instance_id"] == self.instance)
        self.lab.control("instance", {**known, **changes})

    def join_group(self, *, maximum: int = 3) -> None:
        """Into a group of one, with room for more or without."""
        network = self.lab.facts["member_network"]
        self.scaling.create_launch_configuration(
            LaunchConfigurationName=GROUP, ImageId="ami-0123456789abcdef0", InstanceType="t3.small"
        )
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=GROUP, LaunchConfigurationName=GROUP, MinSize=0, DesiredCapacity=0, MaxSize=maximum,
            VPCZoneIdentifier=network["subnet_ids"][0],
        )  # fmt: skip
        self.scaling.attach_instances(AutoScalingGroupName=GROUP, InstanceIds=[self.instance])

    @property
    def state(self) -> str:
        """The instance's state in EC2."""
        found = self.ec2.describe_instances(InstanceIds=[self.instance])["Reservations"][0]["Instances"][0]
        return str(found["State"]["Name"])

    def end(self, how: str) -> str:
        """Somebody tries to end the target; returns AWS's error code, or nothing."""
        calls: dict[str, Callable[[], Any]] = {
            ENDERS[0]: lambda: self.ec2.terminate_instances(InstanceIds=[self.instance]),
            ENDERS[1]: lambda: self.scaling.set_instance_health(InstanceId=self.instance, HealthStatus="Unhealthy"),
            ENDERS[2]: lambda: self.ec2.stop_instances(InstanceIds=[self.instance]),
            ENDERS[3]: lambda: self.scaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=0),
        }
        try:
            calls[how]()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    def end_at(self, share: float, how: str) -> tuple[threading.Thread, list[str]]:
        """Try to end the target when this share of its capture has landed."""
        answers: list[str] = []

        def wait_and_end() -> None:
            wanted = max(1, round(share * self.parts))
            wait_until(
                lambda: len(self.lab.control("calls?service=s3&action=UploadPart")["calls"]) >= wanted,
                what=f"{wanted} of {self.parts} parts", progress=lambda: self.lab.control("activity"), pause=0.05,
            )  # fmt: skip
            answers.append(self.end(how))

        thread = threading.Thread(target=wait_and_end, daemon=True)
        thread.start()
        return thread, answers


@pytest.fixture
def target(lab: SmallLab, tmp_path: Path) -> Iterator[Targeted]:
    """A member of a group."""
    made = Targeted(lab, tmp_path / "memory")
    made.join_group()
    yield made


def protect(case_id: str) -> Any:
    """Run the step."""
    return perform(ProtectTargetOperator(task_id="triage.protect_target"), case_id=case_id)


def capture(case_id: str) -> Outcome:
    """Run the capture as its last try; returns the outcome of the memory."""
    with suppress(ForensicsError, AirflowSkipException, AirflowFailException):  # what is lost is what is counted
        perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    (item,) = recorder_of(case_id, step="test").evidence(EvidenceKind.MEMORY)
    return item.outcome


def landed(case_id: str) -> bool:
    """Whether the whole image has landed."""
    memory = recorder_of(case_id, step="test").memory()
    return memory is not None and bool(memory.origin.landed_bytes)


@pytest.mark.parametrize("seed", range(COUNT))
def test_no_capture_of_a_protected_target_is_lost(target: Targeted, seed: int) -> None:
    chance = random.Random(seed)
    how, share = ENDERS[seed % len(ENDERS)], chance.choice(SHARES)
    case_id = open_case(target.lab)
    triage(case_id)
    assert protect(case_id) == {"outcome": "DONE", "changes": 8, "open": []}
    thread, answers = target.end_at(share, how)
    capture(case_id)
    thread.join(60)
    assert landed(case_id), f"seed {seed}: {how} at {share:.0%}"
    assert answers == ["OperationNotPermitted" if "person" in how else ""]
    assert target.state == "running"


@pytest.mark.parametrize("how", ENDERS if len(ENDERS) <= COUNT else ENDERS[1:2])
def test_without_protection_it_is_lost(target: Targeted, how: str) -> None:
    """The control of the proof: the same hands on a target that nothing protects."""
    target.change(capture_rate_mib_s=12)
    case_id = open_case(target.lab)
    triage(case_id)
    thread, answers = target.end_at(SHARES[0], how)
    capture(case_id)
    thread.join(60)
    assert answers == [""] and target.state in {"terminated", "stopped"}
    assert not landed(case_id)


@pytest.mark.parametrize("maximum", [3, 1], ids=["standby", "detached, because standby would have no way back"])
def test_closing_a_case_that_does_not_isolate_gives_everything_back(
    lab: SmallLab, tmp_path: Path, maximum: int
) -> None:
    target = Targeted(lab, tmp_path / "memory", mib=20)
    target.join_group(maximum=maximum)
    before = described(target)
    case_id = open_case(target.lab, actions="memory+disk")
    triage(case_id)
    protect(case_id)
    assert described(target) != before
    with pytest.raises(AirflowFailException, match="closed with"):
        perform(CloseCaseOperator(task_id="report.close_case"), case_id=case_id)
    assert described(target) == before
    recorder = recorder_of(case_id, step="test")
    protection = recorder.get(case_keys.PROTECTION, ProtectionResult)
    assert protection is not None and protection.undone_at is not None and protection.left == ()
    actions = [event.action for event in recorder.gateways.ledger.events(case_id)]
    order = [CustodyAction.RESTORE_POINT_TAKEN, CustodyAction.TARGET_PROTECTED, CustodyAction.TARGET_UNPROTECTED]
    assert [a for a in actions if a in order] == order


def test_a_contained_target_keeps_them_when_its_case_is_closed(target: Targeted) -> None:
    case_id = open_case(target.lab)
    triage(case_id)
    protect(case_id)
    perform(IsolateTargetOperator(task_id="containment.isolate_target"), case_id=case_id)
    with pytest.raises(AirflowFailException, match="closed with"):
        perform(CloseCaseOperator(task_id="report.close_case"), case_id=case_id)
    assert target.end(ENDERS[0]) == "OperationNotPermitted"


def test_where_protection_is_refused_the_snapshots_begin_before_the_capture(target: Targeted) -> None:
    refuse = {"service": "ec2", "action": "ModifyInstanceAttribute", "code": "UnauthorizedOperation", "status": 403}
    target.lab.control("faults", [refuse])
    case_id = open_case(target.lab)
    triage(case_id)
    assert protect(case_id)["outcome"] == "PARTIAL"
    target.lab.control("faults", [])
    waiting = threading.Thread(target=capture, args=(case_id,), daemon=True)
    waiting.start()
    recorder = recorder_of(case_id, step="test")
    wait_until(
        lambda: any("begin first" in entry.what for entry in recorder.view().timeline),
        what="the capture to wait", progress=lambda: target.lab.control("activity"), pause=0.1,
    )  # fmt: skip
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    waiting.join(60)
    assert landed(case_id)
    actions = [
        c["action"] for c in target.lab.control("calls?account=" + target.lab.facts["accounts"]["member"])["calls"]
    ]
    memory = actions.index("SendCommand")
    assert actions.index("CreateSnapshots") < memory
    assert any(mail["attributes"]["event"] == "not_protected" for mail in target.lab.mail())


def described(target: Targeted) -> dict[str, Any]:
    """What protection may change, as EC2 and Auto Scaling say it."""
    instance, ec2 = target.instance, target.ec2
    names = ("disableApiTermination", "disableApiStop", "instanceInitiatedShutdownBehavior")
    said: dict[str, Any] = {}
    for name in names:
        answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)
        said[name] = answer[name[0].upper() + name[1:]]["Value"]
    raw = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    said["volumes"] = [m["Ebs"]["DeleteOnTermination"] for m in raw["BlockDeviceMappings"]]
    said["interfaces"] = [i["Attachment"]["DeleteOnTermination"] for i in raw["NetworkInterfaces"]]
    said["recovery"] = raw["MaintenanceOptions"]["AutoRecovery"]
    members = target.scaling.describe_auto_scaling_instances(InstanceIds=[instance])["AutoScalingInstances"]
    said["member"] = [(member["LifecycleState"], member["ProtectedFromScaleIn"]) for member in members]
    (group,) = target.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    said["group"] = (group["MinSize"], group["DesiredCapacity"], group["MaxSize"])
    return said
