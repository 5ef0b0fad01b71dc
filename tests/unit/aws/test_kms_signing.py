"""The signing key's gateway: digests only, one look at the public key, a wrong signature is an answer."""

from __future__ import annotations

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.custody.signatures import fits
from forensics.errors import AccessDeniedError
from tests.unit.signing import ARN, SigningKms, signing_key

MESSAGE = b"what is signed"


def test_a_signature_can_be_checked_with_the_public_key_alone() -> None:
    kms = SigningKms()
    made = signing_key(kms).sign(MESSAGE, what="a test")
    assert made.key.arn == ARN and made.key.der == kms.key.der()
    assert made.key.fingerprint == hashlib.sha256(kms.key.der()).hexdigest()
    assert fits(MESSAGE, signature=made.signature, public_key_der=made.key.der)
    assert not fits(MESSAGE + b".", signature=made.signature, public_key_der=made.key.der)


def test_kms_says_whether_a_signature_is_the_keys() -> None:
    key = signing_key()
    raw = base64.b64decode(key.sign(MESSAGE, what="a test").signature)
    assert key.verify(hashlib.sha384(MESSAGE).digest(), raw) is True
    assert key.verify(hashlib.sha384(b"another").digest(), raw) is False


def test_the_public_key_is_read_once() -> None:
    kms = SigningKms()
    key = signing_key(kms)
    key.sign(MESSAGE, what="a")
    key.sign(MESSAGE, what="b")
    assert key.public_key() is key.public_key()
    assert kms.calls.count("get_public_key") == 1


class Refusing:
    """KMS for somebody who may do nothing."""

    def verify(self, **_: object) -> None:
        """Refused."""
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Verify")


def test_a_refusal_is_not_a_wrong_signature() -> None:
    with pytest.raises(AccessDeniedError, match="verify a signature with key/signing"):
        SigningKeyGateway(Refusing(), key_id="key/signing").verify(b"x" * 48, b"y")  # type: ignore[arg-type]
