"""KMS signatures as the ledger makes them, and STS as sessions use it."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from forensics.aws.kms import KeyGateway
from forensics.aws.kms_signing import SigningKeyGateway
from tests.contract.judges.emulators import Running


@pytest.fixture
def signing(aws: Running) -> SigningKeyGateway:
    """A signing key as the templates make it."""
    kms = aws.client("kms")
    key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P384")["KeyMetadata"]["Arn"]
    return SigningKeyGateway(kms, key_id=key)


@pytest.mark.services("kms")
def test_a_signature_is_good_by_kms_and_by_the_public_key_alone(signing: SigningKeyGateway) -> None:
    signed = signing.sign(b"head of the ledger", what="a head")
    raw, digest = base64.b64decode(signed.signature), hashlib.sha384(b"head of the ledger").digest()
    assert signing.verify(digest, raw)
    public = serialization.load_der_public_key(signing.public_key().der)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(raw, digest, ec.ECDSA(utils.Prehashed(hashes.SHA384())))
    assert signed.key is not None
    assert signed.key.arn == signing.key_id


@pytest.mark.services("kms")
def test_a_wrong_signature_is_an_error_that_means_no(signing: SigningKeyGateway) -> None:
    raw = base64.b64decode(signing.sign(b"one", what="one").signature)
    assert not signing.verify(hashlib.sha384(b"two").digest(), raw)


@pytest.mark.services("kms")
def test_a_digest_of_the_wrong_length_is_refused(signing: SigningKeyGateway) -> None:
    with pytest.raises(ClientError) as caught:
        signing._kms.sign(
            KeyId=signing.key_id, Message=b"x" * 32, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_384"
        )
    assert caught.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.services("kms")
def test_an_algorithm_that_the_key_has_not_is_refused(signing: SigningKeyGateway) -> None:
    """KMS API reference, Sign: InvalidKeyUsageException when the algorithm is incompatible with the key's type."""
    with pytest.raises(ClientError) as caught:
        signing._kms.sign(KeyId=signing.key_id, Message=b"x", MessageType="RAW", SigningAlgorithm="RSASSA_PSS_SHA_256")
    assert caught.value.response["Error"]["Code"] == "InvalidKeyUsageException"


@pytest.mark.services("kms")
def test_a_key_that_signs_does_not_encrypt(aws: Running, signing: SigningKeyGateway) -> None:
    with pytest.raises(ClientError) as caught:
        aws.client("kms").encrypt(KeyId=signing.key_id, Plaintext=b"x")
    assert caught.value.response["Error"]["Code"] == "InvalidKeyUsageException"


@pytest.mark.services("kms")
def test_a_disabled_key_signs_nothing_and_says_so(aws: Running, signing: SigningKeyGateway) -> None:
    aws.client("kms").disable_key(KeyId=signing.key_id)
    with pytest.raises(ClientError) as caught:
        signing._kms.sign(KeyId=signing.key_id, Message=b"x", MessageType="RAW", SigningAlgorithm="ECDSA_SHA_384")
    assert caught.value.response["Error"]["Code"] == "DisabledException"


@pytest.mark.services("kms")
def test_a_key_is_described_and_an_unknown_one_is_a_problem(aws: Running) -> None:
    kms = aws.client("kms")
    made = kms.create_key()["KeyMetadata"]
    keys = KeyGateway(kms, account_id=aws.account, region=aws.region)
    assert keys.describe(made["Arn"]).problem is None
    unknown = made["Arn"].rpartition("/")[0] + "/00000000-0000-4000-8000-000000000000"
    assert keys.describe(unknown).problem


def _role(aws: Running, name: str) -> str:
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": aws.account},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return str(aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"])


@pytest.mark.services("sts")
def test_a_session_has_its_names_and_its_end(aws: Running, name: str) -> None:
    role = _role(aws, name)
    answer = aws.client("sts").assume_role(
        RoleArn=role, RoleSessionName="case-1", DurationSeconds=900, SourceIdentity="case-1"
    )
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{aws.account}:assumed-role/{name}/case-1"
    assert answer["SourceIdentity"] == "case-1"
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert credentials["Expiration"] - datetime.now(UTC) <= timedelta(seconds=901)
    assert credentials["Expiration"] > datetime.now(UTC)


@pytest.mark.services("sts")
def test_a_session_cannot_be_longer_than_the_service_allows(aws: Running, name: str) -> None:
    role = _role(aws, name)
    with pytest.raises(ClientError) as caught:
        aws.client("sts").assume_role(RoleArn=role, RoleSessionName="case-1", DurationSeconds=50_000)
    assert caught.value.response["Error"]["Code"] in ("ValidationError", "ValidationException")


@pytest.mark.services("sts")
def test_a_role_that_does_not_exist_is_denied(aws: Running) -> None:
    with pytest.raises(ClientError) as caught:
        aws.client("sts").assume_role(RoleArn=f"arn:aws:iam::{aws.account}:role/never", RoleSessionName="case-1")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
