"""JSON values as DynamoDB attribute values, and back, without loss."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

_SER, _DE = TypeSerializer(), TypeDeserializer()


def to_item(value: Any) -> Any:
    """A JSON value as a DynamoDB attribute value (floats become exact decimals)."""
    return _SER.serialize(json.loads(json.dumps(value), parse_float=Decimal))


def from_item(attribute: Any) -> Any:
    """The JSON value of a DynamoDB attribute value."""
    return _plain(_DE.deserialize(attribute))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        # Beyond 2**53 a JSON number is a float; as an integer it would get another digest (RFC 8785).
        exact = value == value.to_integral_value() and abs(value) <= 2**53
        return int(value) if exact else float(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value
