"""The symbol library in this process: a key that signs, and the check of its signatures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from forensics.investigation.symbol_store import SymbolStore
from forensics.models.symbols import SymbolTable, banner_digest
from tests.unit.recorders import EvidenceInMemory
from tests.unit.signing import signing_key

BANNER = "Linux version 6.1.0-test (somebody@example) #1 SMP"
KEY = signing_key()
FOLDER = f"cases/fc-symbols/linux/{banner_digest(BANNER)}/"


def library(evidence: EvidenceInMemory) -> SymbolStore:
    """A library on these objects."""
    return SymbolStore(evidence, signer=KEY, verifier=KEY)


def table(**changes: Any) -> SymbolTable:
    """A table of the test kernel."""
    known: dict[str, Any] = {
        "banner": BANNER,
        "method": "btf",
        "key": f"{FOLDER}{'a' * 64}.json.xz",
        "sha256": "a" * 64,
        "bytes": 9,
        "symbols": 5,
        "package": "symbols/packages/a.deb",
        "package_sha256": "1" * 64,
        "kernel_sha256": "2" * 64,
        "document_sha256": "3" * 64,
        "instance_id": "i-0123456789abcdef0",
        "built_at": datetime(2026, 11, 21, 2, 0, tzinfo=UTC),
    }
    return SymbolTable.model_validate({**known, **changes})
