"""A symbol table of the library: of which kernel it is, what it was made from, and where it is stored."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field

from forensics.models.base import Model, Sha256, Utc


def banner_digest(banner: str) -> str:
    """SHA-256 of a kernel's banner without its line end: the index of the library."""
    return hashlib.sha256(banner.strip("\n\0 ").encode()).hexdigest()


class SymbolTable(Model):
    """What is signed of one table. ``method``: it was made from debug information (dwarf) or from the kernel's BTF."""

    banner: str = Field(min_length=20, max_length=1200)
    method: Literal["dwarf", "btf"]
    key: str
    sha256: Sha256
    bytes: int = Field(gt=0)
    symbols: int = Field(gt=0)
    package: str
    package_sha256: Sha256
    kernel_sha256: Sha256
    notes: tuple[str, ...] = ()
    document_sha256: Sha256
    instance_id: str
    built_at: Utc


class SignedEntry(Model):
    """An entry of the library as stored: the table's canonical JSON, its signature (base64) and the key's ARN."""

    statement: str
    signature: str
    key: str
