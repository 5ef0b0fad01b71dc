"""One P-384 key, without KMS."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_FORM = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class KeyPair:
    """Signs messages as the deployment's key does: ECDSA over their SHA-384 digest."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP384R1())

    def sign(self, message: bytes) -> str:
        """The signature in base64."""
        return base64.b64encode(self.private.sign(message, ec.ECDSA(hashes.SHA384()))).decode()

    def der(self) -> bytes:
        """The public half as SubjectPublicKeyInfo."""
        return self.private.public_key().public_bytes(*_FORM)
