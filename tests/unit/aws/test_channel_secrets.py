"""Secrets Manager: one secret by its name."""

from __future__ import annotations

import pytest

from forensics.aws.channel_secrets import SecretsGateway
from forensics.errors import AwsError
from tests.unit.aws.conftest import Stub


def test_a_secret_is_read_by_its_name(stubbed: Stub) -> None:
    stub = stubbed("secretsmanager")
    stub.add_response("get_secret_value", {"SecretString": "{}"}, {"SecretId": "forensics/channel/soc"})
    assert SecretsGateway(stub.client).text("forensics/channel/soc") == "{}"


def test_a_refusal_names_the_secret(stubbed: Stub) -> None:
    stub = stubbed("secretsmanager")
    stub.add_client_error("get_secret_value", "ResourceNotFoundException")
    with pytest.raises(AwsError, match="forensics/channel/soc"):
        SecretsGateway(stub.client).text("forensics/channel/soc")
