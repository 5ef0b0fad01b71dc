"""A channel's line: its secret is read and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

from forensics.aws.channels import Channels
from forensics.aws.sns import Notifier
from forensics.errors import ChannelError
from forensics.models.channels import Undelivered
from forensics.models.preflight import CheckStatus
from forensics.preflight.channel_check import ChannelCheck
from forensics.preflight.plan import quick_checks
from forensics.preflight.scope import PreflightScope
from tests.unit.aws.test_channel_kinds import MESSAGE
from tests.unit.preflight.conftest import FakeHook, settings_with

Answering = Callable[[type, Any], None]
TOPIC = "arn:aws:sns:eu-central-1:222233334444:forensics-chat"


def line(answering: Answering, channels: Any, name: str = "soc") -> Any:
    notifier = create_autospec(Notifier, instance=True)
    notifier.channels = channels
    answering(Notifier, notifier)
    return ChannelCheck(PreflightScope(FakeHook(settings_with()), run="r"), name).run()  # type: ignore[arg-type]


def test_each_channel_has_a_line() -> None:
    settings = settings_with(channels="soc=a, pager=b", chat_topic_arn=TOPIC)
    found = quick_checks(PreflightScope(FakeHook(settings), run="r"))  # type: ignore[arg-type]
    assert [c.subject for c in found if isinstance(c, ChannelCheck)] == ["chat", "soc", "pager"]


def test_a_channel_is_asked_for_its_secret_and_sends_nothing(answering: Answering) -> None:
    channels = create_autospec(Channels, instance=True)
    channels.waiting.return_value = [("k", Undelivered(channel="soc", message=MESSAGE))]
    found = line(answering, channels)
    assert found.status is CheckStatus.OK and "1 messages wait" in found.detail
    channels.access.assert_called_once_with("soc")
    channels.send.assert_not_called()
    assert line(answering, channels, "chat").status is CheckStatus.OK and channels.access.call_count == 1


def test_a_wrong_secret_is_broken_with_what_to_do(answering: Answering) -> None:
    channels = create_autospec(Channels, instance=True)
    channels.access.side_effect = ChannelError(
        "the secret is not JSON", next_action="correct the secret forensics/channel/soc"
    )
    found = line(answering, channels)
    assert found.status is CheckStatus.BROKEN and "correct the secret" in found.next_action
