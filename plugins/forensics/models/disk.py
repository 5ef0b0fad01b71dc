"""What EBS and KMS say of a disk."""

from __future__ import annotations

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
