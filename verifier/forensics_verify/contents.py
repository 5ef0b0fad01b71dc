"""A bundle that is being checked, and the keys that may have signed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from forensics_verify.container import Container
from forensics_verify.problems import Findings
from forensics_verify.signatures import PublicKey


@dataclass(frozen=True)
class Bundle:
    """A bundle that is being checked. ``authorities``: certificates (DER) of time-stamping authorities that the reader trusts."""

    container: Container
    manifest: dict[str, Any]
    keys: dict[str, PublicKey]
    trusted: frozenset[str]
    findings: Findings
    authorities: tuple[bytes, ...] = ()

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """The manifest's ``files`` or ``objects``."""
        found = self.manifest.get(kind)
        return [f for f in found if isinstance(f, dict)] if isinstance(found, list) else []


def anchored(bundle: Bundle, fingerprint: str, part: str) -> PublicKey | None:
    """The key of a signature, when it is in the bundle and (if the reader named keys) one that the reader trusts."""
    if bundle.trusted and fingerprint not in bundle.trusted:
        bundle.findings.wrong(part, f"was signed with key {fingerprint}, which is not the key that you trust")
        return None
    key = bundle.keys.get(fingerprint)
    if key is None:
        bundle.findings.wrong(part, f"was signed with key {fingerprint}, which the bundle does not hold")
    return key
