"""Documents that people sign with a KMS key of their own: the policy, the never-isolate list, the list of LiME modules."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.session import AwsSession
from forensics.errors import CustodyError
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAXIMUM_BYTES = 256 * 1024


class SignatureError(CustodyError):
    """A signed document is missing, unsigned or altered."""

    default_action = "find out who changed the document, then sign it with `python -m infra.deployment.sign` and upload both (docs/policy.md)"


class SignedDocuments:
    """Objects of the tools bucket, each beside ``<key>.sig``: the base64 of the signature over its SHA-384."""

    def __init__(self, s3: S3Client, *, bucket: str, owner: str, key: SigningKeyGateway) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._owner = owner
        self._signing_key = key

    @classmethod
    def of(cls, session: AwsSession, settings: Settings, *, key: SigningKeyGateway) -> Self:
        """The deployment's tools bucket."""
        return cls(session.s3, bucket=settings.tools_bucket, owner=settings.forensic_account_id, key=key)

    def origin(self, key: str) -> str:
        """The document's name in messages."""
        return f"s3://{self._bucket}/{key}"

    def read(self, key: str) -> bytes:
        """Return the document's bytes; :class:`SignatureError` unless the signature beside it is the key's."""
        body, signature = self._get(key), self._get(f"{key}.sig")
        try:
            value = base64.b64decode(signature.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            msg = f"{self.origin(key)}.sig is not the base64 of a signature"
            raise SignatureError(msg) from error
        if not self._signing_key.verify(hashlib.sha384(body).digest(), value):
            msg = f"{self.origin(key)} is not what was signed with {self._signing_key.key_id}"
            raise SignatureError(msg)
        return body

    def _get(self, key: str) -> bytes:
        with aws_errors(f"read {self.origin(key)}"):
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, ExpectedBucketOwner=self._owner)
            body = answer["Body"].read(MAXIMUM_BYTES + 1)
        if len(body) > MAXIMUM_BYTES:
            msg = f"{self.origin(key)} is larger than {MAXIMUM_BYTES} bytes"
            raise SignatureError(msg)
        return bytes(body)
