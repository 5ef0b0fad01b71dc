"""The case store on moto's DynamoDB, as unit tests have it."""

from tests.unit.conftest import _moto, dynamodb, store

__all__ = ["_moto", "dynamodb", "store"]
