"""The symbol library: symbol tables for Volatility indexed by kernel banner, locked like evidence, each entry signed."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Self

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.s3 import EvidenceStore
from forensics.aws.session import AwsSession
from forensics.case.recorder import CaseGateways
from forensics.custody.chain import canonical
from forensics.custody.signed_documents import SignatureError
from forensics.errors import StoredItemError
from forensics.models.symbols import SignedEntry, SymbolTable, banner_digest
from forensics.naming import SYMBOL_LIBRARY, case_prefix
from forensics.settings import Settings

PREFIX = f"{case_prefix(SYMBOL_LIBRARY)}linux/"
# Debug information has more than BTF: its table is preferred.
METHODS = ("dwarf", "btf")
MAX_ENTRY = 64 * 1024


class SymbolStore:
    """Entries ``<banner's digest>/<method>.json`` beside the tables, create-only: a table that a case used is never replaced."""

    def __init__(self, evidence: EvidenceStore, *, signer: SigningKeyGateway, verifier: SigningKeyGateway) -> None:
        self._evidence = evidence
        self._signer = signer
        self._verifier = verifier

    @classmethod
    def of(cls, custodian: AwsSession, gateways: CaseGateways, settings: Settings) -> Self:
        """The library: a case reads it, only the library's own identity may write it."""
        return cls(gateways.evidence, signer=gateways.ledger.key, verifier=SigningKeyGateway.of(custodian, settings))

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
        """Write a table and its signed entry; returns the entry of the library, which is an earlier one if there was one."""
        key = _entry(table.banner, table.method)
        if self._evidence.uri(key) in self._evidence.list(f"{PREFIX}{banner_digest(table.banner)}/"):
            return self._read(key, banner=table.banner)
        self._evidence.put(table.key, content)
        message = canonical(table.model_dump(mode="json"))
        made = self._signer.sign(message, what=f"the symbol table {table.sha256}")
        entry = SignedEntry(statement=message.decode(), signature=made.signature, key=made.key.arn)
        self._evidence.put(key, canonical(entry.model_dump()), content_type="application/json")
        return table

    def _read(self, key: str, *, banner: str) -> SymbolTable:
        where = self._evidence.uri(key)
        try:
            entry = SignedEntry.model_validate(self._evidence.read_json(key, limit=MAX_ENTRY))
            statement, signature = entry.statement.encode(), base64.b64decode(entry.signature, validate=True)
            table = SymbolTable.stored(json.loads(statement))
        except (ValueError, StoredItemError) as error:
            msg = f"{where} is not an entry of the symbol library: {str(error)[:300]}"
            raise SignatureError(msg) from error
        if not self._verifier.verify(hashlib.sha384(statement).digest(), signature):
            msg = f"{where} is not what was signed with {self._verifier.key_id}"
            raise SignatureError(msg)
        if banner_digest(table.banner) != banner_digest(banner):
            msg = f"{where} belongs to another kernel than its place in the index says"
            raise SignatureError(msg)
        return table


def _entry(banner: str, method: str) -> str:
    return f"{PREFIX}{banner_digest(banner)}/{method}.json"
