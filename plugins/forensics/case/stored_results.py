"""Tools' results as they are stored: read, compared with the digest that the case recorded, and for pages kept by it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from forensics.aws.s3 import EvidenceStore
from forensics.errors import DigestMismatchError
from forensics.models.results import StoredArtifact, ToolResults, read_results

MIB = 1024 * 1024
# An open case's page is loaded anew each minute, by everybody who looks at it. A MiB of results is about five of objects.
KEPT_BYTES = 4 * MIB


def stored_results(evidence: EvidenceStore, stored: StoredArtifact) -> ToolResults:
    """The results. Raises :class:`DigestMismatchError` for other bytes than those recorded, ``ValueError`` for no results."""
    body = b"".join(evidence.stream(stored.uri.removeprefix(f"s3://{evidence.bucket}/")))
    found = hashlib.sha256(body).hexdigest()
    if found != stored.sha256:
        msg = f"{stored.uri} has the SHA-256 {found}, {stored.sha256} is recorded"
        raise DigestMismatchError(msg)
    return read_results(body)


class KeptResults:
    """The results that pages read last, by their digest: what has another one is read anew.

    :param most_bytes: of stored results in all; larger ones are not kept
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, tuple[int, ToolResults]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, evidence: EvidenceStore, stored: StoredArtifact) -> ToolResults:
        """As :func:`stored_results`, from memory where they are."""
        key = f"{stored.sha256} {stored.uri}"
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][1]
        results = stored_results(evidence, stored)
        with self._lock:
            self._kept[key] = (stored.bytes, results)
            while sum(size for size, _ in self._kept.values()) > self._most:
                self._kept.popitem(last=False)
        return results
