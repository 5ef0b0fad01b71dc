"""The signed list of prebuilt LiME modules in the tools bucket."""

from __future__ import annotations

from forensics.aws.signed import SignedDocuments
from forensics.domain.lime_store import LimeModule, parse


class LimeStore:
    """Reads the list; without a key there is none."""

    def __init__(self, documents: SignedDocuments, *, key: str) -> None:
        self._documents = documents
        self._key = key

    def modules(self) -> tuple[LimeModule, ...]:
        """All modules; :class:`SignatureError` unless the list is what was signed, :class:`ConfigurationError` for its form."""
        if not self._key:
            return ()
        return parse(self._documents.read(self._key), origin=self._documents.origin(self._key))
