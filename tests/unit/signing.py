"""KMS with one P-384 key, in this process."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from forensics.aws.kms_signing import SigningKeyGateway
from tests.unit.keypair import KeyPair

ARN = "arn:aws:kms:eu-central-1:222233334444:key/signing"
_ALGORITHM = ec.ECDSA(Prehashed(hashes.SHA384()))


class SigningKms:
    """The three calls of the signing key; requests of another form are errors."""

    def __init__(self) -> None:
        self.key = KeyPair()
        self.calls: list[str] = []

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, Any]:
        """A signature over a digest."""
        self._check("sign", Message, MessageType, SigningAlgorithm)
        return {"KeyId": ARN, "Signature": self.key.private.sign(Message, _ALGORITHM)}

    def verify(
        self, *, KeyId: str, Message: bytes, MessageType: str, Signature: bytes, SigningAlgorithm: str
    ) -> dict[str, Any]:
        """KMS refuses a wrong signature with an error of its own."""
        self._check("verify", Message, MessageType, SigningAlgorithm)
        try:
            self.key.private.public_key().verify(Signature, Message, _ALGORITHM)
        except InvalidSignature:
            raise ClientError({"Error": {"Code": "KMSInvalidSignatureException", "Message": ""}}, "Verify") from None
        return {"KeyId": ARN, "SignatureValid": True}

    def get_public_key(self, *, KeyId: str) -> dict[str, Any]:
        """The public half."""
        self.calls.append("get_public_key")
        return {"KeyId": ARN, "PublicKey": self.key.der()}

    def _check(self, call: str, message: bytes, kind: str, algorithm: str) -> None:
        assert (kind, algorithm, len(message)) == ("DIGEST", "ECDSA_SHA_384", 48)
        self.calls.append(call)


def signing_key(kms: SigningKms | None = None) -> SigningKeyGateway:
    """The product's gateway on it."""
    return SigningKeyGateway(kms or SigningKms(), key_id="key/signing")  # type: ignore[arg-type]
