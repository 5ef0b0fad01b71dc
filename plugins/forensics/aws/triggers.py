"""Waits that several rooms share: for SSM commands, in one account, Region and phase."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from typing import Unpack

from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import PollTrigger, Timing, WaitResult
from forensics.aws.session import AwsSession, Scope
from forensics.aws.ssm import Invocation, SsmGateway
from forensics.errors import ForensicsError


class ScopedTrigger(PollTrigger):
    """A wait in one account, Region and phase."""

    def __init__(self, *, scope: dict[str, str], **kwargs: Unpack[Timing]) -> None:
        super().__init__(**kwargs)
        self.scope = scope

    def shares_budget_with(self) -> Hashable:
        """Quotas of AWS are per account, Region and call."""
        return type(self).__name__, self.scope["account_id"], self.scope["region"]

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
    :param also: pairs of commands that are waited for as well, however they end
    :param lost_after: commands that wait for their agent are cancelled, and named ``lost`` in the payload, when for so many
        seconds none of them has moved and the instance has run nothing else: SSM itself gives up after the delivery time-out
        only, which is hours where commands wait for each other
    """

    def __init__(
        self,
        *,
        commands: list[list[str]],
        must_succeed: bool = False,
        lost_after: float | None = None,
        also: list[list[str]] | None = None,
        **kwargs: Unpack[ScopedTiming],
    ) -> None:
        super().__init__(**kwargs)
        self.must_succeed = must_succeed
        self.lost_after = lost_after
        self._seen: tuple[str, ...] = ()
        self._moved = time.monotonic()
        self._lost: set[str] = set()
        if not commands:
            msg = "no command to wait for"
            raise ForensicsError(msg)
        self.commands = commands
        self.also = also or []

    def arguments(self) -> Mapping[str, object]:
        return {
            "scope": self.scope,
            "commands": self.commands,
            "must_succeed": self.must_succeed,
            "lost_after": self.lost_after,
            "also": self.also,
        }

    def waiting_for(self) -> str:
        return f"SSM commands {', '.join(c for c, _ in [*self.commands, *self.also])}"

    def check(self) -> WaitResult | None:
        ssm = SsmGateway.of(self.session)
        found: list[Invocation | None] = []
        for command_id, instance_id in [*self.commands, *self.also]:
            must_succeed = self.must_succeed and [command_id, instance_id] in self.commands
            invocation = ssm.invocation(command_id=command_id, instance_id=instance_id)
            found.append(invocation)
            if invocation is None or not invocation.finished:
                if self.lost_after is None:
                    return None
            elif must_succeed and invocation.status != "Success":
                default = "look at the command's output in SSM; clear this task to send it again"
                action = invocation.next_action(default)
                return WaitResult(ok=False, payload={"cause": invocation.cause(), "next_action": action})
        if not all(i is not None and i.finished for i in found):
            self._look_for_lost(ssm, found, seconds=float(self.lost_after or 0))
            return None
        # The results are read again by the task: they may be larger than a trigger event should be.
        lost = {"lost": sorted(self._lost)} if self._lost else {}
        return WaitResult(ok=True, payload={"commands": self.commands, **lost})

    def _look_for_lost(self, ssm: SsmGateway, found: list[Invocation | None], *, seconds: float) -> None:
        """Cancel what waits for an agent that takes nothing."""
        seen, now = tuple(i.status if i else "" for i in found), time.monotonic()
        instances = {instance_id for _, instance_id in self.commands}
        if seen != self._seen or "InProgress" in seen:
            self._seen, self._moved = seen, now
        if now - self._moved < seconds:
            return
        if any(ssm.is_busy(instance_id) for instance_id in instances):
            self._moved = now
            return
        for invocation in found:
            if invocation and invocation.waiting and invocation.command_id not in self._lost:
                self.log.warning("command %s waits for an agent that takes nothing: cancelled", invocation.command_id)
                ssm.cancel(command_id=invocation.command_id, instance_id=invocation.instance_id)
                self._lost.add(invocation.command_id)
