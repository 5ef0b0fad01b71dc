"""Keys of encrypted disks: SSM parameters (SecureString) and secrets that a user stores below ``forensics/disk-keys/``.

Secrets are read through Parameter Store, for which every deployment has an endpoint (AWS Systems Manager user guide, "Referencing AWS
Secrets Manager secrets from Parameter Store parameters"). A key is held in memory, written into the manifest of one command, and
nowhere else: no log, no XCom, no ledger.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import InvestigationError
from forensics.models.results import UsedKey
from forensics.settings import DISK_KEY

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

_SECRETS = "/aws/reference/secretsmanager/"
# In front of a value that is no text: a key file's bytes.
_ENCODED = "base64:"
_FORM = f"a key of a disk is named like /{DISK_KEY}web (SSM parameter) or {DISK_KEY}web (secret)"


@dataclass(frozen=True)
class StoredKey:
    """A key with where it is stored; its value appears in no representation."""

    used: UsedKey
    value: bytes = field(repr=False)


class DiskKeyGateway:
    """Reads keys of disks in the forensic account."""

    def __init__(self, client: SSMClient) -> None:
        self._ssm = client

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """With the session of the phase ``analyse``."""
        return cls(session.ssm)

    def read(self, name: str) -> StoredKey:
        """The key under a name: with a slash in front a parameter, without one a secret.

        Raises :class:`AwsError` where it cannot be read, :class:`InvestigationError` for another name, a parameter that is not encrypted,
        and a value that is not what it says.
        """
        if not name.removeprefix("/").startswith(DISK_KEY):
            raise InvestigationError(f"{name[:200]} is not below {DISK_KEY}", next_action=_FORM)
        stored = name if name.startswith("/") else f"{_SECRETS}{name}"
        with aws_errors(f"read the disk key {name}"):
            found = self._ssm.get_parameter(Name=stored, WithDecryption=True)["Parameter"]
        if found.get("Type") != "SecureString":
            raise InvestigationError(
                f"the parameter {name} is not encrypted (it is a {found.get('Type')})",
                next_action="store the key as a SecureString or a secret; take the other one for known to others",
            )
        arn, version = str(found.get("ARN", "")), str(found.get("Version", ""))
        if not name.startswith("/"):
            # The raw answer of Secrets Manager holds the secret, too.
            source = json.loads(str(found.get("SourceResult") or "{}"))
            arn, version = str(source.get("ARN") or arn), str(source.get("versionId") or version)
        return StoredKey(UsedKey(name=name, arn=arn, version=version), _value(name, str(found["Value"])))


def _value(name: str, text: str) -> bytes:
    if not text.startswith(_ENCODED):
        return text.encode()
    try:
        return base64.b64decode("".join(text.removeprefix(_ENCODED).split()), validate=True)
    except binascii.Error:
        raise InvestigationError(
            f"the key {name} begins with {_ENCODED} and is not base64", next_action="store it again"
        ) from None
