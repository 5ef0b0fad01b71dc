"""An evidence bucket in this process, as auditors and exports read it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import timedelta

from forensics.aws.s3_archive import EvidenceArchive, ObjectLock, StoredVersion
from tests.unit.builders import NOW


class ArchiveInMemory(EvidenceArchive):
    """Versions of objects by key, oldest first; all are locked unless a test says otherwise."""

    def __init__(self, **objects: bytes) -> None:
        self.bucket = "evidence"
        self.bodies: dict[str, list[bytes]] = {}
        self.hidden: set[str] = set()
        self.unlocked: set[str] = set()
        for key, body in objects.items():
            self.put(key, body)

    def put(self, key: str, body: bytes) -> str:
        """Add a version; returns the object's URI."""
        self.bodies.setdefault(key, []).append(body)
        return f"s3://evidence/{key}"

    def versions(self, prefix: str) -> list[StoredVersion]:
        """All versions below a prefix."""
        return [
            StoredVersion(
                key=key,
                uri=f"s3://evidence/{key}",
                version_id=str(number),
                size_bytes=len(body),
                written_at=NOW + timedelta(seconds=number),
                latest=number == len(bodies) - 1,
            )
            for key, bodies in sorted(self.bodies.items())
            for number, body in enumerate(bodies)
            if key.startswith(prefix)
        ]

    def deleted(self, prefix: str) -> list[str]:
        """Keys behind a delete marker."""
        return sorted(self.hidden)

    def lock(self, version: StoredVersion) -> ObjectLock:
        """Locked for a hundred years."""
        held = version.key not in self.unlocked
        return ObjectLock(mode="COMPLIANCE" if held else None, until=NOW + timedelta(days=36_500), legal_hold=held)

    def stream(self, version: StoredVersion, *, chunk: int = 1000) -> Iterator[bytes]:
        """The bytes in pieces."""
        body = self.bodies[version.key][int(version.version_id or 0)]
        yield from (body[n : n + chunk] for n in range(0, len(body), chunk))

    def sha256(self, version: StoredVersion, *, beat: Callable[[int], None] | None = None) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(b"".join(self.stream(version))).hexdigest()
