"""What the agents need from the rest of the lab, so that tests can give them something else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol


class Invocation(Protocol):
    """One command for one instance, as SSM keeps it. `timeout_seconds` is for delivery, not for execution."""

    command_id: str
    account_id: str
    region: str
    instance_id: str
    document: dict[str, Any]
    parameters: dict[str, Any]
    comment: str
    output_s3_bucket: str
    output_s3_prefix: str
    timeout_seconds: float
    requested_at: datetime
    status: str
    cancel_requested: bool

    def update(
        self,
        *,
        status: str | None = None,
        response_code: int | None = None,
        stdout: str | None = None,
        stderr: str | None = None,
        step_name: str | None = None,
        started: datetime | None = None,
        ended: datetime | None = None,
        status_details: str | None = None,
    ) -> None:
        """Report; only what is given changes."""


Source = Callable[[], list[Any]]
"""Commands that wait for an agent (objects like Invocation)."""

Reachable = Callable[[str, str, str], bool]
"""account, Region, instance id → may the instance talk to AWS (security groups)?"""

AddressOf = Callable[[str, str, str], str]
"""account, Region, instance id → the loopback address that its connections come from, or "" for any."""

InstanceState = Callable[[str, str, str], str | None]
"""account, Region, instance id → EC2's name of the instance's state, or None for an unknown instance."""

Attachments = Callable[[str, str, str], list[tuple[str, str]]]
"""account, Region, instance id → (volume id, device name), the root device first."""

VolumePath = Callable[[str], Path | None]
"""volume id → its raw image, or None when the lab has none."""
