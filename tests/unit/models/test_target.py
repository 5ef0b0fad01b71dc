"""When SSM can reach a target."""

from __future__ import annotations

import pytest

from forensics.models.target import SsmStatus, Target
from tests.unit.builders import target


@pytest.mark.parametrize(
    ("status", "online"),
    [
        (SsmStatus(), False),
        (SsmStatus(managed=True), False),
        (SsmStatus(managed=True, ping="ConnectionLost"), False),
        (SsmStatus(ping="Online"), False),
        (SsmStatus(managed=True, ping="Online"), True),
    ],
)
def test_a_command_is_delivered_only_to_an_agent_that_is_online(status: SsmStatus, online: bool) -> None:
    assert status.online is online


def test_a_description_survives_json() -> None:
    described = target(facts={"uri": "s3://evidence/facts.json", "sha256": "a" * 64})
    assert Target.model_validate_json(described.model_dump_json()) == described
