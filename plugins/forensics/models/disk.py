"""What EBS and KMS say of a disk, and how its snapshot reaches the forensic account."""

from __future__ import annotations

from enum import StrEnum

from forensics.models.base import Model

# Size of a block of the EBS direct APIs (ListSnapshotBlocks), in bytes
BLOCK_BYTES = 512 * 1024
GIB = 1024**3


class KeyFacts(Model):
    """What DescribeKey says of a key; ``problem`` is AWS's refusal to say it."""

    arn: str
    account_id: str | None = None
    manager: str | None = None
    state: str | None = None
    problem: str | None = None


class KeyCase(StrEnum):
    """What a snapshot is encrypted with."""

    NONE = "unencrypted"
    AWS_EBS = "aws/ebs"
    CUSTOMER = "customer key of the account"
    FORENSIC = "key of the forensic account"
    FOREIGN = "key of another account"
    UNUSABLE = "key that cannot be used"
    UNKNOWN = "key that cannot be described"


class Route(StrEnum):
    """How a snapshot gets to the forensic account."""

    SHARE = "share"
    GRANT = "grant the key, share"
    REENCRYPT = "copy in the account under its forensic key, share that copy"
    BLOCKED = "blocked"


class SnapshotLock(Model):
    """A snapshot's lock as EC2 reads it back; ``until`` is RFC 3339, empty when EC2 names no end."""

    state: str = ""
    until: str = ""


class ManifestSegment(Model):
    """A run of written blocks: the lines ``index sha256`` are one object, whose SHA-256 is here."""

    blocks: int
    first: int
    last: int
    sha256: str


class StoredSegment(ManifestSegment):
    """A segment and where its lines are stored."""

    uri: str
