"""EBS direct: snapshots are read in 512 KiB blocks with checksums, from the image files of the lab."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ebs.models import EBSBackend, EBSSnapshot, ebs_backends
from moto.ebs.responses import EBSResponse
from moto.ec2.models import ec2_backends

from lab.emulator import images
from lab.emulator.patches import accounts, state
from lab.emulator.patches.ec2_snapshots import key_problem, visible_snapshot
from lab.emulator.patches.patching import replace

TOKEN_LIFE = timedelta(days=7)
PAGE_LIMITS = (100, 10_000)


# what the lab remembers of each snapshot: calls after its completion; and the number of all calls, for throttling
_asked: dict[tuple[str, str], int] = {}
_calls = itertools.count(1)


class EbsError(JsonRESTError):
    """An error of EBS direct with the Reason that its model has (botocore, ebs 2019-11-02)."""

    def __init__(self, code: str, message: str, reason: str, *, status: int = 400) -> None:
        super().__init__(code, message)
        self.code = status
        self.description = json.dumps({"__type": code, "Message": message, "message": message, "Reason": reason})


def _refuse(response: Any, snapshot: Any) -> None:
    """What EBS direct answers although EC2 calls the snapshot completed; root keys look from outside and are not refused."""
    if accounts.is_root(response.get_access_key()):
        return
    config, caller = state.current().config, response.current_account
    if random.Random(f"{config.hidden_seed}:{next(_calls)}").random() < config.ebs_direct_throttled_share:
        raise EbsError("RequestThrottledException", "Rate exceeded.", "ACCOUNT_THROTTLED")
    seen = _asked[caller, snapshot.id] = _asked.get((caller, snapshot.id), 0) + 1
    if seen <= config.ebs_direct_hidden_calls:
        text = f"The snapshot '{snapshot.id}' does not exist."
        raise EbsError("ResourceNotFoundException", text, "SNAPSHOT_NOT_FOUND", status=404)
    if key_problem(snapshot, account=caller):
        raise EbsError("ResourceNotFoundException", "KMS key not found", "DEPENDENCY_RESOURCE_NOT_FOUND", status=404)


class _Reader:
    """The blocks of one snapshot, whichever way they came into the lab."""

    def __init__(self, response: Any, snapshot_id: str) -> None:
        backend = ec2_backends[response.current_account][response.region]
        self.snapshot = visible_snapshot(backend, snapshot_id)
        if self.snapshot is None:
            text = f"The snapshot '{snapshot_id}' does not exist."
            raise EbsError("ResourceNotFoundException", text, "SNAPSHOT_NOT_FOUND", status=404)
        if self.snapshot.status != "completed":
            raise JsonRESTError(
                "ValidationException",
                f"Snapshot {snapshot_id} is not completed; it is {self.snapshot.status}",
            )
        _refuse(response, self.snapshot)
        self.path = images.snapshot_path(snapshot_id)
        origin = self.snapshot
        while getattr(origin, "_lab_copied_from", None) is not None:
            origin = origin._lab_copied_from
        owner = origin.ec2_backend
        self.written = ebs_backends[owner.account_id][owner.region_name].snapshots.get(origin.id)

    def indexes(self) -> list[int]:
        if self.path is not None:
            return images.block_indexes(self.path)
        return sorted(self.written.blocks) if self.written is not None else []

    def block(self, index: int) -> bytes:
        if self.path is not None:
            return images.read_block(self.path, index=index)
        stored = self.written.blocks.get(index) if self.written is not None else None
        if stored is None:
            raise JsonRESTError("ResourceNotFoundException", f"Snapshot {self.snapshot.id} has no block {index}")
        return bytes(stored.block_data)


def _token(snapshot_id: str, index: int) -> str:
    return base64.b64encode(f"{snapshot_id}:{index}".encode()).decode()


def _page(response: Any, indexes: list[int]) -> tuple[list[int], dict[str, Any]]:
    wanted = int(response._get_param("MaxResults") or PAGE_LIMITS[1])
    size = min(max(wanted, PAGE_LIMITS[0]), PAGE_LIMITS[1])
    token, start = response._get_param("NextToken"), int(response._get_param("StartingBlockIndex") or 0)
    if token:
        try:
            start = int(base64.b64decode(token))
        except (binascii.Error, ValueError) as error:
            raise JsonRESTError("ValidationException", "The pagination token is not valid.") from error
    rest = [index for index in indexes if index >= start]
    page = rest[:size]
    common: dict[str, Any] = {"BlockSize": images.BLOCK_BYTES, "ExpiryTime": datetime.now(UTC) + TOKEN_LIFE}
    if len(rest) > size:
        common["NextToken"] = base64.b64encode(str(rest[size]).encode()).decode()
    return page, common


def _list_blocks(_original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def list_snapshot_blocks(self: Any) -> ActionResult:
        reader = _Reader(self, self._get_param("SnapshotId"))
        page, common = _page(self, reader.indexes())
        blocks = [{"BlockIndex": index, "BlockToken": _token(reader.snapshot.id, index)} for index in page]
        return ActionResult(common | {"Blocks": blocks, "VolumeSize": reader.snapshot.volume_size})

    return list_snapshot_blocks


def _list_changed(_original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def list_changed_blocks(self: Any) -> ActionResult:
        first = self._get_param("FirstSnapshotId")
        second = _Reader(self, self._get_param("SecondSnapshotId"))
        before = _Reader(self, first) if first else None
        old = set(before.indexes()) if before else set()
        new = set(second.indexes())
        changed = list(old ^ new)
        if before is not None:
            changed += [i for i in sorted(old & new) if before.block(i) != second.block(i)]
        page, common = _page(self, sorted(changed))
        blocks = []
        for index in page:
            block: dict[str, Any] = {"BlockIndex": index}
            if before is not None and index in old:
                block["FirstBlockToken"] = _token(before.snapshot.id, index)
            if index in new:
                block["SecondBlockToken"] = _token(second.snapshot.id, index)
            blocks.append(block)
        return ActionResult(common | {"ChangedBlocks": blocks, "VolumeSize": second.snapshot.volume_size})

    return list_changed_blocks


def _get_block(_original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get_snapshot_block(self: Any) -> ActionResult:
        snapshot_id, index = self._get_param("SnapshotId"), int(self._get_param("BlockIndex"))
        if self._get_param("BlockToken") != _token(snapshot_id, index):
            raise JsonRESTError("ValidationException", "The block token is not valid for this block.")
        data = _Reader(self, snapshot_id).block(index)
        return ActionResult(
            {
                "DataLength": images.BLOCK_BYTES,
                "BlockData": data,
                "Checksum": images.checksum(data),
                "ChecksumAlgorithm": "SHA256",
            }
        )

    return get_snapshot_block


def _put_block(original: Callable[..., Any]) -> Callable[..., Any]:
    def put_snapshot_block(
        self: Any,
        snapshot_id: str,
        block_index: int,
        block_data: bytes,
        checksum: str | None,
        checksum_algorithm: str | None,
        data_length: int | None,
    ) -> Any:
        snapshot = self.snapshots.get(snapshot_id)
        if snapshot is None:
            raise JsonRESTError("ResourceNotFoundException", f"The snapshot '{snapshot_id}' does not exist.")
        if snapshot.status != "pending":
            raise JsonRESTError("ConflictException", f"Snapshot {snapshot_id} is not pending")
        if checksum and images.checksum(bytes(block_data)) != checksum:
            raise JsonRESTError("ValidationException", "The checksum does not match the block data.")
        return original(self, snapshot_id, block_index, block_data, checksum, checksum_algorithm, data_length)

    return put_snapshot_block


def _initialise(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.block_size = images.BLOCK_BYTES

    return __init__


def apply() -> None:
    """Install the patch."""
    replace(EBSSnapshot, "__init__", _initialise)
    replace(EBSBackend, "put_snapshot_block", _put_block)
    replace(EBSResponse, "list_snapshot_blocks", _list_blocks)
    replace(EBSResponse, "list_changed_blocks", _list_changed)
    replace(EBSResponse, "get_snapshot_block", _get_block)
