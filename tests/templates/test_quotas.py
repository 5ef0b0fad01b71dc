"""No policy, document or template is over its quota, for the longest names; one that is would be named."""

from __future__ import annotations

import pytest

from infra.deployment import quotas
from infra.deployment.quotas import QUOTAS, Use


def test_everything_that_is_deployed_is_within_its_quota() -> None:
    found = quotas.largest()
    assert set(found) == set(QUOTAS), "each quota has something to say about"
    over = [str(use) for use in found.values() if use.share > 1]
    assert over == []
    # computed, not estimated: a role's policies are thousands of characters, a document tens of thousands
    assert found["role: inline policies"].size > 3_000 and found["SSM document"].size > 40_000


def test_names_are_the_longest_that_a_deployment_may_have() -> None:
    (one, _) = quotas.example()
    text = str([use for use in quotas.uses(one) if use.kind == "template"])
    assert one.deployment_id == "a" * 13 and one.region == "ap-southeast-2" and "mwaa" in text


def test_what_is_over_is_named_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUOTAS, "key policy", 100)
    use = quotas.largest()["key policy"]
    assert use.share > 1 and f"keys.{use.where.partition('.')[2]} takes {use.size:,} of 100" in str(use)
    assert str(Use("template", "x", 1_048_576)).endswith("(100%)")
