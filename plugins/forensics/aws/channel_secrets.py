"""Secrets Manager: what a channel or a place that cases are pushed to needs to be reached, by the secret's name."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Self, TypeVar, cast

from pydantic import BaseModel, ValidationError

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import ForensicsError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

M = TypeVar("M", bound=BaseModel)


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


def read_secret(
    vault: SecretsGateway, name: str, kind: type[M], *, of: str, page: str, error: type[ForensicsError], then: str = ""
) -> M:
    """A secret that is JSON, as a model. Raises ``error``, without a word of the secret, or :class:`AwsError`.

    :param of: whose secret it is, for messages
    :param page: the page that says what stands in it
    :param then: what to do once it is corrected
    """
    action = f"correct the secret {name} ({page})" + (f", then {then}" if then else "")
    try:
        return kind.model_validate(json.loads(vault.text(name)))
    except ValidationError as wrong:
        listed = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the whole'}: {e['msg']}" for e in wrong.errors(include_input=False)
        )
        raise error(f"the secret of {of} is not valid: {listed}", next_action=action) from None
    except ValueError:
        raise error(f"the secret of {of} is not JSON", next_action=action) from None
