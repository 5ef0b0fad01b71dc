"""People are told once for each wave; many findings of one kind do not become as many messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from forensics.errors import AwsError
from forensics.intake.artifact_origins import ArtifactOrigins
from forensics.intake.intake_log import IntakeLog
from forensics.intake.without_instance_announcer import MOST_IN_AN_HOUR, WithoutInstanceAnnouncer
from forensics.models.finding import CustomAction, Severity
from forensics.models.intake import FindingWithoutInstance, MessageOutcome
from tests.unit.builders import INSTANCE, NOW
from tests.unit.intake.test_without_instance import item
from tests.unit.moto_store import TABLE
from tests.unit.recorders import Mailbox

ANNOUNCED, IGNORED = MessageOutcome.ANNOUNCED, MessageOutcome.IGNORED


class Origins(ArtifactOrigins):
    """Every artifact comes from one instance."""

    def __init__(self) -> None:
        self.asked = 0

    def related(self, item: FindingWithoutInstance) -> FindingWithoutInstance:
        """Name it."""
        self.asked += 1
        return item.model_copy(update={"nodes": (INSTANCE,), "why": "it was made of vol-1, which is attached now"})


class World:
    """An announcer on a real table's emulator, and the mail that it sends."""

    def __init__(self, dynamodb: Any) -> None:
        self.box = Mailbox()
        self.announcer = WithoutInstanceAnnouncer(self.box, IntakeLog(dynamodb, table=TABLE), Origins(), quiet_days=7)

    def outcome(self, *, at: datetime = NOW, **changes: Any) -> MessageOutcome:
        return self.announcer.answer(item(**changes), at=at).outcome


@pytest.fixture
def world(dynamodb: Any) -> World:
    return World(dynamodb)


def test_one_message_for_each_wave(world: World) -> None:
    for day in (0, 3, 8, 14):
        assert world.outcome(at=NOW + timedelta(days=day)) is ANNOUNCED
    assert len(world.box.mail) == 1, "each of them came within seven days of the one before"
    world.outcome(at=NOW + timedelta(days=22))
    assert len(world.box.mail) == 2


def test_a_rise_is_told_and_what_is_below_is_only_listed(world: World) -> None:
    assert world.outcome(severity=Severity.MEDIUM) is IGNORED and world.box.mail == []
    world.outcome()
    world.outcome(severity=Severity.CRITICAL)
    assert [mail.subject[:8] for mail in world.box.mail] == ["HIGH in ", "CRITICAL"]
    answer = world.announcer.answer(item(severity=Severity.LOW), at=NOW)
    assert "LOW: below HIGH" in answer.reason and "LockSnapshot" in answer.next_action


def test_a_hundred_snapshots_are_not_a_hundred_messages(world: World) -> None:
    answers = [world.announcer.answer(item(resource=f"snap-{n}"), at=NOW) for n in range(100)]
    assert len(world.box.mail) == MOST_IN_AN_HOUR and {a.outcome for a in answers} == {ANNOUNCED}
    assert "listed on the page Intake only" in world.box.mail[-1].lines[-1]
    assert "no message of its own" in answers[-1].reason and "no message of its own" not in answers[0].reason
    world.outcome(account_id="444455556666")
    world.outcome(resource="snap-100", at=NOW + timedelta(hours=1))
    assert len(world.box.mail) == MOST_IN_AN_HOUR + 2


def test_the_message_and_the_page_name_the_instances_to_look_at(world: World) -> None:
    answer = world.announcer.answer(item(), at=NOW)
    told = f"it was made of vol-1, which is attached now; instances to look at: {INSTANCE}"
    assert told in answer.reason and told in "\n".join(world.box.mail[0].lines)
    assert world.box.mail[0].facts["instances"] == [INSTANCE]


def test_a_persons_order_is_always_answered(world: World) -> None:
    for n in range(MOST_IN_AN_HOUR + 5):
        world.outcome(resource=f"snap-{n}")
    for press in ("1", "2", "2"):
        world.outcome(action=CustomAction.FULL, press=press, severity=Severity.LOW)
    orders = [mail for mail in world.box.mail if "ForensicFull cannot be carried out" in "\n".join(mail.lines)]
    assert len(orders) == 2, "one for each press, and none for the delivery that came twice"


def test_of_two_that_tell_at_the_same_time_one_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    inner: list[MessageOutcome] = []

    def publish(**mail: Any) -> None:
        if not inner:
            inner.append(world.outcome(finding_id="the other format"))
        Mailbox.publish(world.box, **mail)

    monkeypatch.setattr(world.box, "publish", publish)
    assert [world.outcome(), *inner] == [ANNOUNCED, ANNOUNCED]
    assert len(world.box.mail) == 1


def test_what_could_not_be_sent_is_sent_the_next_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise AwsError("SNS is down")

    with monkeypatch.context() as patch:
        patch.setattr(world.box, "publish", refuse)
        with pytest.raises(AwsError, match="SNS is down"):
            world.outcome()
    world.outcome()
    assert len(world.box.mail) == 1
