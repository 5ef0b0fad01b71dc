"""Secrets Manager: what a channel needs to be reached, by the secret's name."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self, cast

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class SecretsGateway:
    """Reads secrets; their values are in no message and in no log."""

    def __init__(self, client: SecretsManagerClient) -> None:
        self._secrets = client

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The secrets of a session's account and Region."""
        return cls(cast("SecretsManagerClient", session.impatient().client("secretsmanager")))

    def text(self, name: str) -> str:
        """A secret's text. Raises :class:`AwsError`."""
        with aws_errors(f"read the secret {name}"):
            return self._secrets.get_secret_value(SecretId=name)["SecretString"]

    def made(self, name: str) -> datetime:
        """When the value that a secret has now was put there. Raises :class:`AwsError`."""
        with aws_errors(f"read the secret {name}"):
            return self._secrets.get_secret_value(SecretId=name)["CreatedDate"]
