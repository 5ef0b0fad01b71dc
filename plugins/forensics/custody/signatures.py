"""Checks what KMS signed, with the public key alone."""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def fits(message: bytes, *, signature: str, public_key_der: bytes) -> bool:
    """Whether a base64 ECDSA signature over the SHA-384 digest of ``message`` was made by this key."""
    try:
        key = serialization.load_der_public_key(public_key_der)
        raw = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return False
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(raw, message, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        return False
    return True
