"""The deployment's signing keys in KMS, one for the ledger and one for people's documents: asymmetric, over SHA-384 digests."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors, error_code
from forensics.aws.session import AwsSession
from forensics.errors import AwsError
from forensics.models.custody import SIGNATURE_ALGORITHM, Signature, SigningKey
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_INVALID = "KMSInvalidSignatureException"


class SigningKeyGateway:
    """KMS calls with one asymmetric key (``MessageType=DIGEST``: KMS sees digests, never what is signed)."""

    def __init__(self, client: KMSClient, *, key_id: str) -> None:
        self._kms = client
        self.key_id = key_id
        self._public: SigningKey | None = None

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The key of the custody ledger under a session's role: the custodian signs with it."""
        return cls(session.kms, key_id=settings.signing_key_id)

    @classmethod
    def of_documents(cls, session: AwsSession, settings: Settings) -> Self:
        """The key of people's documents and requests: no role of the product may sign with it, the custodian verifies."""
        return cls(session.kms, key_id=settings.document_key_id)

    def sign(self, message: bytes, *, what: str) -> Signature:
        """Sign the SHA-384 digest of ``message``; ``what`` names it in errors."""
        with aws_errors(f"sign {what} with {self.key_id}"):
            answer = self._kms.sign(
                KeyId=self.key_id,
                Message=hashlib.sha384(message).digest(),
                MessageType="DIGEST",
                SigningAlgorithm=SIGNATURE_ALGORITHM,
            )
        key = SigningKey(arn=answer["KeyId"], der=self.public_key().der)
        return Signature(signature=base64.b64encode(answer["Signature"]).decode(), key=key)

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Whether the key made the signature of a SHA-384 digest; raises :class:`AwsError` when KMS cannot be asked."""
        try:
            with aws_errors(f"verify a signature with {self.key_id}"):
                answer = self._kms.verify(
                    KeyId=self.key_id,
                    Message=digest,
                    MessageType="DIGEST",
                    Signature=signature,
                    SigningAlgorithm=SIGNATURE_ALGORITHM,
                )
        except AwsError as error:
            if error_code(error) == _INVALID:
                return False
            raise
        return bool(answer["SignatureValid"])

    def public_key(self) -> SigningKey:
        """The public half of the key, read once."""
        if self._public is None:
            with aws_errors(f"read the public key of {self.key_id}"):
                answer = self._kms.get_public_key(KeyId=self.key_id)
            self._public = SigningKey(arn=answer["KeyId"], der=answer["PublicKey"])
        return self._public
