"""The signed list of prebuilt LiME modules in the tools bucket."""

from __future__ import annotations

from typing import Self

from forensics.aws.hook import CaseSessions
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.custody.signed_documents import SignedDocuments
from forensics.memory.lime_modules import LimeModule, parse_module_list


class LimeModuleStore:
    """Reads the list; without a key there is none."""

    def __init__(self, documents: SignedDocuments, *, key: str) -> None:
        self._documents = documents
        self._key = key

    @classmethod
    def of(cls, sessions: CaseSessions) -> Self:
        """The deployment's list, its signature checked under the case's custodian role."""
        settings = sessions.settings
        signing_key = SigningKeyGateway.of_documents(sessions.forensic("custodian"), settings)
        documents = SignedDocuments.of(sessions.own(), settings, key=signing_key)
        return cls(documents, key=settings.lime_list_key)

    def modules(self) -> tuple[LimeModule, ...]:
        """All modules; :class:`SignatureError` unless the list is what was signed, :class:`ConfigurationError` for its form."""
        if not self._key:
            return ()
        return parse_module_list(self._documents.read(self._key), origin=self._documents.origin(self._key))
