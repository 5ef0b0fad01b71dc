"""The library's index does not depend on how a banner was cut out; an entry has its whole form."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import ValidationError

from forensics.models.symbols import SignedEntry, SymbolTable, banner_digest

TABLE = {
    "banner": "Linux version 6.1.0-test (somebody@example) #1 SMP",
    "method": "dwarf",
    "key": "cases/fc-symbols/linux/t.json.xz",
    "sha256": "a" * 64,
    "bytes": 9,
    "symbols": 5,
    "package": "a.deb",
    "package_sha256": "1" * 64,
    "kernel_sha256": "2" * 64,
    "document_sha256": "3" * 64,
    "instance_id": "i-1",
    "built_at": "2026-11-21T02:00:00Z",
}


@pytest.mark.parametrize("end", ["", "\n", "\n\0", " \0\0"])
def test_a_banners_end_does_not_change_its_digest(end: str) -> None:
    banner = str(TABLE["banner"])
    assert banner_digest(banner + end) == hashlib.sha256(banner.encode()).hexdigest()


def test_another_kernel_has_another_digest() -> None:
    assert banner_digest("Linux version 6.1.0-1") != banner_digest("Linux version 6.1.0-2")


@pytest.mark.parametrize(
    "change",
    [{"banner": "Linux"}, {"method": "guess"}, {"sha256": "A" * 64}, {"bytes": 0}, {"symbols": -1}, {"more": 1}],
)
def test_an_entry_of_another_form_is_refused(change: dict[str, object]) -> None:
    assert SymbolTable.model_validate(TABLE).notes == ()
    with pytest.raises(ValidationError):
        SymbolTable.model_validate({**TABLE, **change})


def test_a_signed_entry_has_statement_signature_and_key() -> None:
    with pytest.raises(ValidationError):
        SignedEntry.model_validate({"statement": "{}", "signature": "x"})
