"""What a process asked of AWS: the ids of its changes since the last custody event, which CloudTrail knows, and its last call."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.model import OperationModel

KEPT = 64
# Reads change nothing; the ledger's own writes and a large object's parts would only hide the rest.
_READS = ("Get", "List", "Describe", "Head", "Query", "Scan", "Receive", "Lookup")
_LEFT_OUT = frozenset({"UploadPart", "TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem", "AssumeRole"})
_seen: ContextVar[deque[str] | None] = ContextVar("forensics_requests", default=None)


@dataclass(frozen=True)
class Asked:
    """One call: the service as its endpoint is named, the operation, the Region whose endpoint was asked."""

    service: str
    operation: str
    region: str


_last: ContextVar[Asked | None] = ContextVar("forensics_last_call", default=None)


def watch(client: BaseClient, *, region: str) -> None:
    """Note the request id of every change that this client of a Region makes, and which call was the last."""
    client.meta.events.register("after-call", _note)
    client.meta.events.register("before-parameter-build", partial(_remember, region))


def _remember(region: str, *, model: OperationModel, **_: object) -> None:
    _last.set(Asked(model.service_model.endpoint_prefix, model.name, region))


def last_call() -> Asked | None:
    """The call that was made last in this context."""
    return _last.get()


def forget_call() -> None:
    """What follows is another piece of work."""
    _last.set(None)


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
