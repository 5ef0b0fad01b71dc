"""The symbol library in this process: a key that signs, and the check of its signatures."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from forensics.custody.ledger import CustodyLedger
from forensics.custody.signed_documents import SignatureCheck
from forensics.investigation.symbol_store import SymbolStore
from forensics.models.symbols import SymbolTable, banner_digest
from tests.unit.recorders import EvidenceInMemory

BANNER = "Linux version 6.1.0-test (somebody@example) #1 SMP"
FOLDER = f"cases/fc-symbols/linux/{banner_digest(BANNER)}/"


@dataclass
class _Key:
    arn: str = "arn:aws:kms:eu-central-1:222233334444:key/signing"


@dataclass
class _Signature:
    signature: str
    key: _Key


class Signer(CustodyLedger):
    """Signs with a mark before the digest."""

    def __init__(self) -> None:
        self.signed: list[str] = []

    def sign(self, message: bytes, *, what: str) -> Any:
        """Sign a message."""
        self.signed.append(what)
        value = b"signed " + hashlib.sha384(message).digest()
        return _Signature(base64.b64encode(value).decode(), _Key())


class Check(SignatureCheck):
    """Knows the signer's mark."""

    def __init__(self) -> None:
        self.key_id = "alias/signing"

    def valid(self, digest: bytes, signature: bytes) -> bool:
        """Whether the signer made it."""
        return signature == b"signed " + digest


def library(evidence: EvidenceInMemory) -> SymbolStore:
    """A library on these objects."""
    return SymbolStore(evidence, ledger=Signer(), check=Check())


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
