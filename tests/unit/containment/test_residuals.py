"""What stays open, and how it can be closed."""

from __future__ import annotations

import pytest

from forensics.containment.residuals import RESIDUAL_DNS, RESIDUAL_TRACKED, hardening_options, residuals
from forensics.models.plan import Measure
from forensics.models.target_facts import ProfileFacts
from tests.unit.containment.targets import eni, facts


def test_what_stays_open_is_said() -> None:
    assert residuals(facts()) == (RESIDUAL_TRACKED, RESIDUAL_DNS)
    assert residuals(facts(state="stopped")) == ()
    known = ProfileFacts(association_id="a", name="app", arn="arn", role="app")
    assert "within seconds to about a minute" in residuals(facts(profile=known))[-1]
    unread = known.model_copy(update={"role": None, "role_unread": True})
    assert "IAM has not said which role" in residuals(facts(profile=unread))[-1]
    assert residuals(facts(profile=known.model_copy(update={"role": None}))) == (RESIDUAL_TRACKED, RESIDUAL_DNS)
    special = residuals(
        facts(spot=True, instance_store=True, eks_cluster="shop", interfaces=(eni(public_ip="198.51.100.1"),))
    )
    assert [any(word in r for r in special) for word in ("Spot", "instance-store", "never drain", "198.51.100.1")] == [
        True
    ] * 4


def test_the_last_hardening_option_is_the_only_proof() -> None:
    assert "stop the instance" in hardening_options(facts())[-1]
    assert hardening_options(facts(state="stopped")) == ()


@pytest.mark.parametrize(
    ("measure", "option"),
    [(Measure.DNS_FIREWALL, "DNS Firewall"), (Measure.STOP_AFTER_ACQUISITION, "stop the instance")],
)
def test_an_option_that_the_playbook_asks_for_says_so(measure: Measure, option: str) -> None:
    asked = [text for text in hardening_options(facts(), measures=(measure,)) if "the playbook asks" in text]
    assert len(asked) == 1 and option in asked[0]


def test_the_network_acl_names_the_subnets() -> None:
    options = hardening_options(facts(interfaces=(eni(0), eni(1, subnet_id="subnet-2"))))
    assert any("subnet-1, subnet-2" in option for option in options)


def test_the_deny_all_profile_leaves_nothing_to_revoke() -> None:
    profile = ProfileFacts(association_id="a", name="forensics-isolated", arn="arn", role="forensics-isolated")
    assert residuals(facts(profile=profile), deny_profile="forensics-isolated") == (RESIDUAL_TRACKED, RESIDUAL_DNS)
