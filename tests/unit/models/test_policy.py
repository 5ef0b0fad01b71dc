"""Parts of the policy that refuse by themselves; the whole is tested with its reader in triage."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from forensics.models.plan import Action
from forensics.models.policy import Isolation, Playbook, Rule, TagRules, WhenTarget


def test_a_playbook_acquires_and_isolates_by_severity_unless_it_says_otherwise() -> None:
    playbook = Playbook(title="Some kind")
    assert playbook.acquire == (Action.MEMORY, Action.DISK)
    assert (playbook.isolate, playbook.when_target) == (Isolation.BY_SEVERITY, WhenTarget.NO_ISOLATION)


def test_isolation_is_not_an_acquisition() -> None:
    with pytest.raises(ValidationError, match="isolation has a field of its own"):
        Playbook(title="Some kind", acquire=(Action.ISOLATE,))


def test_a_tag_that_asks_for_more_is_in_the_protected_namespace() -> None:
    assert TagRules(acquire="forensics:acquire").suppressing == ()
    with pytest.raises(ValidationError, match="acquire"):
        TagRules(acquire="acquire")


def test_a_rule_names_types_and_a_playbook() -> None:
    with pytest.raises(ValidationError, match="types"):
        Rule(types=(), playbook="general")
    with pytest.raises(ValidationError, match="playbook"):
        Rule(types=("X:Y/Z",), playbook="Not A Name")
