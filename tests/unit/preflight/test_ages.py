"""What counts as unusable, unrotated or gone, and that one refusal keeps no other age from being measured. By cause: tests/integration/test_ages.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.aws.channel_secrets import SecretsGateway
from forensics.aws.kms import KeyAge, KeyGateway
from forensics.aws.ssm import SsmGateway
from forensics.errors import AccessDeniedError, ResourceGoneError
from forensics.preflight.ages import UNUSABLE, measure
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import REGION, FakeHook, settings_with

NOW = datetime(2026, 11, 30, tzinfo=UTC)
KEYS = {"known": KeyAge("Enabled", NOW - timedelta(days=9), signs=True)}


class Keys:
    """Answers by the key's name; an error is raised."""

    def __init__(self, **answers: KeyAge | Exception) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def age(self, name: str) -> KeyAge:
        self.asked.append(name)
        answer = self.answers.get(name.rpartition("/")[2], KEYS["known"])
        if isinstance(answer, Exception):
            raise answer
        return answer


def looked(monkeypatch: pytest.MonkeyPatch, keys: Keys, **settings: str) -> Any:
    """Every other look is refused."""

    def refused(_: object) -> Any:
        raise AccessDeniedError("read the parameter of the AMI: denied")

    monkeypatch.setattr(SsmGateway, "of", refused)
    monkeypatch.setattr(KeyGateway, "of", lambda _: keys)
    hook = FakeHook(settings_with(**settings), refused={"custodian"})
    return measure(PreflightScope(hook, run="r"), now=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", sorted(UNUSABLE))
def test_a_key_in_such_a_state_counts(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    found = looked(monkeypatch, Keys(evidence=KeyAge(state, NOW, signs=False)))
    assert found.figures["KeysUnusable"] == 1 and found.figures["SigningKeyDays"] == 9


@pytest.mark.parametrize(
    ("rotates", "due", "late"), [(False, None, 1), (True, -1, 1), (True, 1, 0), (True, None, 0), (None, None, 0)]
)
def test_rotation_that_is_off_or_overdue_counts(
    monkeypatch: pytest.MonkeyPatch, rotates: bool | None, due: int | None, late: int
) -> None:
    when = NOW + timedelta(days=due) if due is not None else None
    found = looked(monkeypatch, Keys(evidence=KeyAge("Enabled", NOW, signs=False, rotates=rotates, next_rotation=when)))
    assert found.figures["KeysNotRotated"] == late


def test_a_missing_alias_of_another_region_is_named_and_does_not_count_a_missing_key_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = ResourceGoneError("no such key")
    keys = Keys(**{"forensics-evidence": gone})
    found = looked(monkeypatch, keys, member_regions=f"{REGION},us-east-1", cross_region_from="us-east-1")
    assert keys.asked.count("alias/forensics-evidence") == 1
    assert found.figures["KeysUnusable"] == 0 and any("us-east-1: gone" in line for line in found.lines)
    assert looked(monkeypatch, Keys(signing=gone)).figures["KeysUnusable"] == 1


def test_one_refusal_is_named_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys(signing=AccessDeniedError("look at key signing: denied"))
    found = looked(monkeypatch, keys, external_id_since="2026-11-20")
    assert found.figures["ExternalIdDays"] == 10 and found.figures["KeysUnusable"] == 0
    assert any("key signing" in p and "What to do next" in p for p in found.problems)
    # the symbol library: the custodian's role cannot be assumed
    assert any("custodian" in p for p in found.problems)


def test_a_signing_key_that_cannot_be_looked_at_is_not_called_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure of 0 days would say that all is well: without a figure the alarm keeps its state."""
    denied = AccessDeniedError("look at the key: denied")
    asked = looked(monkeypatch, keys := Keys())
    found = looked(monkeypatch, Keys(**{name.rpartition("/")[2]: denied for name in keys.asked}))
    assert "SigningKeyDays" in asked.figures and "SigningKeyDays" not in found.figures


def test_every_shared_secret_counts_also_where_names_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ages = {"forensics/channel/a": 5, "forensics/channel/b": 700, "forensics/webhook/c": 9}

    class Secrets:
        def made(self, name: str) -> datetime:
            if name.endswith("gone"):
                raise AccessDeniedError(f"read the secret {name}: denied")
            return NOW - timedelta(days=ages[name])

    monkeypatch.setattr(SecretsGateway, "of", lambda _: Secrets())
    shared = {
        "channels": "soc=forensics/channel/b, lost=forensics/channel/gone",
        "pushes": "soc=forensics/channel/a",
        "webhook_senders": "edr=forensics/webhook/c",
    }
    found = looked(monkeypatch, Keys(), **shared)
    assert found.figures["ChannelSecretDays"] == 700
    for said in ("channel soc", "push soc", "webhook sender edr"):
        assert any(said in line for line in found.lines)
    assert any("forensics/channel/gone" in problem for problem in found.problems)
