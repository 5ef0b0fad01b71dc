"""DynamoDB in memory for the interleavings: the client's operations that the case store uses, with conditions and transactions.

Items are not copied: neither side changes one that it has given or got.

A hundred thousand stories need microseconds a request. What it answers is held against moto's DynamoDB in ``test_dynamodb.py``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, Any]
Check = Callable[[Item, Mapping[str, str], Mapping[str, Any]], bool]
_TOKEN = re.compile(r"\s*(attribute_not_exists|attribute_exists|begins_with|OR\b|AND\b|IN\b|<=|=|<|\(|\)|,|[#:\w.]+)")
INDEXES = {"GSI1": ("GSI1PK", "GSI1SK"), "GSI2": ("GSI2PK", "GSI2SK")}


def _error(code: str, operation: str, **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}, **more}, operation)  # type: ignore[typeddict-item]


@lru_cache(maxsize=256)
def _parsed(expression: str) -> Check:
    """A condition: terms joined by OR and AND, as ``a OR b`` and ``a AND b`` (no precedence is mixed here)."""
    tokens = _TOKEN.findall(expression)
    check, at = _any_of(tokens, 0)
    if at != len(tokens):
        raise ValueError(f"not understood: {expression}")
    return check


def _any_of(tokens: list[str], at: int) -> tuple[Check, int]:
    first, at = _all_of(tokens, at)
    while at < len(tokens) and tokens[at] == "OR":
        second, at = _all_of(tokens, at + 1)
        first = (lambda a, b: lambda i, n, v: a(i, n, v) or b(i, n, v))(first, second)
    return first, at


def _all_of(tokens: list[str], at: int) -> tuple[Check, int]:
    first, at = _term(tokens, at)
    while at < len(tokens) and tokens[at] == "AND":
        second, at = _term(tokens, at + 1)
        first = (lambda a, b: lambda i, n, v: a(i, n, v) and b(i, n, v))(first, second)
    return first, at


def _term(tokens: list[str], at: int) -> tuple[Check, int]:
    name = tokens[at]
    if name in {"attribute_not_exists", "attribute_exists"}:
        path, wanted = tokens[at + 2], name == "attribute_exists"
        return (lambda i, n, v: (_get(i, path, n) is not None) is wanted), at + 4
    if name == "begins_with":
        path, value = tokens[at + 2], tokens[at + 4]
        return (lambda i, n, v: _plain(_get(i, path, n) or {"S": ""}).startswith(_plain(v[value]))), at + 6
    if tokens[at + 1] == "IN":
        end = tokens.index(")", at)
        values = [token for token in tokens[at + 3 : end] if token != ","]
        return (lambda i, n, v: _get(i, name, n) in [v[value] for value in values]), end + 1
    operator, value = tokens[at + 1], tokens[at + 2]
    return (lambda i, n, v: _compare(_get(i, name, n), operator, v[value])), at + 3


def _get(item: Item, path: str, names: Mapping[str, str]) -> Any:
    found: Any = {"M": item}
    for part in path.split("."):
        found = found.get("M", {}).get(names.get(part, part)) if isinstance(found, dict) else None
        if found is None:
            return None
    return found


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    return float(inner) if kind == "N" else inner


def _compare(found: Any, operator: str, value: Mapping[str, Any]) -> bool:
    if found is None or found.keys() != value.keys():
        return False
    left, right = _plain(found), _plain(value)
    return bool({"=": left == right, "<": left < right, "<=": left <= right}[operator])


class DynamoInMemory:
    """The client. ``before`` is called with the operation's name before each request, and may raise what the request then does."""

    def __init__(
        self, before: Callable[[str], None] = lambda _: None, after: Callable[[str], None] = lambda _: None
    ) -> None:
        self._items: dict[tuple[str, str], Item] = {}
        self._before, self._after = before, after

    # ------------------------------------------------------------------ single items
    def get_item(self, *, Key: Item, **_: Any) -> dict[str, Any]:
        """GetItem, always consistent."""
        self._before("GetItem")
        found = self._items.get(_id(Key))
        answer = {} if found is None else {"Item": found}
        self._after("GetItem")
        return answer

    def put_item(self, **request: Any) -> dict[str, Any]:
        """PutItem."""
        self._before("PutItem")
        self._require(request, request["Item"], "PutItem")
        self._items[_id(request["Item"])] = request["Item"]
        self._after("PutItem")
        return {}

    def update_item(self, **request: Any) -> dict[str, Any]:
        """UpdateItem with ``SET path = :value, …``."""
        self._before("UpdateItem")
        self._require(request, request["Key"], "UpdateItem")
        item = self._update(request)
        answer = {"Attributes": item}
        self._after("UpdateItem")
        return answer

    def delete_item(self, **request: Any) -> dict[str, Any]:
        """DeleteItem."""
        self._before("DeleteItem")
        self._require(request, request["Key"], "DeleteItem")
        self._items.pop(_id(request["Key"]), None)
        self._after("DeleteItem")
        return {}

    # ------------------------------------------------------------------ transactions and queries
    def transact_write_items(self, *, TransactItems: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        """TransactWriteItems: all or nothing."""
        self._before("TransactWriteItems")
        reasons = []
        for entry in TransactItems:
            ((kind, one),) = entry.items()
            holds = self._holds(one, one["Item"] if kind == "Put" else one["Key"])
            reasons.append({"Code": "None" if holds else "ConditionalCheckFailed"})
        if any(reason["Code"] != "None" for reason in reasons):
            raise _error("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)
        for entry in TransactItems:
            ((kind, one),) = entry.items()
            if kind == "Put":
                self._items[_id(one["Item"])] = one["Item"]
            elif kind == "Update":
                self._update(one)
            elif kind == "Delete":
                self._items.pop(_id(one["Key"]), None)
        self._after("TransactWriteItems")
        return {}

    def transact_get_items(self, *, TransactItems: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        """TransactGetItems: all at one moment."""
        self._before("TransactGetItems")
        found = [self._items.get(_id(entry["Get"]["Key"])) for entry in TransactItems]
        self._after("TransactGetItems")
        return {"Responses": [{} if item is None else {"Item": item} for item in found]}

    def query(self, **request: Any) -> dict[str, Any]:
        """Query of the table or of an index, in one page."""
        self._before("Query")
        check, values = _parsed(request["KeyConditionExpression"]), request["ExpressionAttributeValues"]
        order = INDEXES[request["IndexName"]][1] if "IndexName" in request else "SK"
        found = [item for item in self._items.values() if check(item, {}, values)]
        found.sort(key=lambda item: item[order]["S"], reverse=request.get("ScanIndexForward") is False)
        answer = {"Items": found[: request.get("Limit", len(found))]}
        self._after("Query")
        return answer

    def get_paginator(self, _operation: str) -> DynamoInMemory:
        """Only ``query`` is paged."""
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """One page."""
        yield self.query(**request)

    def items(self) -> list[Item]:
        """All that is stored, by key."""
        return [self._items[key] for key in sorted(self._items)]

    def _holds(self, request: Mapping[str, Any], key: Item) -> bool:
        expression = request.get("ConditionExpression")
        if expression is None:
            return True
        names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
        return _parsed(expression)(self._items.get(_id(key), {}), names, values)

    def _require(self, request: Mapping[str, Any], key: Item, operation: str) -> None:
        if not self._holds(request, key):
            raise _error("ConditionalCheckFailedException", operation)

    def _update(self, request: Mapping[str, Any]) -> Item:
        # what was read before stays what it was
        item = copy.deepcopy(self._items.get(_id(request["Key"]), request["Key"]))
        self._items[_id(request["Key"])] = item
        names, values = request.get("ExpressionAttributeNames", {}), request["ExpressionAttributeValues"]
        for change in request["UpdateExpression"].removeprefix("SET ").split(", "):
            path, value = change.split(" = ")
            *outer, last = [names.get(part, part) for part in path.split(".")]
            place = item
            for name in outer:
                place = place[name]["M"]
            place[last] = values[value]
        return item


def _id(key: Item) -> tuple[str, str]:
    return key["PK"]["S"], key["SK"]["S"]
