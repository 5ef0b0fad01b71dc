"""DynamoDB: a transaction with the same ClientRequestToken is applied once, and costs the same however full the table is."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from lab.emulator.patches.patching import add, replace

TOKEN_SECONDS = 600.0
_done: dict[tuple[str, str, str], tuple[float, str, Any]] = {}
_transaction = threading.local()


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


def _operations(original: Callable[..., None]) -> Callable[..., None]:
    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        _transaction.operations = [op for item in transact_items for op in item.values()]
        try:
            original(self, transact_items)
        finally:
            _transaction.operations = None

    return transact_write_items


def _copy(table: Any, memo: dict[int, Any]) -> Any:
    """A table as it was: what a transaction is rolled back to.

    Stock moto copies every item of the table, for each transaction. A transaction changes nothing but its own items in
    place; the others can be shared between the table and its copy.
    """
    operations = getattr(_transaction, "operations", None)
    made = copy.copy(table)
    if operations is None:
        made.__dict__.update(copy.deepcopy(table.__dict__, memo))
        return made
    ranged = table.has_range_key
    made.items = table.items.copy()  # the hashes are kept: computing them anew is what takes long in a full table
    for operation in operations:
        if operation.get("TableName") != table.name:
            continue
        keys = operation.get("Key") or operation["Item"]
        place = [DynamoType(keys[n]) for n in (table.hash_key_attr, table.range_key_attr) if n]
        if ranged and place[0] in made.items and made.items[place[0]] is table.items[place[0]]:
            made.items[place[0]] = table.items[place[0]].copy()
        found = table.get_item(*place)
        if found is None:
            continue
        if ranged:
            made.items[found.hash_key][found.range_key] = copy.deepcopy(found)
        else:
            made.items[found.hash_key] = copy.deepcopy(found)
    if table.stream_shard is not None:
        made.stream_shard = copy.copy(table.stream_shard)
        made.stream_shard.items, made.stream_shard.table = list(table.stream_shard.items), made
    return made


def apply() -> None:
    """Install the patch."""
    replace(DynamoDBBackend, "transact_write_items", _operations)
    add(Table, "__deepcopy__", _copy)
    replace(DynamoHandler, "transact_write_items", _transact)
