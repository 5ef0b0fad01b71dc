"""What the lab itself remembers: its settings, its instances, its mail. One per server process."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import tempfile
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.hosts.tapes import Shelf

log = logging.getLogger("lab")

INSTANCE_ID = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
MAIL_KEPT = 1000
INSTANCE_DEFAULTS: dict[str, Any] = {
    "kind": "target",
    "managed": True,
    "platform_name": "Amazon Linux",
    "platform_version": "2023",
    "hostname": None,
    "memory": None,
    "kernel": None,
}


class ConfigError(ValueError):
    """A control route was asked for something the lab does not know."""


@dataclasses.dataclass
class Config:
    """Times in seconds. Zero means at once."""

    snapshot_seconds: float = 0.0
    copy_seconds: float = 0.2
    volume_seconds: float = 0.0
    instance_seconds: float = 0.0
    terminate_seconds: float = 0.0
    image_seconds: float = 0.0
    agent_seconds: float = 0.0
    ssm_start_seconds: float = 0.0
    ssm_visible_seconds: float = 0.3
    ssm_delivery_seconds: float | None = None
    api_latency_seconds: float = 0.0
    # how long a connection without a path is held before it ends: the connect time-out of the product's clients
    network_silence_seconds: float = 10.0
    # up to so many of the first calls do not find a new resource (lab/emulator/visibility.py); zero: all are known at once
    hidden_calls: int = 2
    hidden_seconds: float = 20.0  # and no longer than this, however few calls asked
    hidden_seed: int = 0
    hidden_from_root: int = 0
    # how many of the first calls of EBS direct after "completed" answer SNAPSHOT_NOT_FOUND, and the share that it throttles
    ebs_direct_hidden_calls: int = 2
    ebs_direct_throttled_share: float = 0.02
    # how long after a snapshot was shared another account's copy of it ends in "error"
    share_spread_seconds: float = 0.3
    # SSM as it is for callers other than root keys, whose own instances and documents have existed for years:
    # how long a changed PingStatus is not shown yet (AWS: minutes)
    ssm_ping_seconds: float = 1.0
    # the share of fresh instances that lose their first command, and when SSM gives it up (AWS: after its TimeoutSeconds)
    ssm_first_lost_share: float = 0.3
    ssm_lost_seconds: float = 2.0
    # the share of commands whose work is done and whose answer is lost, so that they end as DeliveryTimedOut
    ssm_late_answer_share: float = 0.02
    # how long a new document is Creating, and a new version of one Updating
    ssm_document_seconds: float = 0.3
    # how long at most a policy that was put, changed or deleted, and a new grant, are not in effect yet (drawn from hidden_seed)
    iam_policy_seconds: float = 0.5
    kms_grant_seconds: float = 0.5
    # what is left of the credentials that an execution role's task gets first, in seconds
    role_seconds_left: float = 720.0
    # the share of messages that SQS delivers a second time although the first consumer still has them
    sqs_redelivered_share: float = 0.0
    forensic_ami_id: str | None = None

    def update(self, changes: dict[str, Any]) -> None:
        """Set some settings. Raises ConfigError for an unknown name or a value of the wrong kind."""
        fields = {field.name: field for field in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in fields:
                raise ConfigError(f"unknown lab setting {name!r}; known: {', '.join(sorted(fields))}")
            if name == "forensic_ami_id":
                good = value is None or isinstance(value, str)
            elif name == "ssm_delivery_seconds" and value is None:
                good = True
            else:
                good = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            if not good:
                raise ConfigError(f"lab setting {name} cannot be {value!r}; times are seconds, zero or more")
        for name, value in changes.items():
            setattr(self, name, value)


class Laboratory:
    """State of one lab server. `directory` is its state folder, or None when the lab runs without files."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory
        self.config = Config()
        self.mail: deque[dict[str, Any]] = deque(maxlen=MAIL_KEPT)
        self.snapshot_failures: list[dict[str, Any]] = []
        self.machine_images: dict[str, dict[str, Any]] = {}
        self._instances: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self.shelf = Shelf(directory / "tapes") if directory is not None else None
        if directory is not None:
            self.instances_directory.mkdir(parents=True, exist_ok=True)

    @property
    def instances_directory(self) -> Path:
        if self.directory is None:
            raise ConfigError("this lab has no state folder; start it with --state DIR")
        return self.directory / "instances"

    def register_instance(self, record: dict[str, Any]) -> dict[str, Any]:
        """Tell the lab what runs on an instance; stored as DIR/instances/<id>.json. Raises ConfigError."""
        for name in ("instance_id", "account", "region"):
            if not isinstance(record.get(name), str):
                raise ConfigError(f"an instance record needs {name} as text; got {record.get(name)!r}")
        if not INSTANCE_ID.fullmatch(record["instance_id"]):
            raise ConfigError(f"{record['instance_id']!r} is not an instance id")
        if record.get("kind", "target") not in ("target", "forensic"):
            raise ConfigError(f"kind is target or forensic; got {record['kind']!r}")
        full = INSTANCE_DEFAULTS | record
        if full["hostname"] is None:
            full["hostname"] = full["instance_id"]
        with self._lock:
            self._instances[full["instance_id"]] = full
            if self.directory is not None:
                _write_json(self.instances_directory / f"{full['instance_id']}.json", full)
        return full

    def register_machine_image(self, given: dict[str, Any]) -> dict[str, Any]:
        """Let what is launched from an image be a host: ``record`` as for an instance, ``disks`` by device. Raises ConfigError."""
        image_id, record, disks = given.get("image_id"), given.get("record", {}), given.get("disks", {})
        if not isinstance(image_id, str) or not isinstance(record, dict) or not isinstance(disks, dict):
            raise ConfigError("a machine image needs image_id as text, record and disks as objects")
        self.machine_images[image_id] = {"record": record, "disks": disks}
        return self.machine_images[image_id]

    def instance(self, instance_id: str) -> dict[str, Any] | None:
        """The record of an instance, or None."""
        with self._lock:
            return self._instances.get(instance_id)

    def instances(self) -> list[dict[str, Any]]:
        """All records, in the order in which they were registered."""
        with self._lock:
            return list(self._instances.values())

    def fail_next_snapshot(self, rule: dict[str, Any]) -> None:
        """Let a coming snapshot end in error. `match` has volume_id, or next (true), or copy (true)."""
        match = rule.get("match") or {}
        if not isinstance(match, dict) or not (match.get("volume_id") or match.get("next") or match.get("copy")):
            raise ConfigError("a snapshot rule needs match: {volume_id: …} or {next: true} or {copy: true}")
        fail_at = float(rule.get("fail_at", 0.5))
        if not 0 <= fail_at <= 1:
            raise ConfigError(f"fail_at is a fraction of the snapshot's time between 0 and 1; got {fail_at}")
        self.snapshot_failures.append(
            {
                "match": match,
                "fail_at": fail_at,
                "message": rule.get("message", "Client.InternalError: the lab let this snapshot fail"),
                "times": int(rule.get("times", 1)),
            }
        )

    def take_snapshot_failure(self, volume_id: str, *, copy: bool) -> dict[str, Any] | None:
        """The rule that lets this snapshot fail, used up once, or None."""
        for rule in list(self.snapshot_failures):
            match = rule["match"]
            hit = match.get("copy") if copy else (match.get("volume_id") == volume_id or match.get("next"))
            if hit:
                rule["times"] -= 1
                if rule["times"] <= 0:
                    self.snapshot_failures.remove(rule)
                return rule
        return None

    def post(self, message: dict[str, Any]) -> None:
        """Keep a message that was published to a topic."""
        self.mail.append({"time": datetime.now(UTC).isoformat()} | message)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=1)
    Path(name).replace(path)


_current = Laboratory()
_advanced = 0.0


def current() -> Laboratory:
    """The lab of this process."""
    return _current


def open_lab(directory: Path | None) -> Laboratory:
    """Make `directory` the state folder of this process's lab and forget what was there before."""
    global _current, _advanced
    _current, _advanced = Laboratory(directory), 0.0
    return _current


def monotonic() -> float:
    """Seconds on the lab's own clock; states that take time are computed from it."""
    return time.monotonic() + _advanced


def ahead() -> float:
    """Seconds by which the lab's clock is ahead of the machine's."""
    return _advanced


def advance(seconds: float) -> None:
    """Put the lab's clock forward, so that what takes time is further on. Raises ConfigError for a negative number."""
    global _advanced
    if not seconds >= 0:
        raise ConfigError(f"the lab's clock cannot be put forward by {seconds} s")
    _advanced += seconds
