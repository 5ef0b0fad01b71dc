"""KMS: what is known of a key, refusals included, and a grant that a retry does not double."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.stub import Stubber

from forensics.aws.kms import KeyAge, KeyGateway
from forensics.errors import AccessDeniedError, ThrottledError
from forensics.models.disk import KeyFacts
from tests.unit.aws.conftest import Stub

KEY = "arn:aws:kms:eu-central-1:333344445555:key/k"
GRANTEE = "arn:aws:iam::222233334444:role/forensics-analyse"


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """KMS."""
    return stubbed("kms")


@pytest.fixture
def keys(stub: Stubber) -> KeyGateway:
    """The gateway."""
    return KeyGateway(stub.client, account_id="333344445555", region="eu-central-1")


def test_a_key_is_described(stub: Stubber, keys: KeyGateway) -> None:
    facts = {
        "KeyId": "k",
        "Arn": KEY,
        "AWSAccountId": "333344445555",
        "KeyManager": "CUSTOMER",
        "KeyState": "PendingDeletion",
    }
    stub.add_response("describe_key", {"KeyMetadata": facts}, {"KeyId": KEY})
    assert keys.describe(KEY) == KeyFacts(
        arn=KEY, account_id="333344445555", manager="CUSTOMER", state="PendingDeletion"
    )


@pytest.mark.parametrize("code", ["AccessDeniedException", "NotFoundException", "ResourceNotFoundException"])
def test_a_refusal_is_part_of_the_answer(stub: Stubber, keys: KeyGateway, code: str) -> None:
    stub.add_client_error("describe_key", code, "x" * 400)
    found = keys.describe(KEY)
    assert found.account_id is None and code in found.problem and len(found.problem) == 300


def test_an_overload_is_not_taken_for_a_refusal(stub: Stubber, keys: KeyGateway) -> None:
    stub.add_client_error("describe_key", "ThrottlingException")
    with pytest.raises(ThrottledError, match=f"describe key {KEY} in account 333344445555"):
        keys.describe(KEY)


def test_a_grant_is_named_after_the_case_and_gives_what_a_copy_needs(stub: Stubber, keys: KeyGateway) -> None:
    asked = {
        "KeyId": KEY,
        "GranteePrincipal": GRANTEE,
        "Operations": ["DescribeKey", "Decrypt", "CreateGrant", "ReEncryptFrom"],
        "Name": "fc-1",
    }
    stub.add_response("create_grant", {"GrantId": "g1", "GrantToken": "t"}, asked)
    assert keys.grant(KEY, principal=GRANTEE, name="fc-1") == "g1"


def test_an_alias_is_resolved_or_the_refusal_names_it(stub: Stubber, keys: KeyGateway) -> None:
    stub.add_response("describe_key", {"KeyMetadata": {"KeyId": "k", "Arn": KEY}}, {"KeyId": "alias/forensics-member"})
    assert keys.resolve("alias/forensics-member") == KEY
    stub.add_client_error("describe_key", "AccessDeniedException")
    with pytest.raises(AccessDeniedError, match="look up key alias/forensics-member"):
        keys.resolve("alias/forensics-member")


# ---------------------------------------------------------------------- a grant that is not in effect yet
def test_a_grant_is_waited_for_until_the_key_can_be_described(stub: Stubber, keys: KeyGateway) -> None:
    """KMS developer guide, "Using a grant token": until then AccessDeniedException."""
    stub.add_client_error("describe_key", "AccessDeniedException", "no resource-based policy allows it")
    stub.add_response("describe_key", {"KeyMetadata": {"KeyId": "k", "Arn": KEY}}, {"KeyId": KEY})
    assert keys.wait_until_granted(KEY) is True


def test_the_wait_for_a_grant_has_an_end(stub: Stubber, keys: KeyGateway) -> None:
    stub.add_client_error("describe_key", "AccessDeniedException", "no resource-based policy allows it")
    assert keys.wait_until_granted(KEY, seconds=0) is False


MADE = datetime(2026, 1, 2, tzinfo=UTC)
OWN = {
    "KeyId": "k",
    "Arn": KEY,
    "CreationDate": MADE,
    "KeySpec": "SYMMETRIC_DEFAULT",
    "Origin": "AWS_KMS",
    "KeyUsage": "ENCRYPT_DECRYPT",
}


def test_a_key_s_rotation_is_asked_for_where_kms_has_one(stub: Stubber, keys: KeyGateway) -> None:
    stub.add_response("describe_key", {"KeyMetadata": {**OWN, "KeyState": "Enabled"}}, {"KeyId": KEY})
    stub.add_response("get_key_rotation_status", {"KeyRotationEnabled": True, "NextRotationDate": MADE}, {"KeyId": KEY})
    assert keys.age(KEY) == KeyAge("Enabled", MADE, signs=False, rotates=True, next_rotation=MADE)


@pytest.mark.parametrize(
    "change", [{"KeySpec": "ECC_NIST_P384"}, {"Origin": "EXTERNAL"}, {"KeyState": "PendingDeletion"}]
)
def test_it_is_not_asked_for_where_the_answer_says_nothing(
    stub: Stubber, keys: KeyGateway, change: dict[str, str]
) -> None:
    stub.add_response("describe_key", {"KeyMetadata": {**OWN, "KeyState": "Enabled", **change}}, {"KeyId": KEY})
    assert keys.age(KEY).rotates is None
    stub.assert_no_pending_responses()
