"""A statement is written once, signed by the product's key, and believed only for the AMI that it names."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from forensics.errors import InvestigationError, ResourceGoneError
from forensics.investigation.ami_statements import AmiStatements
from tests.unit.investigation.test_ami_statement import RECORD
from tests.unit.recorders import EvidenceInMemory
from tests.unit.signing import SigningKms, signing_key

PREFIX = f"cases/fc-ami-build/{RECORD.ami_id}/"


@pytest.fixture
def store() -> EvidenceInMemory:
    return EvidenceInMemory()


@pytest.fixture
def statements(store: EvidenceInMemory) -> AmiStatements:
    return AmiStatements(store, signing_key())


def test_what_was_published_is_believed(store: EvidenceInMemory, statements: AmiStatements) -> None:
    where = statements.publish(RECORD)
    assert where.endswith(f"{PREFIX}statement.dsse.json")
    assert statements.publish(RECORD) == where, "a second try finds it"
    assert "is the one of the signed statement" in statements.check(RECORD.ami_id, required=True)


def test_an_ami_without_a_statement_is_told_or_refused(statements: AmiStatements) -> None:
    said = statements.check("ami-1", required=False)
    assert "has no signed statement" in said and "of your own" in said
    with pytest.raises(InvestigationError, match="has no signed statement") as refused:
        statements.check("ami-1", required=True)
    assert "forensic_ami_build" in refused.value.next_action


@pytest.mark.parametrize("required", [True, False])
def test_a_statement_that_is_wrong_refuses_always(
    store: EvidenceInMemory, statements: AmiStatements, required: bool
) -> None:
    """Another image's, one that the key did not sign, one that was changed, and none at all."""
    statements.publish(RECORD)
    body = store.read_json(f"{PREFIX}statement.dsse.json")
    assert isinstance(body, dict)
    changed = json.loads(base64.b64decode(str(body["payload"])))
    changed["predicate"]["runDetails"]["builder"]["id"] = "somebody"
    other: Any = AmiStatements(EvidenceInMemory(), signing_key(SigningKms()))
    other.publish(RECORD)
    foreign = other._store.read_json(f"{PREFIX}statement.dsse.json")
    wrongs: list[Any] = [
        {**body, "payload": base64.b64encode(json.dumps(changed).encode()).decode()},
        {**body, "signatures": [{"keyid": "k", "sig": "!"}]},
        foreign,
        {"no": "envelope"},
    ]
    for number, wrong in enumerate(wrongs):
        held = EvidenceInMemory()
        held.put(f"{PREFIX}statement.dsse.json", json.dumps(wrong).encode())
        with pytest.raises(InvestigationError, match=r"cannot be read|did not sign it") as refused:
            AmiStatements(held, statements._key).check(RECORD.ami_id, required=required)
        assert "tampered" in refused.value.next_action, number
    # a good statement under the name of another AMI
    moved = EvidenceInMemory()
    moved.put("cases/fc-ami-build/ami-9/statement.dsse.json", json.dumps(body).encode())
    with pytest.raises(InvestigationError, match="is not about AMI ami-9"):
        AmiStatements(moved, statements._key).check("ami-9", required=required)


def test_a_store_that_cannot_be_asked_is_no_missing_statement(
    statements: AmiStatements, store: EvidenceInMemory
) -> None:
    from forensics.errors import AccessDeniedError

    def refuse(key: str, **_: object) -> Any:
        raise AccessDeniedError("denied")

    store.read_json = refuse  # type: ignore[method-assign]
    with pytest.raises(AccessDeniedError):
        statements.check(RECORD.ami_id, required=False)
    assert not issubclass(AccessDeniedError, ResourceGoneError)
