"""The library gives a table only when its entry is what was signed, for this kernel; what is there stays."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from forensics.custody.signed_documents import SignatureError
from forensics.models.symbols import SymbolTable, banner_digest
from tests.unit.investigation.library import BANNER, FOLDER, library, table
from tests.unit.recorders import EvidenceInMemory


@pytest.fixture
def evidence() -> EvidenceInMemory:
    return EvidenceInMemory()


def entry(evidence: EvidenceInMemory, method: str = "btf") -> dict[str, Any]:
    return dict(json.loads(evidence.objects[f"{FOLDER}{method}.json"]))


def test_a_table_is_found_by_its_kernels_banner(evidence: EvidenceInMemory) -> None:
    store = library(evidence)
    assert store.add(table(), b"content") == table()
    assert store.find(BANNER) == store.find(f"{BANNER}\n\0") == table()
    assert store.find("Linux version 9.9") is None
    assert evidence.objects[table().key] == b"content"
    assert store.table_key(BANNER, "a" * 64) == table().key
    assert table().key in store.get_url(table())
    made = entry(evidence)
    assert set(made) == {"statement", "signature", "key"}
    assert SymbolTable.model_validate_json(made["statement"]) == table()


def test_debug_information_is_preferred_to_btf(evidence: EvidenceInMemory) -> None:
    store, better = library(evidence), table(method="dwarf", key=f"{FOLDER}b.json.xz", sha256="b" * 64)
    store.add(table(), b"content")
    store.add(better, b"better")
    assert store.find(BANNER) == better


def test_an_entry_that_is_there_stays(evidence: EvidenceInMemory) -> None:
    store, again = library(evidence), table(key=f"{FOLDER}b.json.xz", sha256="b" * 64)
    store.add(table(), b"content")
    assert store.add(again, b"other content") == table()
    assert again.key not in evidence.objects


def forged(evidence: EvidenceInMemory, **changes: Any) -> None:
    """Replace the entry, as somebody with access to the bucket might."""
    evidence.objects[f"{FOLDER}btf.json"] = json.dumps({**entry(evidence), **changes}).encode()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"statement": table(symbols=6).model_dump_json()}, "is not what was signed with key/signing"),
        ({"signature": base64.b64encode(b"mine").decode()}, "is not what was signed"),
        ({"signature": "no base64!"}, "is not an entry of the symbol library"),
        ({"statement": "{}"}, "is not an entry of the symbol library"),
        ({"statement": 1}, "is not an entry of the symbol library"),
        ({"more": "x"}, "is not an entry of the symbol library"),
    ],
)
def test_an_entry_that_is_not_what_was_signed_is_refused(
    evidence: EvidenceInMemory, changes: dict[str, Any], why: str
) -> None:
    store = library(evidence)
    store.add(table(), b"content")
    forged(evidence, **changes)
    with pytest.raises(SignatureError, match=why):
        store.find(BANNER)


def test_a_true_entry_in_another_kernels_place_is_refused(evidence: EvidenceInMemory) -> None:
    store, other = library(evidence), "Linux version 5.0.0-other (somebody@example) #1 SMP"
    store.add(table(), b"content")
    evidence.objects[f"cases/fc-symbols/linux/{banner_digest(other)}/btf.json"] = json.dumps(entry(evidence)).encode()
    with pytest.raises(SignatureError, match="belongs to another kernel"):
        store.find(other)
