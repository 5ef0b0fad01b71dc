"""Request ids of the changes that were made in AWS since the last custody event: what CloudTrail knows them by."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.model import OperationModel

KEPT = 64
# Reads change nothing; the ledger's own writes and a large object's parts would only hide the rest.
_READS = ("Get", "List", "Describe", "Head", "Query", "Scan", "Receive", "Lookup")
_LEFT_OUT = frozenset({"UploadPart", "TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem", "AssumeRole"})
_seen: ContextVar[deque[str] | None] = ContextVar("forensics_requests", default=None)


def watch(client: BaseClient) -> None:
    """Note the request id of every change that this client makes."""
    client.meta.events.register("after-call", _note)


def _note(*, parsed: Mapping[str, Mapping[str, str]], model: OperationModel, **_: object) -> None:
    request_id = parsed.get("ResponseMetadata", {}).get("RequestId")
    if not request_id or model.name.startswith(_READS) or model.name in _LEFT_OUT:
        return
    kept = _seen.get()
    if kept is None:
        kept = deque(maxlen=KEPT)
        _seen.set(kept)
    kept.append(f"{model.service_model.service_name}:{model.name} {request_id}")


def take() -> tuple[str, ...]:
    """The ids noted in this context since the last call, oldest first (at most 64)."""
    kept = _seen.get()
    if not kept:
        return ()
    found = tuple(kept)
    kept.clear()
    return found
