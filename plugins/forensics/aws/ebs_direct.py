"""EBS direct APIs: a snapshot's written blocks, read in parallel, each checked, handed out in order."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.aws.visibility import when_visible
from forensics.errors import AwsError, DigestMismatchError
from forensics.models.disk import BLOCK_BYTES, GIB

if TYPE_CHECKING:
    from mypy_boto3_ebs import EBSClient
    from mypy_boto3_ebs.type_defs import ListSnapshotBlocksRequestTypeDef, ListSnapshotBlocksResponseTypeDef

PAGE = 10_000  # ListSnapshotBlocks, MaxResults
# 40 requests at a time are the quota of 1,000 GetSnapshotBlock a second at 40 ms each, and botocore slows down when EBS
# says so; twice as many blocks (40 MiB) are in memory at most, whatever the volume's size.
THREADS = 40
TRIES = 3
# EBS direct answers SNAPSHOT_NOT_FOUND for up to 67 s after EC2 has said "completed" (recorded by stackd,
# testdata/aws/ebs/copy_data_failures.json, 2026-09): seconds until it is believed.
READABLE_WITHIN = 180.0


class Block(NamedTuple):
    """A written block: its number, 512 KiB of data and their SHA-256."""

    number: int
    data: bytes
    digest: bytes


class EbsDirectGateway:
    """Reads snapshots block by block in one account and Region."""

    def __init__(self, client: EBSClient, *, account_id: str, region: str) -> None:
        self._ebs = client
        self._where = f"in account {account_id}, {region}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.ebs, account_id=session.account_id, region=session.region)

    def volume_bytes(self, snapshot_id: str) -> int:
        """Size of the volume that the snapshot is of."""
        answer = self._page({"SnapshotId": snapshot_id, "MaxResults": 100})
        return int(answer["VolumeSize"]) * GIB

    def _page(self, request: ListSnapshotBlocksRequestTypeDef) -> ListSnapshotBlocksResponseTypeDef:
        """One page of blocks; waits for a snapshot that EC2 calls completed and that EBS direct does not know yet."""

        def page() -> ListSnapshotBlocksResponseTypeDef:
            with aws_errors(f"list blocks of {request['SnapshotId']} {self._where}"):
                return self._ebs.list_snapshot_blocks(**request)

        return when_visible(page, seconds=READABLE_WITHIN)

    def tokens(self, snapshot_id: str, *, start: int = 0) -> Iterator[tuple[int, str]]:
        """(index, token) of every written block from ``start`` on, page by page."""
        request: ListSnapshotBlocksRequestTypeDef = {
            "SnapshotId": snapshot_id,
            "MaxResults": PAGE,
            "StartingBlockIndex": start,
        }
        while True:
            page = self._page(request)
            if int(page["BlockSize"]) != BLOCK_BYTES:
                msg = f"{snapshot_id} {self._where} has blocks of {page['BlockSize']} bytes, {BLOCK_BYTES} are expected"
                raise AwsError(msg, next_action="tell the maintainers: EBS has changed its block size")
            for block in page.get("Blocks", []):
                if int(block["BlockIndex"]) >= start:
                    yield int(block["BlockIndex"]), str(block["BlockToken"])
            if not page.get("NextToken"):
                return
            request = {"SnapshotId": snapshot_id, "MaxResults": PAGE, "NextToken": page["NextToken"]}

    def read(self, snapshot_id: str, index: int, token: str) -> Block:
        """One block, its SHA-256 computed here and equal to the one that EBS gave.

        Raises :class:`DigestMismatchError` when it differs three times.
        """
        for _ in range(TRIES):
            with aws_errors(f"read block {index} of {snapshot_id} {self._where}"):
                answer = self._ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=index, BlockToken=token)
                data = answer["BlockData"].read()
            digest = hashlib.sha256(data).digest()
            said = str(answer.get("Checksum"))
            if base64.b64encode(digest).decode() == said and len(data) == BLOCK_BYTES:
                return Block(index, data, digest)
        msg = (
            f"block {index} of {snapshot_id} {self._where}: {len(data)} bytes with SHA-256 {digest.hex()}, "
            f"EBS says {said} (base64), {TRIES} times"
        )
        raise DigestMismatchError(msg)

    def blocks(self, snapshot_id: str, *, start: int = 0, threads: int = THREADS) -> Iterator[Block]:
        """Every written block from ``start`` on in ascending order, read by ``threads`` requests at a time.

        At most ``2 * threads`` blocks are in memory. Ending the iteration early gives up what is under way.
        """
        waiting: deque[Future[Block]] = deque()
        pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="ebs-direct")
        try:
            for index, token in self.tokens(snapshot_id, start=start):
                waiting.append(pool.submit(self.read, snapshot_id, index, token))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
