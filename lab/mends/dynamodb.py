"""DynamoDB: a transaction with the same ClientRequestToken is applied once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.responses import DynamoHandler

from lab.mends.patching import replace

TOKEN_SECONDS = 600.0
_done: dict[tuple[str, str, str], tuple[float, str, Any]] = {}


def _transact(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def transact_write_items(self: Any) -> Any:
        token = self.body.get("ClientRequestToken")
        if not token:
            return original(self)
        key = (self.current_account, self.region, token)
        digest = hashlib.sha256(json.dumps(self.body["TransactItems"], sort_keys=True).encode()).hexdigest()
        now = time.monotonic()
        if key in _done and now - _done[key][0] < TOKEN_SECONDS:
            if _done[key][1] != digest:
                raise JsonRESTError(
                    "IdempotentParameterMismatchException",
                    "The client token was used before with other parameters.",
                )
            return _done[key][2]
        answer = original(self)
        _done[key] = (now, digest, answer)
        return answer

    return transact_write_items


def apply() -> None:
    """Install the mend."""
    replace(DynamoHandler, "transact_write_items", _transact)
