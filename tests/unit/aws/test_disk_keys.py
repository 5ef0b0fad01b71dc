"""Keys of disks are read from where users keep them, and appear nowhere but in the value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.disk_keys import DiskKeyGateway
from forensics.errors import AwsError, InvestigationError
from forensics.models.results import UsedKey
from tests.unit.aws.conftest import Stub

PARAMETER = "arn:aws:ssm:eu-central-1:111122223333:parameter/forensics/disk-keys/web"
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:forensics/disk-keys/web-a1b2c3"
PASSPHRASE = "planted-value-one"


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """SSM; its answers are checked against botocore's model."""
    return stubbed("ssm")


def gateway(stub: Stubber, name: str, parameter: dict[str, Any]) -> DiskKeyGateway:
    """One answer of GetParameter."""
    stub.add_response("get_parameter", {"Parameter": parameter}, {"Name": name, "WithDecryption": True})
    return DiskKeyGateway(stub.client)


def test_a_parameter_with_its_version(stub: Stubber) -> None:
    answer = {"Type": "SecureString", "Value": PASSPHRASE, "Version": 3, "ARN": PARAMETER}
    found = gateway(stub, "/forensics/disk-keys/web", answer).read("/forensics/disk-keys/web")
    assert found.used == UsedKey(name="/forensics/disk-keys/web", arn=PARAMETER, version="3")
    assert found.value == PASSPHRASE.encode()
    assert PASSPHRASE not in repr(found) + found.used.model_dump_json()


def test_a_secret_through_parameter_store(stub: Stubber) -> None:
    """The raw answer of Secrets Manager says which secret and version it was (user guide, "Referencing AWS Secrets Manager secrets")."""
    source = json.dumps(
        {"ARN": SECRET, "name": "forensics/disk-keys/web", "versionId": "v-2", "secretString": PASSPHRASE}
    )
    answer = {"Type": "SecureString", "Value": PASSPHRASE, "Version": 0, "SourceResult": source}
    stored = "/aws/reference/secretsmanager/forensics/disk-keys/web"
    found = gateway(stub, stored, answer).read("forensics/disk-keys/web")
    assert found.used == UsedKey(name="forensics/disk-keys/web", arn=SECRET, version="v-2")
    assert PASSPHRASE not in repr(found) + found.used.model_dump_json()


def test_a_key_file_of_bytes(stub: Stubber) -> None:
    answer = {"Type": "SecureString", "Value": "base64:AAH/\n", "Version": 1, "ARN": PARAMETER}
    assert gateway(stub, "/forensics/disk-keys/web", answer).read("/forensics/disk-keys/web").value == b"\x00\x01\xff"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"Type": "String", "Value": PASSPHRASE, "Version": 1}, "is not encrypted"),
        ({"Type": "SecureString", "Value": "base64:no*", "Version": 1}, "is not base64"),
    ],
)
def test_what_is_no_key_is_refused_without_its_value(stub: Stubber, answer: dict[str, Any], words: str) -> None:
    with pytest.raises(InvestigationError, match=words) as refused:
        gateway(stub, "/forensics/disk-keys/web", answer).read("/forensics/disk-keys/web")
    assert answer["Value"] not in str(refused.value)


def test_names_elsewhere_are_not_asked_for(stub: Stubber) -> None:
    with pytest.raises(InvestigationError, match="is not below forensics/disk-keys/"):
        DiskKeyGateway(stub.client).read("/prod/database")


def test_a_key_that_may_not_be_read_is_named(stub: Stubber) -> None:
    stub.add_client_error("get_parameter", "ParameterNotFound", "not there")
    with pytest.raises(AwsError, match="read the disk key /forensics/disk-keys/web"):
        DiskKeyGateway(stub.client).read("/forensics/disk-keys/web")
