"""JSON values as DynamoDB attribute values, and back, without loss."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from pydantic import JsonValue

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_SURROGATE = re.compile("[\ud800-\udfff]")
_SERIALIZER, _DESERIALIZER = TypeSerializer(), TypeDeserializer()
# Beyond this a JSON number is a float; as an integer it would get another digest (RFC 8785).
LARGEST_INTEGER = 2**53


def to_item(value: JsonValue) -> AttributeValueTypeDef:
    """A JSON value as a DynamoDB attribute value (floats become exact decimals).

    A lone surrogate, which UTF-8 and so DynamoDB does not have, is written as its number: nothing is lost for it.
    """
    text = _SURROGATE.sub(lambda found: f"[U+{ord(found.group()):04X}]", json.dumps(value, ensure_ascii=False))
    return _SERIALIZER.serialize(json.loads(text, parse_float=Decimal))


def from_item(attribute: AttributeValueTypeDef) -> JsonValue:
    """The JSON value of a DynamoDB attribute value; raises TypeError for sets and binary values, which JSON lacks."""
    return _plain(_DESERIALIZER.deserialize(attribute))


def _plain(value: object) -> JsonValue:
    if isinstance(value, Decimal):
        exact = value == value.to_integral_value() and abs(value) <= LARGEST_INTEGER
        return int(value) if exact else float(value)
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | bool):
        return value
    msg = f"a DynamoDB attribute of type {type(value).__name__} is not JSON"
    raise TypeError(msg)
