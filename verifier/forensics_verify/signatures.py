"""Signatures: made by AWS KMS over a SHA-384 digest, checked here with the public key alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

ALGORITHMS = ("ECDSA_SHA_384", "ECDSA_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_256")


class SignatureError(ValueError):
    """A signature does not fit, or cannot be checked; the message says why."""


@dataclass(frozen=True)
class PublicKey:
    """A public key and its fingerprint: SHA-256 of its DER form (SubjectPublicKeyInfo, RFC 5280), in hex."""

    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    fingerprint: str

    @classmethod
    def load(cls, data: bytes) -> PublicKey:
        """A key from PEM or DER. Raises :class:`SignatureError`."""
        try:
            pem = data.lstrip().startswith(b"-----BEGIN")
            key = serialization.load_pem_public_key(data) if pem else serialization.load_der_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SignatureError(f"not a public key: {error}") from error
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise SignatureError(f"a key of kind {type(key).__name__} does not sign custody ledgers")
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return cls(key, hashlib.sha256(der).hexdigest())

    def check(self, message: bytes, *, signature: str, algorithm: str) -> None:
        """Check a base64 signature over ``message``. Raises :class:`SignatureError`."""
        raw = decode(signature)
        if algorithm not in ALGORITHMS:
            raise SignatureError(f"signature algorithm {algorithm!r} is not one of {', '.join(ALGORITHMS)}")
        chosen = hashes.SHA384() if algorithm.endswith("384") else hashes.SHA256()
        try:
            if isinstance(self.key, ec.EllipticCurvePublicKey) and algorithm.startswith("ECDSA"):
                self.key.verify(raw, message, ec.ECDSA(chosen))
            elif isinstance(self.key, rsa.RSAPublicKey) and algorithm.startswith("RSASSA"):
                salted = padding.PSS(mgf=padding.MGF1(chosen), salt_length=chosen.digest_size)
                self.key.verify(raw, message, salted, chosen)
            else:
                raise SignatureError(f"algorithm {algorithm} does not belong to this kind of key")
        except InvalidSignature as error:
            raise SignatureError("the signature does not fit the content and the key") from error


def decode(text: str) -> bytes:
    """Bytes of strict base64: another spelling of the same bytes is refused, so that no bit goes unchecked."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureError(f"not base64: {error}") from error
    if base64.b64encode(raw).decode() != text:
        raise SignatureError("not in the one spelling that base64 has for these bytes")
    return raw
