"""What an audit compares, one difference at a time."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from forensics.custody.audit_rules import AuditedObject, head_differences, object_differences, snapshot_differences
from forensics.models.custody import AuditedSnapshot, SignedHead, SigningKey
from tests.unit.builders import NOW
from tests.unit.keypair import KeyPair

URI = "s3://evidence/cases/c/a"
EVENTS = [{"seq": 7, "detail": {"uri": URI, "sha256": "a" * 64}}]
PAIR = KeyPair()
KEY = SigningKey(arn="arn:aws:kms:eu-central-1:222233334444:key/signing", der=PAIR.der())


def stored(**changes: Any) -> AuditedObject:
    """An object as it should be."""
    values: dict[str, Any] = {
        "uri": URI, "key": "a", "versions": 1, "sha256": "a" * 64, "size_bytes": 1,
        "mode": "COMPLIANCE", "until": NOW + timedelta(days=1), "legal_hold": True,
    }  # fmt: skip
    return AuditedObject(**{**values, **changes})


def of_objects(*found: AuditedObject, hold: bool = True) -> list[str]:
    """Differences as the report prints them."""
    return [str(d) for d in object_differences(found, events=EVENTS, now=NOW, legal_hold=hold)]


def test_an_object_as_it_was_recorded_has_none() -> None:
    assert of_objects(stored()) == []
    assert of_objects(stored(legal_hold=False), hold=False) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "b" * 64}, f"has SHA-256 {'b' * 64}; ledger event 7 says {'a' * 64}"),
        ({"versions": 2}, "has 2 versions"),
        ({"hidden": True}, "is hidden by a delete marker"),
        ({"mode": None}, "is not locked"),
        ({"until": NOW}, "is not locked"),
        ({"until": None}, "is not locked"),
        ({"legal_hold": False}, "has no legal hold"),
    ],
)
def test_each_change_of_an_object_is_named(change: dict[str, Any], words: str) -> None:
    (difference,) = of_objects(stored(**change))
    assert difference.startswith(f"{URI}: ") and words in difference


def test_an_object_that_is_gone_is_named_with_its_event() -> None:
    assert of_objects() == [f"{URI}: is gone; ledger event 7 says that it was stored with SHA-256 {'a' * 64}"]


def snapshot(**changes: Any) -> AuditedSnapshot:
    """A locked snapshot."""
    values: dict[str, Any] = {
        "snapshot_id": "snap-1", "account_id": "333344445555", "state": "completed",
        "lock_state": "compliance", "until": NOW + timedelta(days=30),
    }  # fmt: skip
    return AuditedSnapshot(**{**values, **changes})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"state": None}, ["is gone"]),
        ({"state": "error"}, ["is in state error"]),
        ({"public": True}, ["is public"]),
        ({"lock_state": None}, ["is not locked"]),
        ({"until": NOW}, ["is not locked"]),
        ({"until": NOW + timedelta(days=1)}, ["earlier than"]),
        ({"public": True, "lock_state": None}, ["is public", "is not locked"]),
    ],
)
def test_each_change_of_a_snapshot_is_named(change: dict[str, Any], words: list[str]) -> None:
    recorded = {"snap-1": (NOW + timedelta(days=30)).isoformat()}
    found = snapshot_differences([snapshot(**change)], recorded=recorded, now=NOW)
    assert len(found) == len(words)
    for difference, word in zip(found, words, strict=True):
        assert difference.part == "snapshot snap-1 in account 333344445555" and word in difference.what


@pytest.mark.parametrize(
    ("key", "recorded", "said"),
    [
        ("key-a", {"snap-1": "key-a"}, []),
        ("key-b", {"snap-1": "key-a"}, ["is encrypted under key-b, not under key-a as was recorded"]),
        (None, {"snap-1": "key-a"}, ["is encrypted under no key, not under key-a as was recorded"]),
        ("key-b", {}, []),
    ],
)
def test_another_key_than_the_recorded_one_is_named(key: str | None, recorded: dict[str, str], said: list[str]) -> None:
    found = snapshot_differences([snapshot(key_id=key)], recorded={}, now=NOW, keys=recorded)
    assert [difference.what for difference in found] == said


def head(**changes: Any) -> SignedHead:
    """A head that was signed with the key; ``statement`` is signed as given."""
    statement = changes.pop("statement", json.dumps({"seq": 3, "head": "h"}))
    values: dict[str, Any] = {
        "seq": 3, "phase": "close", "head": "h", "uri": URI, "statement": statement, "signature": PAIR.sign(statement.encode()),
        "algorithm": "ECDSA_SHA_384", "key_arn": KEY.arn, "public_key_der": base64.b64encode(KEY.der).decode(),
    }  # fmt: skip
    return SignedHead(**{**values, **changes})


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (head(), []),
        (head(public_key_der=base64.b64encode(KeyPair().der()).decode()), ["was not signed with the key"]),
        (head(signature=head(statement="{}").signature), ["its signature does not fit"]),
        (head(statement=json.dumps({"seq": 4, "head": "h"})), ["its statement names another head"]),
        (head(uri="s3://evidence/cases/c/gone"), ["its locked object s3://evidence/cases/c/gone is gone"]),
    ],
    ids=["whole", "key", "signature", "statement", "object"],
)
def test_each_fault_of_a_signed_head_is_named(found: SignedHead, words: list[str]) -> None:
    differences = head_differences([found], key=KEY, stored={URI})
    assert [d.part for d in differences] == ["signed head 3 (close)"] * len(words)
    assert all(word in d.what for word, d in zip(words, differences, strict=True))
