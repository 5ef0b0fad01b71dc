"""CloudTrail's digest files: which log files it delivered, with the digest of each, signed. Runs confined. Pure.

Source: AWS CloudTrail user guide, *CloudTrail digest file structure* and *Custom implementations of CloudTrail log file integrity
validation*: what is signed is the digest file's end time, place, SHA-256 and the signature of the digest file before it; a log file's
digest is over its uncompressed bytes; the signature is in the object's metadata, hexadecimal, RSA PKCS #1 v1.5 with SHA-256.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import ConfigDict, Field, ValidationError

from forensics.confined import Channel
from forensics.models.outside import Outside

FUNCTION = "forensics.cloud_evidence.trail_digests:verify"
_MOST_PLAIN = 64 * 1024 * 1024


class DigestOrder(Outside):
    """The child's order: public keys in base64 by their fingerprints."""

    keys: dict[str, str] = Field(default_factory=dict)


class DigestHeader(Outside):
    """Announces a digest file: where it lies, and the signature of its metadata."""

    bucket: str
    key: str = Field(max_length=2000)
    signature: str = Field(default="", max_length=2000)


class DigestReport(Outside):
    """One digest file: empty ``problem`` when its signature is CloudTrail's; the log files that it names and their SHA-256."""

    key: str = Field(max_length=2000)
    problem: str = Field(default="", max_length=300)
    files: dict[str, str] = Field(default_factory=dict)
    previous: str = Field(default="", max_length=2000, description="key of the digest file before it")


class DigestEnd(Outside):
    """The end of the child's work."""

    digests: int = 0


class _LoggedFile(Outside):
    model_config = ConfigDict(frozen=True, extra="ignore")
    bucket: str = Field(alias="s3Bucket")
    key: str = Field(alias="s3Object", max_length=2000)
    value: str = Field(alias="hashValue", max_length=128)
    algorithm: str = Field(alias="hashAlgorithm", max_length=20)


class _TrailDigest(Outside):
    model_config = ConfigDict(frozen=True, extra="ignore")
    end: str = Field(alias="digestEndTime")
    bucket: str = Field(alias="digestS3Bucket")
    key: str = Field(alias="digestS3Object")
    fingerprint: str = Field(alias="digestPublicKeyFingerprint")
    algorithm: str = Field(alias="digestSignatureAlgorithm")
    previous_key: str | None = Field(default=None, alias="previousDigestS3Object")
    previous_signature: str | None = Field(default=None, alias="previousDigestSignature")
    files: tuple[_LoggedFile, ...] = Field(default=(), alias="logFiles")


def verify(order: bytes, channel: Channel) -> DigestEnd:
    """The child's work: digest files come in, a report of each goes out."""
    keys = {name: base64.b64decode(value) for name, value in DigestOrder.model_validate_json(order).keys.items()}
    digests, pieces = 0, channel.chunks()
    for head in pieces:
        header = DigestHeader.model_validate_json(head)
        channel.send(_report(header, next(pieces, b""), keys).model_dump_json().encode())
        digests += 1
    channel.passed()
    return DigestEnd(digests=digests)


def _report(header: DigestHeader, body: bytes, keys: dict[str, bytes]) -> DigestReport:
    try:
        plain = zlib.decompressobj(wbits=31).decompress(body, _MOST_PLAIN)
        found = _TrailDigest.model_validate(json.loads(plain))
    except (zlib.error, ValueError, ValidationError, RecursionError) as error:
        return DigestReport(key=header.key, problem=f"it is no digest file: {type(error).__name__}")
    files = {f.key: f.value for f in found.files if f.algorithm == "SHA-256" and f.bucket == header.bucket}
    return DigestReport(
        key=header.key,
        problem=_signed(header, found, plain, keys),
        files=files,
        previous=found.previous_key or "",
    )


def _signed(header: DigestHeader, found: _TrailDigest, plain: bytes, keys: dict[str, bytes]) -> str:
    """Empty for a signature of CloudTrail's; otherwise what is wrong."""
    if (found.bucket, found.key) != (header.bucket, header.key):
        return "it names another place than the one it lies in"
    if found.algorithm != "SHA256withRSA":
        return f"its signature is of another kind: {found.algorithm[:40]}"
    if found.fingerprint not in keys:
        return f"CloudTrail has no public key {found.fingerprint[:64]} of that time"
    text = f"{found.end}\n{found.bucket}/{found.key}\n{hashlib.sha256(plain).hexdigest()}\n{found.previous_signature or 'null'}"
    try:
        key = load_der_public_key(keys[found.fingerprint])  # cryptography reads PKCS #1, too
        if not isinstance(key, RSAPublicKey):
            return "CloudTrail's public key is no RSA key"
        key.verify(binascii.unhexlify(header.signature), text.encode(), PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError, binascii.Error):
        return "its signature is not CloudTrail's: it was changed, or is not the object that CloudTrail wrote"
    return ""
