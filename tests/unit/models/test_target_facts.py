"""Facts of the target: what the restore point holds comes back as it was stored."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from forensics.models.target_facts import InstanceFacts, OwnGroup
from tests.unit.containment.targets import everything, facts

RULE = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}


def test_a_restore_points_facts_survive_the_case_store() -> None:
    group = OwnGroup(id="sg-1", name="forensics-quarantine", vpc_id="vpc-1", egress=(RULE,))
    before = everything(own_groups=(group,), unknown=("IAM said no",))
    after = InstanceFacts.model_validate(json.loads(before.model_dump_json()))
    assert after == before
    assert after.own_groups[0].egress == (RULE,)


@pytest.mark.parametrize("changes", [{"account_id": "1"}, {"instance_id": "web-1"}, {"region": "europe"}, {"more": 1}])
def test_facts_of_no_instance_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        facts(**changes)
