"""Signatures that are checked with a public key alone."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from forensics.custody.signatures import fits
from tests.unit.keypair import KeyPair

MESSAGE = b"statement"
PAIR = KeyPair()
SIGNATURE = PAIR.sign(MESSAGE)
OTHER_KIND = ed25519.Ed25519PrivateKey.generate().public_key()
OTHER_KIND_DER = OTHER_KIND.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_the_right_signature_fits() -> None:
    assert fits(MESSAGE, signature=SIGNATURE, public_key_der=PAIR.der())


@pytest.mark.parametrize(
    ("message", "signature", "der"),
    [
        (b"statement.", SIGNATURE, PAIR.der()),
        (MESSAGE, SIGNATURE, KeyPair().der()),
        (MESSAGE, "AAAA" + SIGNATURE[4:], PAIR.der()),
        (MESSAGE, "not base64!", PAIR.der()),
        (MESSAGE, "", PAIR.der()),
        (MESSAGE, SIGNATURE, b"no key"),
        (MESSAGE, SIGNATURE, OTHER_KIND_DER),
    ],
    ids=["message", "key", "signature", "no base64", "empty", "no key", "kind of key"],
)
def test_anything_else_does_not(message: bytes, signature: str, der: bytes) -> None:
    assert not fits(message, signature=signature, public_key_der=der)
