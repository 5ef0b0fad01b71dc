"""Channels: who gets which message, what is not taken waits and is told, and a secret is in no word that anybody reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import create_autospec

import pytest

from forensics.aws import channels as channels_module
from forensics.aws.case_store import CaseStore
from forensics.aws.channel_secrets import SecretsGateway
from forensics.aws.channels import Channels
from forensics.errors import AccessDeniedError, AwsError, ChannelError
from forensics.models.channels import CHAT, ChannelAccess, ChannelMessage
from forensics.models.finding import Severity
from forensics.naming import NOTICES
from tests.unit.aws.channel_server import ChannelServer, serving
from tests.unit.aws.test_channel_kinds import KEY, MESSAGE

NOW = MESSAGE.at


@pytest.fixture
def server() -> Iterator[ChannelServer]:
    """A channel's server."""
    with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No secret is known from another test."""
    channels_module.forget()
    yield
    channels_module.forget()


def vault(**secrets: Any) -> Any:
    made = create_autospec(SecretsGateway, instance=True)

    def text(name: str) -> str:
        found = secrets[name]
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, str) else json.dumps(found)

    made.text.side_effect = text
    return made


def webhook(server: ChannelServer, **more: Any) -> dict[str, Any]:
    return {"webhook": f"{server.url}/soc", "hmac_key": KEY, **more}


def of(store: CaseStore, found: Any, *, hosts: tuple[str, ...] = ("127.0.0.1",), chat: Any = None) -> Channels:
    return Channels(store, found, secrets={"soc": "one"}, hosts=hosts, chat=chat)


def test_a_message_goes_to_every_channel(store: CaseStore, server: ChannelServer) -> None:
    told: list[ChannelMessage] = []
    channels = of(store, vault(one=webhook(server)), chat=told.append)
    channels.send(MESSAGE)
    assert told == [MESSAGE] and len(server.got) == 1 and channels.names == (CHAT, "soc")
    assert list(channels.waiting()) == []


@pytest.mark.parametrize(
    ("rule", "changes", "taken"),
    [
        ({"severity_from": "CRITICAL"}, {}, False),
        ({"severity_from": "HIGH"}, {}, True),
        ({"severity_from": "CRITICAL"}, {"severity": None}, True),
        ({"events": ["case_opened"]}, {}, False),
        ({"events": ["approval_needed"]}, {}, True),
        ({"drills": False}, {"drill": True}, False),
        ({}, {"drill": True}, True),
    ],
)
def test_a_channel_takes_what_its_secret_chooses(rule: dict[str, Any], changes: dict[str, Any], taken: bool) -> None:
    access = ChannelAccess(webhook="https://soc.example.com/", hmac_key=KEY, **rule)
    assert access.takes(MESSAGE.model_copy(update=changes)) is taken


def test_what_a_channel_does_not_take_waits_is_tried_again_and_told_once(
    store: CaseStore, server: ChannelServer
) -> None:
    channels = of(store, vault(one=webhook(server)))
    server.status = 503
    channels.send(MESSAGE)  # raises nothing: a case goes on
    ((_, item),) = channels.waiting()
    assert (item.channel, item.tries, item.message) == ("soc", 1, MESSAGE) and "answered 503" in item.why
    (line,) = channels.retry(NOW)
    assert line.startswith("Channel soc: the webhook at 127.0.0.1 answered 503. What to do next: ")
    assert channels.retry(NOW + timedelta(minutes=5)) == [], "people are told once a day"
    ((_, item),) = channels.waiting()
    assert item.tries == 3
    server.status = 200
    assert channels.retry(NOW + timedelta(minutes=10)) == [] and list(channels.waiting()) == []
    assert [g.headers["X-Forensics-Id"] for g in server.got] == [MESSAGE.id] * 4, "every try is the same message"


def test_a_channel_that_fails_holds_up_no_other(store: CaseStore, server: ChannelServer) -> None:
    def down(_: ChannelMessage) -> None:
        raise AwsError("publish: AWS is down")

    channels = of(store, vault(one=webhook(server)), chat=down)
    channels.send(MESSAGE)
    assert len(server.got) == 1
    assert [item.channel for _, item in channels.waiting()] == [CHAT]


def test_after_a_day_a_message_is_given_up(store: CaseStore, server: ChannelServer) -> None:
    channels = of(store, vault(one=webhook(server)))
    server.status = 500
    channels.send(MESSAGE)
    channels.retry(NOW + timedelta(days=1, seconds=1))
    assert list(channels.waiting()) == [] and len(server.got) == 1


def test_a_channel_that_was_taken_away_waits_for_nothing(store: CaseStore, server: ChannelServer) -> None:
    server.status = 500
    of(store, vault(one=webhook(server))).send(MESSAGE)
    assert Channels(store, vault(), secrets={}, chat=lambda _: None).retry(NOW) == []
    assert not list(store.items(NOTICES, "UNDELIVERED#"))


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": ("hush", "is not JSON"),
    "two ways": (
        {"webhook": "https://hush.example.com/", "apprise": "pagerduty://hush", "hmac_key": KEY},
        "either apprise or webhook",
    ),
    "no key": ({"webhook": "https://hush.example.com/"}, "hmac_key"),
    "no TLS": ({"webhook": "http://hush.example.com/", "hmac_key": KEY}, "webhook"),
    "another host": ({"webhook": "https://evil.example.com/hush", "hmac_key": KEY}, "goes to evil.example.com"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_secret_that_is_wrong_is_said_without_it(name: str, store: CaseStore) -> None:
    secret, said = WRONG[name]
    channels = of(store, vault(one=secret), hosts=("soc.example.com",))
    with pytest.raises(ChannelError, match=said) as error:
        channels.access("soc")
    assert (
        KEY not in f"{error.value}{error.value.next_action}" and "hush" not in f"{error.value}{error.value.next_action}"
    )
    assert error.value.__cause__ is None


def test_a_secret_that_cannot_be_read_waits_too(store: CaseStore) -> None:
    channels = of(store, vault(one=AccessDeniedError("read the secret one: denied")))
    channels.send(MESSAGE)
    ((_, item),) = channels.waiting()
    assert "denied" in item.why


def test_a_secret_is_read_once_in_five_minutes(store: CaseStore, server: ChannelServer) -> None:
    found = vault(one=webhook(server))
    for _ in range(3):
        of(store, found).send(MESSAGE)
    assert found.text.call_count == 1


def test_severity_and_time_survive_the_store(store: CaseStore, server: ChannelServer) -> None:
    server.status = 500
    channels = of(store, vault(one=webhook(server)))
    message = MESSAGE.model_copy(update={"severity": Severity.CRITICAL, "at": datetime(2026, 11, 30, tzinfo=UTC)})
    channels.send(message)
    assert [item.message for _, item in channels.waiting()] == [message]
