"""AWS accounts of one process for step tests: the product's gateways on what a test puts there, and sessions that call nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from forensics.aws.ebs import EbsGateway, Snapshot
from forensics.aws.ec2 import Ec2Gateway, RootDisk
from forensics.aws.hook import CaseSessions, ForensicsHook
from forensics.aws.kms import KeyGateway
from forensics.aws.polling import PollTrigger
from forensics.aws.session import AwsSession, Scope
from forensics.aws.ssm import ExpectedCommand, FoundCommand, Invocation, SsmGateway
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import ForensicsError
from forensics.models.disk import KeyFacts, SnapshotLock
from forensics.settings import LockMode, Settings
from tests.conftest import ENVIRONMENT
from tests.unit.builders import ACCOUNT, REGION
from tests.unit.recorders import context

FORENSIC = "222233334444"
LOCKED_UNTIL = "2027-11-24T08:00:00+00:00"


def settings(**changes: object) -> Settings:
    """A deployment's settings."""
    known = {name.removeprefix("AIRFLOW__FORENSICS__").lower(): value for name, value in ENVIRONMENT.items()}
    return Settings.model_validate({**known, **changes})


class HookInMemory(ForensicsHook):
    """Sessions that know where they are and have no client."""

    def own(self) -> AwsSession:
        """The base identity."""
        return AwsSession(boto=None, account_id=FORENSIC, region=self.settings.region)  # type: ignore[arg-type]

    def session(self, scope: Scope) -> AwsSession:
        """A phase's session."""
        return AwsSession(
            boto=None,  # type: ignore[arg-type]
            account_id=scope.account_id,
            region=scope.region,
            role_arn=self.role_arn(scope),
            case_id=scope.case_id,
        )


def sessions_of(recorder: CaseRecorder, **changes: object) -> CaseSessions:
    """The sessions of a recorder's case, under settings with these changes."""
    return CaseSessions(HookInMemory(settings(**changes)), recorder.case)


def _pairs(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


class EbsInMemory(EbsGateway):
    """Snapshots and volumes of one account and Region; a failing call is one whose error a test has put into ``errors``."""

    def __init__(self, *, account_id: str = FORENSIC, region: str = REGION) -> None:
        self.account_id = account_id
        self.region = region
        self.known: dict[str, Snapshot] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.locked: dict[str, int] = {}
        self.shared: list[tuple[str, str]] = []
        self.copied: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.attached: list[tuple[str, str, str]] = []
        self.volumes_of_instance: tuple[str, ...] = ("vol-1",)
        self.instance_store = 0
        self.errors: dict[str, ForensicsError] = {}
        self._count = 0

    def _called(self, name: str) -> None:
        if name in self.errors:
            raise self.errors[name]

    def add(self, snapshot_id: str, state: str = "completed", **more: Any) -> Snapshot:
        """Put a snapshot there."""
        made = Snapshot(id=snapshot_id, state=state, **{"volume_id": "vol-1", **more})
        self.known[snapshot_id] = made
        return made

    def _new(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self.account_id[:4]}{self._count}"

    def find_snapshots(self, *, tags: dict[str, str]) -> list[Snapshot]:
        """Snapshots with these tags."""
        return [s for s in self.known.values() if tags.items() <= s.tags.items()]

    def snapshots(self, ids: Sequence[str]) -> list[Snapshot]:
        """Snapshots by id."""
        return [self.known[i] for i in ids if i in self.known]

    def create_snapshots(self, instance_id: str, *, description: str, tags: Any) -> list[Snapshot]:
        """One pending snapshot of each volume of the instance."""
        self._called("create_snapshots")
        started = datetime.now(UTC)
        return [
            self.add(
                self._new("snap"),
                "pending",
                volume_id=v,
                size_gib=8,
                started_at=started,
                description=description,
                tags=_pairs(tags),
            )
            for v in self.volumes_of_instance
        ]

    def lock(
        self, snapshot_id: str, *, days: int, mode: LockMode = "GOVERNANCE", cool_off_hours: int = 0
    ) -> SnapshotLock:
        """Lock it."""
        self._called("lock")
        self.locked[snapshot_id] = days
        return SnapshotLock(state="governance", until=LOCKED_UNTIL)

    def instance_store_gb(self, instance_type: str) -> int:
        """Size of the instance store."""
        self._called("instance_store_gb")
        return self.instance_store

    def share(self, snapshot_id: str, *, account_id: str) -> None:
        """Share it."""
        self._called("share")
        self.shared.append((snapshot_id, account_id))

    def copy(self, snapshot_id: str, *, source_region: str, kms_key_id: str | None, description: str, tags: Any) -> str:
        """A pending copy."""
        self._called("copy")
        self.copied.append({"of": snapshot_id, "from": source_region, "key": kms_key_id})
        more = {
            "encrypted": kms_key_id is not None,
            "kms_key_id": kms_key_id,
            "tags": _pairs(tags),
            "description": description,
        }
        return self.add(self._new("copy"), "pending", started_at=datetime.now(UTC), **more).id

    def complete(self) -> None:
        """Everything that was pending is complete."""
        self.known = {i: s.model_copy(update={"state": "completed"}) for i, s in self.known.items()}

    def add_volume(self, volume_id: str, state: str, *, holder: str = "", **tags: str) -> None:
        """Put a volume there; tags with ``_`` for ``:``."""
        attached = [{"InstanceId": holder, "State": "attached"}] if holder else []
        self.records[volume_id] = {
            "VolumeId": volume_id,
            "State": state,
            "AvailabilityZone": f"{self.region}a",
            "Attachments": attached,
            "CreateTime": datetime(2026, 11, 24, 7, 0, tzinfo=UTC),
            "Tags": [{"Key": key.replace("_", ":"), "Value": value} for key, value in tags.items()],
        }

    def find_volumes(self, *, tags: dict[str, str]) -> Any:
        """Volumes with these tags."""
        return [v for v in self.records.values() if tags.items() <= _pairs(v["Tags"]).items()]

    def volumes(self, ids: Sequence[str]) -> Any:
        """Volumes by id."""
        return [self.records[i] for i in ids if i in self.records]

    def create_volume(self, snapshot_id: str, *, zone: str, token: str, tags: Any, rate: int = 0) -> tuple[str, int]:
        """A volume that is being created."""
        self._called("create_volume")
        volume_id = self._new("vol")
        self.add_volume(volume_id, "creating")
        given = {"VolumeInitializationRate": rate} if rate else {}
        self.records[volume_id] |= {"AvailabilityZone": zone, "SnapshotId": snapshot_id, "Tags": list(tags), **given}
        return volume_id, rate

    def attach(self, volume_id: str, *, instance_id: str, device: str) -> None:
        """Attach it."""
        self.attached.append((volume_id, instance_id, device))

    def delete_volume(self, volume_id: str) -> None:
        """Delete it."""
        self._called("delete_volume")
        self.deleted.append(volume_id)
        del self.records[volume_id]


class KeysInMemory(KeyGateway):
    """Keys of one account; a key that is not there belongs to the account and is enabled."""

    def __init__(self, account_id: str = ACCOUNT) -> None:
        self.account_id = account_id
        self.known: dict[str, KeyFacts] = {}
        self.grants: list[tuple[str, str, str]] = []
        self.refuse_grants: ForensicsError | None = None

    def describe(self, arn: str) -> KeyFacts:
        """What is known of a key."""
        return self.known.get(arn, KeyFacts(arn=arn, account_id=self.account_id, manager="CUSTOMER", state="Enabled"))

    def grant(self, arn: str, *, principal: str, name: str) -> str:
        """Grant it."""
        if self.refuse_grants:
            raise self.refuse_grants
        self.grants.append((arn, principal, name))
        return "grant-1"

    def resolve(self, alias: str) -> str:
        """An ARN that names the alias."""
        return f"arn:aws:kms:{REGION}:{self.account_id}:key/of-{alias}"


class Ec2InMemory(Ec2Gateway):
    """Instances of one account and Region."""

    def __init__(self, *, account_id: str = FORENSIC, region: str = REGION) -> None:
        self.account_id = account_id
        self.region = region
        self.records: dict[str, dict[str, Any]] = {}
        self.launched: list[dict[str, Any]] = []
        self.memory: dict[str, int] = {}
        self.errors: dict[str, ForensicsError] = {}

    def add(self, instance_id: str, state: str = "running", **tags: str) -> None:
        """Put an instance there; tags with ``_`` for ``:``."""
        self.records[instance_id] = {
            "InstanceId": instance_id,
            "State": {"Name": state},
            "LaunchTime": datetime(2026, 11, 24, 7, 0, tzinfo=UTC),
            "Tags": [{"Key": key.replace("_", ":"), "Value": value} for key, value in tags.items()],
        }

    def instances(self, *, tags: dict[str, str]) -> Any:
        """Instances with these tags, in any state."""
        return [i for i in self.records.values() if tags.items() <= _pairs(i["Tags"]).items()]

    def root_disk(self, image_id: str) -> RootDisk:
        """An image of 100 GiB."""
        return RootDisk("/dev/xvda", 100)

    def memory_by_type(self, types: Sequence[str]) -> dict[str, int]:
        """What a test says of the types."""
        return {name: self.memory.get(name, 16 * 1024) for name in types}

    def run_instance(self, **asked: Any) -> str:
        """An instance that is starting."""
        if "run_instance" in self.errors:
            raise self.errors["run_instance"]
        self.launched.append(asked)
        instance_id = f"i-{len(self.launched):017x}"
        self.add(instance_id, "pending")
        self.records[instance_id]["Tags"] = list(asked["tags"])
        return instance_id

    def state(self, instance_id: str) -> str:
        """State name; ``gone`` when it is unknown."""
        return str(self.records[instance_id]["State"]["Name"]) if instance_id in self.records else "gone"

    def zone(self, instance_id: str) -> str:
        """Zone ``a``."""
        return f"{self.region}a"

    def terminate(self, instance_ids: Sequence[str]) -> None:
        """On their way out."""
        if "terminate" in self.errors and instance_ids:
            raise self.errors["terminate"]
        for instance_id in instance_ids:
            self.records[instance_id]["State"]["Name"] = "shutting-down"


@dataclass
class SsmInMemory(SsmGateway):
    """Commands of one account and Region; tests end them."""

    account_id: str = FORENSIC
    region: str = REGION
    sent: list[dict[str, Any]] = field(default_factory=list)
    ended: dict[str, Invocation] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)  # comment -> command id
    parameters: dict[str, str] = field(default_factory=lambda: {"/forensics/ami/current": "ami-1"})
    failing: ForensicsError | None = None

    def document_version(self, name: str, sha256: str) -> str:
        """The default version."""
        return "7"

    def send(self, **asked: Any) -> str:
        """Send a command."""
        if self.failing:
            raise self.failing
        self.sent.append(asked)
        return f"command-{len(self.sent)}"

    def find_command(self, *, instance_id: str, expected: ExpectedCommand) -> FoundCommand:
        """A command that is still running."""
        return FoundCommand(self.live.get(expected.comment))

    def end(
        self, command_id: str, stdout: str, *, status: str = "Success", detail: str = "", exit_code: int = 0
    ) -> None:
        """End a command with this output."""
        self.ended[command_id] = Invocation(
            command_id=command_id,
            instance_id="i-1",
            status=status,
            detail=detail,
            exit_code=exit_code,
            stdout=stdout,
        )

    def invocation(self, *, command_id: str, instance_id: str) -> Invocation | None:
        """How a command ended."""
        return self.ended.get(command_id)

    def parameter(self, name: str) -> str:
        """A parameter."""
        return self.parameters[name]


def prepare(operator: ForensicOperator, recorder: CaseRecorder, **changes: object) -> None:
    """Give an operator the sessions that it has while it runs."""
    operator._sessions = sessions_of(recorder, **changes)


def act(operator: ForensicOperator, recorder: CaseRecorder, *, try_number: int = 1) -> Json:
    """Do a step's work."""
    return operator.act(recorder, context(try_number))


def deferred(operator: ForensicOperator, recorder: CaseRecorder, *, try_number: int = 1) -> PollTrigger:
    """Do a step's work up to its deferral; returns what it waits for."""
    with pytest.raises(TaskDeferred) as caught:
        operator.act(recorder, context(try_number))
    assert isinstance(caught.value.trigger, PollTrigger)
    assert caught.value.method_name == "resume_after_wait"
    return caught.value.trigger
