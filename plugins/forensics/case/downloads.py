"""Hands a stored object of a case to a person: the ledger's event first, then a link that works for two minutes."""

from __future__ import annotations

from forensics.aws.s3 import EvidenceStore
from forensics.case.remarks import Author
from forensics.custody.ledger import CustodyLedger
from forensics.errors import ResourceGoneError
from forensics.models.custody import CustodyAction
from forensics.naming import case_prefix

LINK_SECONDS = 120


class Downloads:
    """Links to objects of cases; ``evidence`` under a role that may read what is handed out, and no more."""

    def __init__(self, evidence: EvidenceStore, ledger: CustodyLedger) -> None:
        self._evidence = evidence
        self._ledger = ledger

    def link(self, case_id: str, path: str, *, author: Author) -> str | None:
        """A presigned GET of an object below the case's prefix, valid for :data:`LINK_SECONDS`; None when there is no such object.

        The ledger states who asked for what before there is a link; whether the bytes were fetched is in the bucket's access log.
        Raises :class:`ForensicsError` for what else stands in the way.
        """
        key = f"{case_prefix(case_id)}{path}"
        try:
            version, size = self._evidence.look(key)
        except ResourceGoneError:
            return None
        where = {"uri": self._evidence.uri(key), **({"version_id": version} if version else {})}
        self._ledger.append(
            case_id,
            CustodyAction.OBJECT_DOWNLOADED,
            detail={**where, "bytes": size, "link_seconds": LINK_SECONDS},
            facts=author.facts().model_copy(
                update={"location": where, "size_bytes": size, "moved_to": str(author.person)}
            ),
        )
        return self._evidence.get_url(key, seconds=LINK_SECONDS, name=f"{case_id}-{path.replace('/', '_')}")
