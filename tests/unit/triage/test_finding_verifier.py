"""Findings are looked up in the service that sent them; a person's request is checked by its signature."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.errors import AccessDeniedError, AwsError
from forensics.intake.finding_lookup import FindingLookup
from forensics.models.finding import Finding, FindingSource, RequestSignature, Severity
from forensics.models.verification import Standing, Verification
from forensics.models.webhook import WebhookProof
from forensics.triage import finding_verifier
from forensics.triage.finding_verifier import AT_MOST, FindingVerifier
from forensics.triage.nonces import NonceStore
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, NOW, REGION, finding
from tests.unit.intake.services import GuardDutyInMemory, HubInMemory

ARN = f"arn:aws:guardduty:{REGION}:{ACCOUNT}:detector/d/finding/f1"
RECORD = {
    "AccountId": ACCOUNT, "Region": REGION, "Id": "f1", "Arn": ARN, "Type": "Backdoor:EC2/C&CActivity.B", "Severity": 8,
    "Resource": {"InstanceDetails": {"InstanceId": INSTANCE}}, "Service": {"Archived": False},
}  # fmt: skip


class Signatures(SigningKeyGateway):
    """Knows which digest the key has signed."""

    def __init__(self, *signed: bytes) -> None:
        self.signed = signed
        self.error: AwsError | None = None

    def verify(self, digest: bytes, signature: bytes) -> bool:
        if self.error:
            raise self.error
        return digest in self.signed and signature == b"signature"


class Nonces(NonceStore):
    """Nonces of this process."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}

    def consume(self, name: str, *, by: str, until: datetime) -> bool:
        return self.users.setdefault(name, by) == by


class World:
    """A verifier, the accounts that it asks, the signing key and the nonces."""

    def __init__(self, *accounts: FindingLookup, signatures: Signatures | None = None) -> None:
        self.signatures, self.nonces = signatures or Signatures(), Nonces()
        self.accounts = list(accounts)

    def verify(self, *findings: Finding, case_id: str = CASE_ID, settle: float = 0.0) -> list[Verification]:
        verifier = FindingVerifier(
            case_id, lookups=lambda: self.accounts, signatures=self.signatures, nonces=self.nonces
        )
        return verifier.verify(findings, now=NOW, settle=settle)


def account(identifier: str = "111122223333", *, known: bool = True, **services: Any) -> FindingLookup:
    guardduty = GuardDutyInMemory(account_id=identifier, records={"f1": dict(RECORD)} if known else {})
    return FindingLookup(security_hub=HubInMemory(account_id=identifier, **services), guardduty=guardduty)


def native(**changes: Any) -> Finding:
    """GuardDuty's finding, with the key that its record has."""
    from forensics.intake.readers.identifiers import finding_key

    key = finding_key(ARN, account=ACCOUNT, region=REGION, instance_id=INSTANCE)
    return finding(**{"key": key, "finding_id": ARN, **changes})


def test_the_first_account_that_knows_the_finding_answers() -> None:
    (answer,) = World(account("111122223333", known=False), account("444455556666")).verify(native())
    assert (answer.standing, answer.asked) == (Standing.CONFIRMED, f"GuardDuty, account 444455556666, {REGION}")


def test_what_no_account_knows_is_not_found() -> None:
    (answer,) = World(account(known=False)).verify(native())
    assert (answer.standing, answer.reason) == (Standing.NOT_FOUND, "the service does not know the finding")


@pytest.mark.parametrize(
    ("changes", "service"),
    [
        ({"source": FindingSource.SECURITY_HUB, "finding_id": "vendor/1"}, "Security Hub"),
        ({"source": FindingSource.SECURITY_HUB_V2, "finding_id": "vendor/1"}, "Security Hub (OCSF)"),
        ({"source": FindingSource.SECURITY_HUB_ACTION, "ocsf": True, "finding_id": "vendor/1"}, "Security Hub (OCSF)"),
        ({"source": FindingSource.SECURITY_HUB}, "GuardDuty"),
        ({}, "GuardDuty"),
    ],
)
def test_each_finding_is_looked_up_where_it_was_made(changes: dict[str, Any], service: str) -> None:
    (answer,) = World(account(known=False)).verify(native(**changes))
    assert answer.asked == f"{service}, account 111122223333, {REGION}"


OPEN = {"Id": ARN, "AwsAccountId": ACCOUNT, "Region": REGION, "Severity": {"Label": "HIGH"}, "Types": [],
        "ProductArn": f"arn:aws:securityhub:{REGION}::product/aws/guardduty", "RecordState": "ACTIVE",
        "Resources": [{"Type": "AwsEc2Instance", "Id": f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{INSTANCE}"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("original", "copy", "standing"),
    [
        (True, {}, Standing.CONFIRMED),
        (True, {"Workflow": {"Status": "RESOLVED"}}, Standing.DISPUTED),
        (True, {"Workflow": {"Status": "SUPPRESSED"}}, Standing.DISPUTED),
        (True, {"RecordState": "ARCHIVED"}, Standing.DISPUTED),
        (True, None, Standing.CONFIRMED),
        (False, {}, Standing.DISPUTED),
        (False, {"Workflow": {"Status": "RESOLVED"}}, Standing.NOT_FOUND),
        (False, None, Standing.NOT_FOUND),
    ],
)
def test_a_copys_state_does_not_outweigh_the_original(
    original: bool, copy: dict[str, Any] | None, standing: Standing
) -> None:
    """Workflow is set by whoever may call BatchUpdateFindings, the target's own account among them."""
    lookup = account(known=original, records={} if copy is None else {ARN: OPEN | copy})
    (answer,) = World(lookup).verify(native(source=FindingSource.SECURITY_HUB))
    assert answer.standing is standing
    if standing is Standing.DISPUTED:
        assert "GuardDuty" in answer.reason and "Security Hub" in answer.reason


def test_a_guardduty_event_is_not_doubted_for_a_copys_sake() -> None:
    lookup = account(records={ARN: OPEN | {"Workflow": {"Status": "SUPPRESSED"}}})
    (answer,) = World(lookup).verify(native())
    assert answer.standing is Standing.CONFIRMED


@pytest.mark.parametrize("record", [{"Severity": 2}, {"Type": "Recon:EC2/PortProbeUnprotectedPort"}])
def test_an_event_that_claims_more_than_the_record_is_contradicted(record: dict[str, Any]) -> None:
    lookup = account()
    lookup._guardduty_gateway.records["f1"] = {**RECORD, **record}  # type: ignore[attr-defined]
    (answer,) = World(lookup).verify(native(types=("TTPs/Command and Control/Backdoor:EC2-C&CActivity.B",)))
    assert answer.standing is Standing.CONTRADICTED and "record" in answer.reason


def test_a_refusal_is_an_answer_that_confirms_nothing() -> None:
    refusing = account(error=AccessDeniedError("not allowed", next_action="grant it"))
    (answer,) = World(refusing).verify(native(source=FindingSource.SECURITY_HUB))
    assert answer.standing is Standing.UNREACHABLE
    assert answer.reason == "not allowed. What to do next: grant it"


def test_what_is_not_found_is_looked_for_again_while_it_may_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, waits = account(known=False), []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        lookup._guardduty_gateway.records["f1"] = dict(RECORD)  # type: ignore[attr-defined]

    monkeypatch.setattr(finding_verifier.time, "sleep", wait)
    (answer,) = World(lookup).verify(native(), settle=60.0)
    assert answer.standing is Standing.CONFIRMED and waits == [finding_verifier.AGAIN_SECONDS]


def test_the_most_severe_are_looked_up_first_and_posture_not_at_all() -> None:
    many = [native(key=f"{n:016d}", severity=Severity.LOW) for n in range(AT_MOST)]
    severe = native(key="s" * 16, severity=Severity.CRITICAL)
    answers = World(account(known=False)).verify(*many, severe, native(key="p" * 16, posture=True))
    assert len(answers) == AT_MOST and answers[0].finding_key == severe.key
    assert World().verify(native(posture=True)) == []


def request(*, message: dict[str, str] | None = None, value: bytes = b"signature") -> Finding:
    stated = {"account_id": ACCOUNT, "region": REGION, "instance_id": INSTANCE}
    signature = RequestSignature(
        key_id="key", value=base64.b64encode(value).decode(), message=json.dumps({**stated, **(message or {})}),
        nonce="n" * 16, expires_at=NOW + timedelta(minutes=5),
    )  # fmt: skip
    return finding(source=FindingSource.MANUAL, requester="Ada", signature=signature)


def signed(item: Finding) -> Signatures:
    assert item.signature is not None
    return Signatures(hashlib.sha384(item.signature.message.encode()).digest())


def test_a_signed_request_counts_once() -> None:
    item = request()
    world = World(signatures=signed(item))
    for _ in range(2):
        (answer,) = world.verify(item)
        assert (answer.standing, answer.reason) == (Standing.CONFIRMED, "signed, by Ada")
    (again,) = world.verify(item, case_id="another")
    assert (again.standing, again.reason) == (Standing.FORGED, "it is a repetition of an earlier request")


def test_a_request_that_is_not_what_was_signed_is_forged() -> None:
    other = request(message={"instance_id": "i-0fffffffffffffff9"})
    (answer,) = World(signatures=signed(other)).verify(other)
    assert (answer.standing, answer.reason) == (Standing.FORGED, "the signed text is another request")
    (unsigned,) = World().verify(request())
    assert (unsigned.standing, unsigned.reason) == (Standing.FORGED, "its signature is not the signing key's")


def test_a_signature_that_cannot_be_read_is_forged() -> None:
    item = request()
    assert item.signature is not None
    broken = item.model_copy(update={"signature": item.signature.model_copy(update={"value": "not base64!"})})
    (answer,) = World().verify(broken)
    assert (answer.standing, answer.reason) == (Standing.FORGED, "its signature is not base64")


def test_a_key_that_cannot_be_asked_confirms_nothing() -> None:
    world = World()
    world.signatures.error = AwsError("KMS is down")
    (answer,) = world.verify(request())
    assert answer.standing is Standing.UNREACHABLE
    assert answer.reason == "its signature could not be checked: KMS is down"


def test_a_request_in_airflow_is_confirmed_by_airflows_access_control() -> None:
    (answer,) = World().verify(finding(source=FindingSource.MANUAL, requester="Ada"))
    assert (answer.standing, answer.reason) == (Standing.CONFIRMED, "asked for in Airflow by Ada")


def test_a_webhook_is_confirmed_by_the_intakes_check_and_by_nothing_else() -> None:
    proof = WebhookProof(key_id="edr.2026-10", signed_at=NOW, body_sha256="0" * 64)
    (answer,) = World().verify(finding(source=FindingSource.WEBHOOK, webhook=proof))
    assert answer.standing is Standing.CONFIRMED and "signed with edr.2026-10" in answer.reason
    (unchecked,) = World().verify(finding(source=FindingSource.WEBHOOK))
    assert unchecked.standing is Standing.FORGED
