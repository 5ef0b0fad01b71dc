"""What the release before left behind is read by this one, and what a later one adds to it does not stop this one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BaseModel

from forensics.aws.attributes import to_item
from forensics.aws.case_store import CaseStore
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.case.recorder import CaseGateways, CaseRecorder
from forensics.containment.release_plan import release_calls
from forensics.containment.restore_points import RestorePoints
from forensics.custody.chain import canonical, verify_chain
from forensics.custody.ledger import CustodyLedger
from forensics.errors import CustodyError
from forensics.models.base import Model
from forensics.models.custody import CustodyEvent
from forensics_verify.cli import main as forensics_verify
from infra.deployment.stored_kinds import NOT_MODELS, READERS, kind_of, read
from tests.unit.recorders import EvidenceInMemory, LandingInMemory, Mailbox, ToolsInMemory
from tests.upgrade.recorded import names, recording

RELEASES = names()


def items(release: str) -> list[dict[str, Any]]:
    """Every recorded item that a model reads."""
    found = [i for i in recording(release)["items"] if i["data"] is not None]
    return found + [i for ledger in recording(release)["ledgers"].values() for i in ledger]


def lost(stored: Any, kept: Any, place: str = "") -> Iterator[str]:
    """What stands in the first value and not in the second; what says nothing (null, empty) may be left out."""
    if isinstance(stored, dict) and isinstance(kept, dict):
        for key, value in stored.items():
            if value not in (None, [], {}, ""):
                yield from lost(value, kept.get(key), f"{place}.{key}")
    elif isinstance(stored, list) and isinstance(kept, list) and len(stored) == len(kept):
        for number, (one, other) in enumerate(zip(stored, kept, strict=True)):
            yield from lost(one, other, f"{place}[{number}]")
    elif stored != kept:
        yield f"{place}: {stored!r} became {kept!r}"


def test_there_is_a_recording_and_it_holds_every_step() -> None:
    assert "495670d" in RELEASES, "the release before"
    for release in RELEASES:
        steps = {i["step"] for i in recording(release)["items"]}
        assert {"finding_intake.receive_findings", "forensic_case.memory.capture_memory"} <= steps
        assert recording(release)["problems"] == [], "a story that ended badly records half of what there is"


@pytest.mark.parametrize("release", RELEASES)
def test_every_kind_of_item_has_a_reader_and_is_read_without_loss(release: str) -> None:
    kinds = {kind_of(i["SK"]) for i in recording(release)["items"] if i["data"] is not None}
    assert not kinds - set(READERS) - set(NOT_MODELS)
    gone = [
        f"{item['SK']}{what}"
        for item in items(release)
        if kind_of(item["SK"]) in READERS
        for what in lost(item["data"], json.loads(read(item["SK"], item["data"]).model_dump_json(by_alias=True)))
    ]
    assert gone == []


def later(data: Any, value: object) -> Any:
    """The same item as a later release might write it: every model in it has a field more."""
    if isinstance(value, BaseModel) and isinstance(data, dict):
        fields = type(value).model_fields
        inner = {(f.serialization_alias or f.alias or n): getattr(value, n) for n, f in fields.items()}
        return {**{k: later(v, inner.get(k)) for k, v in data.items()}, "of_a_later_release": {"x": ["y"]}}
    if isinstance(value, dict) and isinstance(data, dict):
        return {k: later(v, value.get(k)) for k, v in data.items()}
    if isinstance(value, list | tuple) and isinstance(data, list):
        return [later(one, other) for one, other in zip(data, value, strict=True)]
    return data


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_later_release_adds_is_left_out(release: str) -> None:
    changed = 0
    for item in items(release):
        if kind_of(item["SK"]) in READERS and kind_of(item["SK"]) != "CUSTODY#":
            value = read(item["SK"], item["data"])
            more = later(item["data"], value)
            changed += json.dumps(more).count("of_a_later_release")
            assert read(item["SK"], more) == value, item["SK"]
    assert changed > 300


@pytest.mark.parametrize("release", RELEASES)
def test_its_chains_hold_also_with_what_a_later_release_adds_to_an_event(release: str) -> None:
    for case_id, ledger in recording(release)["ledgers"].items():
        stored = [i["data"] for i in ledger if i["SK"].startswith("CUSTODY#")]
        head = next(i["data"] for i in ledger if i["SK"] == "CUSTODYHEAD")
        assert verify_chain([CustodyEvent.stored(e) for e in stored]) == head["digest"], case_id
        assert len(stored) == head["seq"] > 5
        # the next event, by a release that says more of it and has an action more
        more = {
            **stored[-1],
            "seq": len(stored) + 1,
            "previous": head["digest"],
            "action": "DRONE_SENT",
            "drone": {"id": 1},
        }
        more["facts"] = {**more["facts"], "pilot": "x"}
        more["digest"] = hashlib.sha256(canonical({k: v for k, v in more.items() if k != "digest"})).hexdigest()
        assert verify_chain([CustodyEvent.stored(e) for e in [*stored, more]]) == more["digest"]


class RecordedKey:
    """KMS as far as a verification asks it: the public half of the key that signed the recording."""

    def __init__(self, der: bytes) -> None:
        self._key = load_der_public_key(der)

    def verify(
        self, *, KeyId: str, Message: bytes, MessageType: str, Signature: bytes, SigningAlgorithm: str
    ) -> dict[str, Any]:
        """KMS refuses a wrong signature with an error of its own."""
        assert (MessageType, SigningAlgorithm) == ("DIGEST", "ECDSA_SHA_384") and isinstance(
            self._key, ec.EllipticCurvePublicKey
        )
        try:
            self._key.verify(Signature, Message, ec.ECDSA(Prehashed(hashes.SHA384())))
        except InvalidSignature:
            raise ClientError({"Error": {"Code": "KMSInvalidSignatureException", "Message": ""}}, "Verify") from None
        return {"KeyId": KeyId, "SignatureValid": True}


def restored(release: str, dynamodb: Any, store: CaseStore) -> Iterator[CaseRecorder]:
    """Each contained case of the recording in a table of this release, with a ledger that asks the recorded key."""
    found = recording(release)
    for case_id, parts in found["restore"].items():
        ledger = found["ledgers"][case_id]
        target = next(p["data"]["instance_id"] for p in parts if p["SK"] == "RESTORE#original")
        known = next(
            i["data"] for i in found["items"] if i["SK"] == "META" and i["data"]["instance_id"].startswith("i-")
        )
        head = [{"SK": "META", "data": {**known, "case_id": case_id, "instance_id": target}}]
        for item in [*head, *ledger, *parts]:
            entry = {"PK": {"S": f"CASE#{case_id}"}, "SK": {"S": item["SK"]}, "data": to_item(item["data"])}
            if item["SK"] == "CUSTODYHEAD":
                entry["seq"] = {"N": str(item["data"]["seq"])}
            dynamodb.put_item(TableName=store.table, Item=entry)
        signed = next(i["data"] for i in ledger if i["SK"].startswith("CUSTODYSIG#"))
        key = SigningKeyGateway(RecordedKey(base64.b64decode(signed["public_key_der"])), key_id=signed["key_arn"])  # type: ignore[arg-type]
        real = CustodyLedger(dynamodb, key=key, store=store, actor="upgrade")
        opened = CaseGateways(
            store=store,
            evidence=EvidenceInMemory(),
            landing=LandingInMemory(),
            tools=ToolsInMemory(),
            ledger=real,
            notifier=Mailbox(),
        )
        yield CaseRecorder(store.case(case_id), opened, step="upgrade")


@pytest.mark.parametrize("release", RELEASES)
def test_its_restore_points_are_the_signed_ones_and_a_release_can_be_planned(
    release: str, dynamodb: Any, store: CaseStore
) -> None:
    checked = 0
    for recorder in restored(release, dynamodb, store):
        facts = RestorePoints(recorder).verified()
        assert facts.interfaces and facts.instance_id == recorder.case.instance_id
        closed = [i.model_copy(update={"group_ids": ("sg-0123456789abcdef0",)}) for i in facts.interfaces]
        calls = release_calls(
            facts, facts=facts.model_copy(update={"interfaces": tuple(closed)}), case_id=recorder.case_id
        )
        back = {str(c.params.get("NetworkInterfaceId")): list(c.group_ids) for c in calls if c.group_ids}
        assert back == {i.id: list(i.group_ids) for i in facts.interfaces}
        checked += 1
    assert checked >= 1


@pytest.mark.parametrize("release", RELEASES)
def test_a_restore_point_that_was_changed_is_refused(release: str, dynamodb: Any, store: CaseStore) -> None:
    for recorder in restored(release, dynamodb, store):
        data = store.data(recorder.case_id, "RESTORE#original")
        assert isinstance(data, dict)
        store.remove(recorder.case_id, "RESTORE#original")
        store.put_once(recorder.case_id, "RESTORE#original", {**data, "of_a_later_release": "x"})
        with pytest.raises(CustodyError, match="is not the one in the custody ledger"):
            RestorePoints(recorder).verified()


@pytest.mark.parametrize("release", RELEASES)
def test_its_waits_are_resumed_by_the_same_class_and_method(release: str) -> None:
    waits = recording(release)["triggers"]
    assert len(waits) >= 7
    for wait in waits:
        module, name = wait["path"].rsplit(".", 1)
        trigger = getattr(importlib.import_module(module), name)(**wait["arguments"])
        assert trigger.waiting_for() and trigger.serialize()[0].rsplit(".", 1)[1] == name
        module, name = wait["operator"].rsplit(".", 1)
        assert callable(getattr(getattr(importlib.import_module(module), name), wait["method"]))


@pytest.mark.parametrize("release", RELEASES)
def test_its_tasks_left_what_ids_and_counts_are_and_nothing_that_has_to_be_a_class(release: str) -> None:
    """Airflow keeps what tasks return between releases: plain JSON needs no class of the release that wrote it."""
    results = recording(release)["xcoms"]
    assert len(results) >= 20
    for name, value in results.items():
        assert "__classname__" not in json.dumps(value), name


@pytest.mark.parametrize("release", RELEASES)
def test_its_bundles_verify(release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = recording(release)
    file = tmp_path / "case.tar"
    file.write_bytes(gzip.decompress(base64.b64decode(found["bundle"])))
    heads = [i["data"] for ledger in found["ledgers"].values() for i in ledger if i["SK"].startswith("CUSTODYSIG#")]
    fingerprints = {hashlib.sha256(base64.b64decode(h["public_key_der"])).hexdigest() for h in heads}
    wanted = [text for fingerprint in fingerprints for text in ("--fingerprint", fingerprint)]
    assert forensics_verify([str(file), *wanted]) == 0, capsys.readouterr().out
    body = bytearray(file.read_bytes())
    place = body.index(b"CASE_OPENED")
    body[place : place + 4] = b"CAVE"
    file.write_bytes(body)
    assert forensics_verify([str(file), *wanted]) != 0


def test_models_read_from_the_store_are_of_the_kind_that_can() -> None:
    assert all(issubclass(r, Model) for r in READERS.values() if isinstance(r, type))
