"""Lifts the legal holds of one case: exactly the versions that two people agreed on, and only through the role that may."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from forensics.aws.s3_archive import EvidenceArchive, StoredVersion
from forensics.aws.s3_locks import EvidenceLocks
from forensics.custody.chain import canonical
from forensics.errors import ForensicsError
from forensics.naming import case_prefix

_SIDE_BY_SIDE = 8


def mark(version: StoredVersion) -> str:
    """A short name of exactly this version."""
    return hashlib.sha256(f"{version.uri}\n{version.version_id}".encode()).hexdigest()[:16]


def digest(case_id: str, marks: Collection[str]) -> str:
    """What an approval is bound to: the case and the versions whose holds are lifted."""
    return hashlib.sha256(canonical({"case_id": case_id, "versions": sorted(marks)})).hexdigest()


def held(case_id: str, archive: EvidenceArchive) -> list[StoredVersion]:
    """The versions of a case that have a legal hold now."""
    versions = archive.versions(case_prefix(case_id))
    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        return [v for v, lock in zip(versions, pool.map(archive.lock, versions), strict=True) if lock.legal_hold]


def lift(versions: Sequence[StoredVersion], locks: EvidenceLocks) -> list[str]:
    """Lift the holds; returns what could not be lifted, in words. Everything else is done."""

    def one(version: StoredVersion) -> str:
        try:
            locks.hold(version, on=False)
        except ForensicsError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        return [problem for problem in pool.map(one, versions) if problem]
