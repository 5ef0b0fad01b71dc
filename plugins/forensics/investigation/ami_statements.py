"""Statements of forensic AMIs in the evidence store: written when an AMI is published, checked before a case launches it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final, Self

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.s3 import EvidenceStore
from forensics.aws.session import AwsSession
from forensics.errors import InvestigationError, ResourceGoneError
from forensics.investigation.ami_statement import (
    bill_of_materials,
    envelope,
    folder,
    names_image,
    opened,
    signed_bytes,
    statement,
)
from forensics.models.ami import AmiRecord
from forensics.settings import Settings

AMI_BUILD: Final = "fc-ami-build"
NAME, BILL = "statement.dsse.json", "sbom.cdx.json"
NEXT = (
    "run the DAG forensic_ami_build, which publishes an AMI with its statement; for an AMI of your own without one set forensics.ami_statement to "
    "if-present"
)


class AmiStatements:
    """Statements under the custodian's session: it signs with the ledger's key and writes to the evidence store."""

    def __init__(self, store: EvidenceStore, key: SigningKeyGateway) -> None:
        self._store, self._key = store, key

    @classmethod
    def of(cls, custodian: AwsSession, settings: Settings) -> Self:
        """Those of a deployment."""
        return cls(EvidenceStore.of(custodian, settings), SigningKeyGateway.of(custodian, settings))

    def publish(self, record: AmiRecord) -> str:
        """Write bill of materials and signed statement, once; returns the statement's address."""
        prefix, sbom = folder(AMI_BUILD, record.ami_id), bill_of_materials(record)
        self._store.put_first(f"{prefix}{BILL}", sbom, content_type="application/vnd.cyclonedx+json")
        payload = statement(record, sbom=sbom, builder=record.image_arn.rpartition("/image/")[0])
        made = self._key.sign(signed_bytes(payload), what=f"the statement of {record.ami_id}")
        body = envelope(payload, key=made.key.arn, signature=made.signature)
        self._store.put_first(f"{prefix}{NAME}", body, content_type="application/json")
        return self._store.uri(f"{prefix}{NAME}")

    def check(self, ami_id: str, *, required: bool) -> str:
        """What is known of an AMI before it is launched, in a sentence.

        Raises :class:`InvestigationError` for a statement that is about something else or that the key did not sign, and, where one is
        ``required``, when there is none: what examines evidence has to be what was built.
        """
        key = f"{folder(AMI_BUILD, ami_id)}{NAME}"
        try:
            body = self._store.read_json(key)
        except ResourceGoneError as error:
            if required:
                msg = f"AMI {ami_id} has no signed statement of what it was built from"
                raise InvestigationError(msg, next_action=NEXT) from error
            return f"AMI {ami_id} has no signed statement of what it was built from (an AMI of your own)"
        try:
            found, payload = opened(body)
            good = names_image(payload, ami_id) and any(
                self._key.verify(hashlib.sha384(signed_bytes(payload)).digest(), base64.b64decode(s.sig, validate=True))
                for s in found.signatures
            )
        except (ValueError, binascii.Error) as error:
            msg = f"the statement of AMI {ami_id} cannot be read: {error}"
            raise InvestigationError(msg, next_action=f"treat the AMI as tampered with; {NEXT}") from error
        if not good:
            msg = f"the statement at {self._store.uri(key)} is not about AMI {ami_id}, or the product's key did not sign it"
            raise InvestigationError(msg, next_action=f"treat the AMI as tampered with; {NEXT}")
        return f"AMI {ami_id} is the one of the signed statement {self._store.uri(key)}"
