"""``python -m infra.deployment.sign FILE``: sign a document or a request as a person, with the KMS key that the pipeline can only verify.

FILE is a response policy, a never-isolate list, a list of LiME modules (YAML or JSON), or a request (the ``detail`` of an event, JSON). It is
read by the product's own parsers first: what the product would refuse is not signed. Beside a document lands ``FILE.sig``; a request
is printed with its signature. Your credentials have to be those of ``DocumentSignerRoleArn``; nothing is uploaded.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from forensics.errors import ForensicsError
from forensics.intake.readers.fields import QuarantineError
from forensics.intake.readers.manual import signed_text
from forensics.memory.lime_modules import parse_module_list
from forensics.models.custody import SIGNATURE_ALGORITHM
from forensics.triage.never_isolate import parse_never_isolate
from forensics.triage.policy import parse_policy

KEY = "alias/forensics-documents"
# What a file can be → the product's parser of it.
KINDS: dict[str, Callable[..., object]] = {
    "policy": parse_policy,
    "never-isolate": parse_never_isolate,
    "lime-modules": parse_module_list,
}


class SigningError(ValueError):
    """The file cannot be signed; the message says why and what to do next."""


def kind_of(body: bytes, *, origin: str) -> str:
    """Which document it is: the kind whose parser takes it. Raises :class:`SigningError` with what each of them says."""
    said = []
    for kind, parse in KINDS.items():
        try:
            parse(body, origin=origin)
        except ForensicsError as error:
            said.append(f"as {kind}: {error}")
        else:
            return kind
    msg = f"{origin} is none of the documents that are signed ({', '.join(KINDS)}):\n  " + "\n  ".join(said)
    raise SigningError(msg)


def signature(kms: Any, message: bytes, *, key: str) -> tuple[str, str]:
    """(base64 of the signature over the SHA-384 of ``message``, ARN of the key)."""
    answer = kms.sign(
        KeyId=key,
        Message=hashlib.sha384(message).digest(),
        MessageType="DIGEST",
        SigningAlgorithm=SIGNATURE_ALGORITHM,
    )
    return base64.b64encode(answer["Signature"]).decode(), str(answer["KeyId"])


def sign_document(file: Path, kms: Any, *, key: str) -> tuple[str, Path]:
    """Sign a document; returns its kind and the signature's file."""
    body = file.read_bytes()
    kind = kind_of(body, origin=str(file))
    value, _ = signature(kms, body, key=key)
    signed = file.with_name(f"{file.name}.sig")
    signed.write_text(value + "\n")
    return kind, signed


def sign_request(detail: Mapping[str, Any], kms: Any, *, key: str) -> dict[str, Any]:
    """A request with its signature, ready to be put on the event bus as ``detail``."""
    unsigned = {name: value for name, value in detail.items() if name != "signature"}
    value, arn = signature(kms, signed_text(unsigned).encode(), key=key)
    return {**unsigned, "signature": {"key_id": arn, "value": value}}


def is_request(body: bytes) -> dict[str, Any] | None:
    """The request in a file, or None when it is something else."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"instance_id", "nonce", "expires_at"} <= set(found) else None


def main(arguments: list[str] | None = None, *, kms: Any = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.deployment.sign", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", default=KEY, help=f"KMS key (default {KEY})")
    parser.add_argument("--region", help="home Region of the forensic account")
    parser.add_argument("--profile", help="AWS CLI profile of the role DocumentSignerRoleArn")
    given = parser.parse_args(arguments)
    try:
        body = given.file.read_bytes()
        client = kms or boto3.session.Session(profile_name=given.profile, region_name=given.region).client("kms")
        if request := is_request(body):
            print(json.dumps(sign_request(request, client, key=given.key), indent=1))
            return 0
        kind, signed = sign_document(given.file, client, key=given.key)
    except (SigningError, QuarantineError, OSError, BotoCoreError, ClientError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(
        f"{given.file} is a {kind} document, SHA-256 {hashlib.sha256(body).hexdigest()}; its signature is in {signed}."
    )
    print("Upload both, the signature first, as ReleaseRoleArn (the setting names the object):")
    for name in (f"{given.file.name}.sig", given.file.name):
        print(f"  aws s3 cp {given.file.with_name(name)} s3://<tools bucket>/policy/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
