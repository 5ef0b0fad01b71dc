"""Documents that count only with the signing key's signature beside them."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest

from forensics.custody.signed_documents import MAXIMUM_BYTES, SignatureError, SignedDocuments
from tests.unit.signing import signing_key

KEY = signing_key()
POLICY = b"version: 1\n"


class Bucket:
    """Objects of the tools bucket."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = {name.replace("_", "."): body for name, body in objects.items()}

    def get_object(self, *, Bucket: str, Key: str, ExpectedBucketOwner: str) -> dict[str, Any]:
        """One object."""
        assert (Bucket, ExpectedBucketOwner) == ("tools", "222233334444")
        return {"Body": io.BytesIO(self.objects[Key])}


def documents(**objects: bytes) -> SignedDocuments:
    """The documents of a bucket with these objects (``_`` stands for a dot)."""
    bucket: Any = Bucket(**objects)
    return SignedDocuments(bucket, bucket="tools", owner="222233334444", key=KEY)


def signature(body: bytes) -> bytes:
    """What lies beside a signed document."""
    return KEY.sign(body, what="a test").signature.encode() + b"\n"


def test_a_signed_document_is_read() -> None:
    assert documents(policy=POLICY, policy_sig=signature(POLICY)).read("policy") == POLICY


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        (signature(b"version: 2\n"), "is not what was signed with key/signing"),
        (b"%%%", "is not the base64 of a signature"),
        (base64.b64encode(b"x" * 100), "is not what was signed with key/signing"),
    ],
)
def test_an_altered_or_unsigned_document_is_refused(beside: bytes, why: str) -> None:
    with pytest.raises(SignatureError, match=why) as caught:
        documents(policy=POLICY, policy_sig=beside).read("policy")
    assert "s3://tools/policy" in str(caught.value) and "upload both" in caught.value.next_action


def test_a_document_has_a_largest_size() -> None:
    large = b"x" * (MAXIMUM_BYTES + 1)
    with pytest.raises(SignatureError, match="is larger than"):
        documents(policy=large, policy_sig=signature(large)).read("policy")
    whole = large[:-1]
    assert documents(policy=whole, policy_sig=signature(whole)).read("policy") == whole
