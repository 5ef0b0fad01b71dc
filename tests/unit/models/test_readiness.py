"""Facts of a running instance: what is not known speaks against nothing."""

from __future__ import annotations

from forensics.models.readiness import RunningInstance


def test_what_is_not_known_speaks_against_nothing() -> None:
    made = RunningInstance(account_id="333344445555", region="eu-central-1", instance_id="i-1")
    assert (made.memory_mib, made.way_to_s3, made.keys, made.ssm.managed) == (None, True, (), False)
