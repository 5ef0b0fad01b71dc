"""Sessions of roles as STS made them: who they are and which case they carry."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Every account of the lab is in this organization.
ORGANIZATION = "o-forensicslab"


@dataclass(frozen=True)
class Session:
    """A role's session. ``place`` is where it was given, or where the session stands that assumed it ("": outside)."""

    role_arn: str
    name: str
    source_identity: str
    policy: Mapping[str, Any] | None
    place: str = ""

    @property
    def account(self) -> str:
        """Account of the role."""
        return self.role_arn.split(":")[4]

    @property
    def role(self) -> str:
        """Name of the role."""
        return self.role_arn.rsplit("/", 1)[-1]

    @property
    def arn(self) -> str:
        """ARN of the session, as AWS names it in messages."""
        return f"arn:aws:sts::{self.account}:assumed-role/{self.role}/{self.name}"


_lock = threading.Lock()
_sessions: dict[str, Session] = {}
_ends: dict[str, float] = {}


def remember(
    access_key: str,
    *,
    role_arn: str,
    name: str,
    source_identity: str | None,
    policy: str | None,
    place: str = "",
) -> None:
    """Note a session by its access key."""
    made = Session(role_arn, name, source_identity or "", json.loads(policy) if policy else None, place)
    with _lock:
        _sessions[access_key] = made


def end_at(access_key: str, moment: float) -> None:
    """Let a session's keys end, in seconds of the lab's clock."""
    with _lock:
        _ends[access_key] = moment


def ended(access_key: str, now: float) -> bool:
    """Whether a session's keys have ended. A presigned URL ends with them."""
    return now >= _ends.get(access_key, float("inf"))


def find(access_key: str) -> Session | None:
    """The session that a key belongs to, or None for root keys, users and unknown keys."""
    return _sessions.get(access_key)
