"""The case store of the unit tests, for alarms on what the product records."""

from tests.unit.conftest import _moto, dynamodb, store

__all__ = ["_moto", "dynamodb", "store"]
