"""Waits that several rooms share: for SSM commands, in one account, Region and phase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import PollTrigger, Timing, WaitResult
from forensics.aws.session import AwsSession, Scope
from forensics.aws.ssm import SsmGateway
from forensics.errors import ForensicsError


class ScopedTrigger(PollTrigger):
    """A wait in one account, Region and phase."""

    def __init__(self, *, scope: dict[str, str], **kwargs: Unpack[Timing]) -> None:
        super().__init__(**kwargs)
        self.scope = scope

    @property
    def session(self) -> AwsSession:
        """The session of the scope; it is cached and renews itself."""
        return ForensicsHook().session(Scope(**self.scope))


class ScopedTiming(Timing):
    """Arguments that every wait in one scope takes (:class:`ScopedTrigger`)."""

    scope: dict[str, str]


class SsmCommandsCompletedTrigger(ScopedTrigger):
    """Fires when every command has ended on its instance.

    The invocations are named by the caller: an empty list can never look like success.

    :param commands: pairs of command id and instance id
    :param must_succeed: a command that did not succeed fails the wait; otherwise the task validates the results
    """

    def __init__(
        self, *, commands: list[list[str]], must_succeed: bool = False, **kwargs: Unpack[ScopedTiming]
    ) -> None:
        super().__init__(**kwargs)
        self.must_succeed = must_succeed
        if not commands:
            msg = "no command to wait for"
            raise ForensicsError(msg)
        self.commands = commands

    def arguments(self) -> Mapping[str, object]:
        return {"scope": self.scope, "commands": self.commands, "must_succeed": self.must_succeed}

    def waiting_for(self) -> str:
        return f"SSM commands {', '.join(c for c, _ in self.commands)}"

    def check(self) -> WaitResult | None:
        ssm = SsmGateway.of(self.session)
        for command_id, instance_id in self.commands:
            found = ssm.invocation(command_id=command_id, instance_id=instance_id)
            if found is None or not found.finished:
                return None
            if self.must_succeed and found.status != "Success":
                action = "look at the command's output in SSM; clear this task to send it again"
                return WaitResult(ok=False, payload={"cause": found.cause(), "next_action": action})
        # The results are read again by the task: they may be larger than a trigger event should be.
        return WaitResult(ok=True, payload={"commands": self.commands})
