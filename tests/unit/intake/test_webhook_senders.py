"""Who may open a case by webhook: the right key, in time, once, about the sender's own accounts; on moto's DynamoDB and Secrets Manager."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.aws.channel_secrets import SecretsGateway
from forensics.errors import ConfigurationError, ForensicsError
from forensics.intake import webhook_senders
from forensics.intake.intake_log import IntakeLog
from forensics.intake.readers import read_event
from forensics.intake.webhook_arrivals import WebhookArrivals
from forensics.intake.webhook_senders import WebhookSenders
from forensics.models.finding import FindingSource
from forensics.models.intake import IntakeRecord, IntakeResult, IntakeVerdict
from tests.unit.builders import NOW
from tests.unit.moto_store import TABLE, make_client
from tests.webhooks import BODY, KEY, KEY_ID, webhook

SECRET = "forensics/webhook/edr"
OTHER_KEY = "o" * 43 + "EXAMPLE"


@dataclass
class World:
    """The senders of a deployment, its log and its secrets."""

    dynamodb: Any
    senders: WebhookSenders
    log: IntakeLog
    secrets: Any
    reads: list[str] = field(default_factory=list)

    def secret(self, value: object) -> None:
        """Write the sender's secret."""
        self.secrets.put_secret_value(
            SecretId=SECRET, SecretString=value if isinstance(value, str) else json.dumps(value)
        )

    def ask(self, event: object, *, message_id: str = "m-1", at: datetime = NOW) -> IntakeResult:
        """What becomes of a message that SQS got at a time."""
        result = read_event(json.dumps(event), received_at=at)
        return self.senders.authenticate(result, message_id=message_id, received_at=at)

    def ended(self, verdict: str, *, message_id: str = "m-1", at: datetime = NOW) -> None:
        """Record how a message ended."""
        self.log.write(IntakeRecord(message_id=message_id, received_at=at, verdict=verdict, reason="because"))


@pytest.fixture
def world(dynamodb: Any) -> World:
    secrets = make_client("secretsmanager")
    reads: list[str] = []

    class Vault(SecretsGateway):
        """Counts its reads."""

        def text(self, name: str) -> str:
            reads.append(name)
            return super().text(name)

    with contextlib.suppress(secrets.exceptions.ResourceExistsException):
        secrets.create_secret(Name=SECRET, SecretString="{}")
    log = IntakeLog(dynamodb, table=TABLE)
    senders = WebhookSenders(
        lambda: Vault(secrets), WebhookArrivals(dynamodb, table=TABLE), log, secrets={"edr": SECRET}
    )
    made = World(dynamodb, senders, log, secrets, reads)
    made.secret({"keys": {"2026-10": KEY}, "accounts": [BODY["account_id"]]})
    return made


def refusal(result: IntakeResult) -> str:
    assert (result.verdict, result.findings, result.signed) == (IntakeVerdict.QUARANTINE, (), None)
    return result.reason


def test_a_signed_message_brings_the_proof_of_who_sent_it(world: World) -> None:
    (found,) = world.ask(webhook(NOW)).findings
    assert found.source is FindingSource.WEBHOOK and found.webhook is not None
    assert (found.webhook.key_id, found.webhook.sender, found.webhook.signed_at) == (
        KEY_ID,
        "edr",
        NOW.replace(microsecond=0),
    )


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (webhook(NOW, key=OTHER_KEY), "its signature is not this key's"),
        (webhook(NOW, key_id="edr.2025-01"), "has no such key"),
        (webhook(NOW, key_id="stranger.1"), "there is no sender stranger"),
        (webhook(NOW, account_id="111122223333"), "may not speak of account 111122223333"),
        (webhook(NOW - timedelta(minutes=6)), "360 s before its arrival"),
        (webhook(NOW + timedelta(minutes=6)), "360 s after its arrival"),
    ],
)
def test_what_is_not_the_senders_word_is_refused_with_the_reason(world: World, event: Any, said: str) -> None:
    reason = refusal(world.ask(event))
    assert said in reason and "198.51.100.7" in reason
    assert KEY not in reason and BODY["title"] not in reason


@pytest.mark.parametrize("name", ["body", "signature", "key"])
def test_a_changed_byte_of_anything_signed_is_refused(world: World, name: str) -> None:
    world.secret({"keys": {"2026-10": KEY, "2026-11": OTHER_KEY}, "accounts": ["*"]})
    event, other = webhook(NOW), webhook(NOW, key=OTHER_KEY, key_id="edr.2026-11", title="another")
    event["detail"][name] = other["detail"][name]
    assert "its signature is not" in refusal(world.ask(event))


def test_no_secret_is_read_for_a_sender_that_nobody_named_or_a_late_message(world: World) -> None:
    world.ask(webhook(NOW, key_id="stranger.1"))
    world.ask(webhook(NOW - timedelta(hours=1)))
    assert world.reads == []


def test_a_repetition_is_refused_and_the_same_message_delivered_again_is_not(world: World) -> None:
    event = webhook(NOW)
    assert world.ask(event).findings
    assert world.ask(event).findings, "SQS delivers at least once"
    assert "a repetition of message m-1" in refusal(world.ask(event, message_id="m-2"))
    assert world.ask(event).findings, "the refused copy takes nothing from the first"


@pytest.mark.parametrize("ended", ["dead", "quarantined"])
def test_what_could_not_be_processed_comes_again_by_a_redrive_however_late(world: World, ended: str) -> None:
    event, later = webhook(NOW), NOW + timedelta(days=3)
    world.ask(event)
    world.ended(ended)
    assert world.ask(event, message_id="m-2", at=later).findings
    assert "a repetition of message m-2" in refusal(world.ask(event, message_id="m-3", at=later)), "only one takes over"


def test_a_redrive_does_not_help_what_was_late_when_it_came(world: World) -> None:
    event, came = webhook(NOW), NOW + timedelta(minutes=20)
    refusal(world.ask(event, at=came))
    world.ended("quarantined", at=came)
    assert "allowed" in refusal(world.ask(event, message_id="m-2", at=NOW + timedelta(minutes=30)))


def test_a_message_that_failed_for_now_is_not_given_to_a_copy(world: World) -> None:
    event = webhook(NOW)
    world.ask(event)
    world.ended("failed")
    assert "a repetition" in refusal(world.ask(event, message_id="m-2"))


def test_two_keys_count_while_they_are_rotated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.ask(webhook(NOW)).findings
    world.secret({"keys": {"2026-10": KEY, "2026-11": OTHER_KEY}, "accounts": ["*"]})
    new = webhook(NOW, key=OTHER_KEY, key_id="edr.2026-11", id="EDR-4712")
    refusal(world.ask(new, message_id="m-2"))
    monkeypatch.setattr(webhook_senders, "UNKNOWN_KEY_SECONDS", -1.0)
    assert world.ask({**new, "id": "again"}, message_id="m-2").findings, "an unknown key is looked for again soon"
    assert world.ask(webhook(NOW, id="EDR-4713"), message_id="m-3").findings, "the old key counts as well"
    assert len(world.reads) == 2


def test_the_secret_is_not_read_for_each_message(world: World) -> None:
    for number in range(5):
        assert world.ask(webhook(NOW, id=f"EDR-{number}"), message_id=f"m-{number}").findings
    assert world.reads == [SECRET]


@pytest.mark.parametrize(
    "value",
    [
        "no json",
        {},
        {"keys": {"1": "short"}, "accounts": ["*"]},
        {"keys": {"1": KEY}, "accounts": []},
        {"keys": {"1": KEY}},
        {"keys": {"1": KEY, "2": KEY}, "accounts": ["*"]},
        {"keys": {"1": KEY}, "accounts": ["*", "1"]},
    ],
)
def test_a_secret_of_another_form_lets_nothing_in_and_is_not_told(world: World, value: object) -> None:
    world.secret(value)
    with pytest.raises(ConfigurationError, match="secret of webhook sender edr") as raised:
        world.ask(webhook(NOW))
    assert KEY not in str(raised.value) and "short" not in str(raised.value)


def test_a_secret_that_cannot_be_read_is_no_verdict_and_loses_nothing(world: World) -> None:
    event = webhook(NOW)
    world.senders._secrets["edr"] = "forensics/webhook/gone"
    with pytest.raises(ForensicsError, match="forensics/webhook/gone"):
        world.ask(event)
    world.ended("dead")
    world.senders._secrets["edr"] = SECRET
    assert world.ask(event, message_id="m-2", at=NOW + timedelta(days=1)).findings


def test_the_arrival_expires_by_itself_after_the_queues_have_forgotten_the_message(world: World) -> None:
    world.ask(webhook(NOW))
    items = world.dynamodb.scan(TableName=TABLE)["Items"]
    (item,) = [i for i in items if i["PK"]["S"].startswith("ONCE#webhook/")]
    left = datetime.fromtimestamp(int(item["expires"]["N"]), UTC) - NOW
    assert timedelta(days=28) < left < timedelta(days=40)
