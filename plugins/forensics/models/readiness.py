"""A running instance as the control plane shows it, with what decides whether it could be captured today."""

from __future__ import annotations

from pydantic import Field

from forensics.models.base import AccountId, Region
from forensics.models.disk import KeyFacts
from forensics.models.outside import Outside
from forensics.models.target import SsmStatus


class RunningInstance(Outside):
    """Facts of one running instance."""

    account_id: AccountId
    region: Region
    instance_id: str
    name: str = ""
    instance_type: str = ""
    architecture: str = "x86_64"
    windows: bool = False
    vpc_id: str = ""
    subnet_id: str = ""
    ssm: SsmStatus = SsmStatus()
    memory_mib: int | None = Field(default=None, description="of its type; None when it is not known")
    ipv6_only: bool = False
    way_to_s3: bool = Field(default=True, description="its subnet has a default route, or its VPC an S3 endpoint")
    keys: tuple[KeyFacts, ...] = Field(default=(), description="the keys that its volumes are encrypted with")
