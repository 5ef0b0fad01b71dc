"""Secrets Manager: one secret by its name."""

from __future__ import annotations

from datetime import UTC, datetime

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


def test_the_age_of_a_secret_is_that_of_its_value(stubbed: Stub) -> None:
    """GetSecretValue, CreatedDate: when this version of the secret was made; tags and descriptions do not change it."""
    stub, made = stubbed("secretsmanager"), datetime(2026, 1, 2, tzinfo=UTC)
    answer = {"SecretString": "{}", "CreatedDate": made}
    stub.add_response("get_secret_value", answer, {"SecretId": "forensics/channel/soc"})
    assert SecretsGateway(stub.client).made("forensics/channel/soc") == made
