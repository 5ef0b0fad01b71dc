"""The symbol library: tables for Volatility indexed by kernel banner, locked like evidence, each entry signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, Self

from pydantic import ValidationError

from forensics.aws.s3 import EvidenceStore
from forensics.aws.session import AwsSession
from forensics.case.recorder import CaseGateways
from forensics.custody.chain import canonical
from forensics.custody.ledger import CustodyLedger
from forensics.custody.signed_documents import SignatureCheck, SignatureError
from forensics.models.symbols import SymbolTable, banner_digest
from forensics.naming import SYMBOL_LIBRARY, case_prefix
from forensics.settings import Settings

PREFIX = f"{case_prefix(SYMBOL_LIBRARY)}linux/"
# Debug information says more than BTF: its table goes first.
METHODS = ("dwarf", "btf")
MAX_ENTRY = 64 * 1024


class SymbolStore:
    """Entries ``<banner's digest>/<method>.json`` beside the tables, create-only: what a case was examined with stays."""

    def __init__(self, evidence: EvidenceStore, *, ledger: CustodyLedger, check: SignatureCheck) -> None:
        self._evidence = evidence
        self._ledger = ledger
        self._check = check

    @classmethod
    def of(cls, custodian: AwsSession, gateways: CaseGateways, settings: Settings) -> Self:
        """The library: a case reads it, only the library's own identity may write it."""
        return cls(gateways.evidence, ledger=gateways.ledger, check=SignatureCheck.of(custodian, settings))

    def find(self, banner: str) -> SymbolTable | None:
        """The best table for a kernel, or None; :class:`SignatureError` when an entry is not what was signed."""
        there = set(self._evidence.list(f"{PREFIX}{banner_digest(banner)}/"))
        for method in METHODS:
            key = _entry(banner, method)
            if self._evidence.uri(key) in there:
                return self._read(key, banner=banner)
        return None

    def get_url(self, table: SymbolTable) -> str:
        """Presigned GET of a table."""
        return self._evidence.get_url(table.key)

    def table_key(self, banner: str, sha256: str) -> str:
        """Where a table with this digest belongs."""
        return f"{PREFIX}{banner_digest(banner)}/{sha256}.json.xz"

    def add(self, table: SymbolTable, content: bytes) -> SymbolTable:
        """Write table and signed entry; an entry that is there already stays, and is what comes back."""
        key = _entry(table.banner, table.method)
        if self._evidence.uri(key) in self._evidence.list(f"{PREFIX}{banner_digest(table.banner)}/"):
            return self._read(key, banner=table.banner)
        self._evidence.put(table.key, content)
        message = canonical(table.model_dump(mode="json"))
        made = self._ledger.key.sign(message, what=f"the symbol table {table.sha256}")
        entry = {"statement": message.decode(), "signature": made.signature, "key": made.key.arn}
        self._evidence.put(key, canonical(entry), content_type="application/json")
        return table

    def _read(self, key: str, *, banner: str) -> SymbolTable:
        where = self._evidence.uri(key)
        entry: Any = self._evidence.read_json(key, limit=MAX_ENTRY)
        try:
            statement, signature = entry["statement"].encode(), base64.b64decode(entry["signature"], validate=True)
            table = SymbolTable.model_validate_json(statement)
        except (KeyError, TypeError, AttributeError, binascii.Error, ValidationError) as error:
            msg = f"{where} is no entry of the symbol library: {str(error)[:300]}"
            raise SignatureError(msg) from error
        if not self._check.valid(hashlib.sha384(statement).digest(), signature):
            msg = f"{where} is not what was signed with {self._check.key_id}"
            raise SignatureError(msg)
        if banner_digest(table.banner) != banner_digest(banner):
            msg = f"{where} is of another kernel than its place in the index says"
            raise SignatureError(msg)
        return table


def _entry(banner: str, method: str) -> str:
    return f"{PREFIX}{banner_digest(banner)}/{method}.json"
