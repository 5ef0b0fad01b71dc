"""EBS direct: every written block once, in order, each checked against its checksum."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from forensics.aws import ebs_direct
from forensics.aws.ebs_direct import PAGE, Block, EbsDirectGateway
from forensics.errors import AccessDeniedError, AwsError, DigestMismatchError
from forensics.models.disk import BLOCK_BYTES, GIB
from tests.unit.aws.conftest import Stub

SNAPSHOT = "snap-0123456789abcdef0"
DATA = b"\x5a" * BLOCK_BYTES


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """EBS."""
    return stubbed("ebs")


@pytest.fixture
def ebs(stub: Stubber) -> EbsDirectGateway:
    """The gateway."""
    return EbsDirectGateway(stub.client, account_id="222233334444", region="eu-central-1")


def page(indexes: list[int], *, token: str | None = None, block_size: int = BLOCK_BYTES) -> dict[str, Any]:
    """An answer of ListSnapshotBlocks."""
    blocks = [{"BlockIndex": i, "BlockToken": f"t{i}"} for i in indexes]
    return {"Blocks": blocks, "VolumeSize": 8, "BlockSize": block_size, **({"NextToken": token} if token else {})}


def block(data: bytes, *, said: bytes | None = None) -> dict[str, Any]:
    """An answer of GetSnapshotBlock; ``said`` are the bytes that its checksum is of."""
    checksum = base64.b64encode(hashlib.sha256(data if said is None else said).digest()).decode()
    return {"BlockData": StreamingBody(io.BytesIO(data), len(data)), "Checksum": checksum, "DataLength": len(data)}


def test_the_volumes_size_is_in_bytes(stub: Stubber, ebs: EbsDirectGateway) -> None:
    stub.add_response("list_snapshot_blocks", page([]), {"SnapshotId": SNAPSHOT, "MaxResults": 100})
    assert ebs.volume_bytes(SNAPSHOT) == 8 * GIB


def test_tokens_come_from_all_pages_and_from_the_start_on(stub: Stubber, ebs: EbsDirectGateway) -> None:
    asked = {"SnapshotId": SNAPSHOT, "MaxResults": PAGE}
    stub.add_response("list_snapshot_blocks", page([4, 5], token="more"), {**asked, "StartingBlockIndex": 5})
    stub.add_response("list_snapshot_blocks", page([9]), {**asked, "NextToken": "more"})
    assert list(ebs.tokens(SNAPSHOT, start=5)) == [(5, "t5"), (9, "t9")]


def test_another_block_size_is_an_error_and_not_a_wrong_digest(stub: Stubber, ebs: EbsDirectGateway) -> None:
    stub.add_response("list_snapshot_blocks", page([0], block_size=1024))
    with pytest.raises(AwsError, match="blocks of 1024 bytes, 524288 are expected"):
        next(ebs.tokens(SNAPSHOT))


def test_a_block_is_given_with_its_digest(stub: Stubber, ebs: EbsDirectGateway) -> None:
    asked = {"SnapshotId": SNAPSHOT, "BlockIndex": 7, "BlockToken": "t7"}
    stub.add_response("get_snapshot_block", block(DATA), asked)
    assert ebs.read(SNAPSHOT, 7, "t7") == Block(7, DATA, hashlib.sha256(DATA).digest())


@pytest.mark.parametrize("bad", [block(DATA, said=b"other"), block(DATA[:-1])], ids=["checksum", "length"])
def test_a_damaged_block_is_read_again(stub: Stubber, ebs: EbsDirectGateway, bad: dict[str, Any]) -> None:
    stub.add_response("get_snapshot_block", bad)
    stub.add_response("get_snapshot_block", block(DATA))
    assert ebs.read(SNAPSHOT, 7, "t7").data == DATA


def test_a_block_that_stays_damaged_is_an_error(stub: Stubber, ebs: EbsDirectGateway) -> None:
    for _ in range(ebs_direct.TRIES):
        stub.add_response("get_snapshot_block", block(DATA, said=b"other"))
    with pytest.raises(DigestMismatchError, match=f"block 7 of {SNAPSHOT}.* 3 times"):
        ebs.read(SNAPSHOT, 7, "t7")


class Volume:
    """A snapshot of many written blocks; counts the blocks that are held at once."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []

    def list_snapshot_blocks(self, **_: Any) -> dict[str, Any]:
        return page(list(range(self.count)))

    def get_snapshot_block(self, *, BlockIndex: int, **_: Any) -> dict[str, Any]:
        self.asked.append(BlockIndex)
        return block(BlockIndex.to_bytes(4, "big") * (BLOCK_BYTES // 4))


def read(volume: Volume, **options: Any) -> Iterator[Block]:
    gateway = EbsDirectGateway(volume, account_id="222233334444", region="eu-central-1")  # type: ignore[arg-type]
    return gateway.blocks(SNAPSHOT, **options)


def test_blocks_read_at_once_are_handed_out_in_order() -> None:
    found = list(read(Volume(20), threads=4))
    assert [b.number for b in found] == list(range(20))
    assert all(b.data[:4] == b.number.to_bytes(4, "big") for b in found)


def test_ending_early_reads_no_more_than_what_is_under_way() -> None:
    volume = Volume(1000)
    blocks = read(volume, threads=2)
    assert next(blocks).number == 0
    blocks.close()  # type: ignore[attr-defined]
    assert len(volume.asked) <= 4


def test_a_completed_snapshot_that_ebs_direct_does_not_know_yet_is_waited_for(
    stub: Stubber, ebs: EbsDirectGateway
) -> None:
    """Recorded by stackd, testdata/aws/ebs/copy_data_failures.json: up to 67 s of this answer after "completed"."""
    for _ in range(2):
        stub.add_client_error(
            "list_snapshot_blocks", "ResourceNotFoundException", modeled_fields={"Reason": "SNAPSHOT_NOT_FOUND"}
        )
    stub.add_response("list_snapshot_blocks", page([0]))
    assert ebs.volume_bytes(SNAPSHOT) == 8 * GIB


def test_a_key_that_cannot_be_used_is_not_a_snapshot_that_is_gone(stub: Stubber, ebs: EbsDirectGateway) -> None:
    """Recorded by stackd, sharing_data_contract.json: EBS direct says so with the code of a missing resource."""
    stub.add_client_error(
        "list_snapshot_blocks",
        "ResourceNotFoundException",
        "KMS key not found",
        modeled_fields={"Reason": "DEPENDENCY_RESOURCE_NOT_FOUND"},
    )
    with pytest.raises(AccessDeniedError, match="KMS key not found"):
        ebs.volume_bytes(SNAPSHOT)
