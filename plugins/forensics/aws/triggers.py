"""Waits that several rooms share: for SSM commands, in one account, Region and phase."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from typing import TypeVar, Unpack

from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import PollTrigger, Timing, TriggerEvent, WaitResult
from forensics.aws.session import AwsSession, Scope
from forensics.aws.shared_looks import SharedLooks
from forensics.aws.ssm import Invocation, SsmGateway
from forensics.errors import AccessDeniedError, AwsError, ForensicsError, ThrottledError

T = TypeVar("T")
# Seconds between two lists: of a thousand commands a list is 22 requests, about ten a second with what a list itself takes.
REST = 2.0
# Of all command waits in the triggerer's loop: whether commands have ended, by one list for all of them.
_LOOKS: SharedLooks[bool] = SharedLooks(chunk=1_000_000, rest=REST)
# So few commands are asked for one by one.
FEW = 10
# Seconds between two looks at a command itself while the list says that it lives: only the command shows that no agent takes it.
CLOSE_LOOK = 60.0
# By account, Region and phase: the scopes of the waits that run now, the longest waiting first.
_WAITING: dict[tuple[str, str, str], list[dict[str, str]]] = {}


class ScopedTrigger(PollTrigger):
    """A wait in one account, Region and phase."""

    def __init__(self, *, scope: dict[str, str], **kwargs: Unpack[Timing]) -> None:
        super().__init__(**kwargs)
        self.scope = scope

    def shares_budget_with(self) -> Hashable:
        """Quotas of AWS are per account, Region and call."""
        return type(self).__name__, self.scope["account_id"], self.scope["region"]

    @property
    def _where(self) -> tuple[str, str, str]:
        return self.scope["account_id"], self.scope["region"], self.scope["phase"]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and be known to the other waits of this account, Region and phase meanwhile."""
        here = _WAITING.setdefault(self._where, [])
        here.append(self.scope)
        try:
            async for event in super().run():
                yield event
        finally:
            here.remove(self.scope)
            if not here and _WAITING.get(self._where) is here:
                del _WAITING[self._where]

    def look_by(self, read: Callable[[AwsSession], T]) -> T:
        """Read something by its id with the session of the case that has waited longest here: a session is 1.5 MB and an AssumeRole.

        CloudTrail shows that case as the source of the read. Where it may not read (its role, its key), this wait's own session does.
        Nothing is ever changed with it: that takes :attr:`session`.
        """
        first = next(iter(_WAITING.get(self._where, ())), self.scope)
        if first == self.scope:
            return read(self.session)
        try:
            return read(ForensicsHook().session(Scope(**first)))
        except AccessDeniedError:
            return read(self.session)

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
        self._looked = float("-inf")
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

    async def look(self) -> WaitResult | None:
        """Ask with the others whether a command has ended; only then, and at times for what its agent never took, look at it itself."""
        now = asyncio.get_running_loop().time()
        close = self.lost_after is not None and now - self._looked >= CLOSE_LOOK
        if not close and await self._all_live():
            return None
        outcome = await super().look()
        self._looked = asyncio.get_running_loop().time()
        return outcome

    async def _all_live(self) -> bool:
        ids = [command_id for command_id, _ in [*self.commands, *self.also]]
        try:
            living = await _LOOKS.ask(self._where, self.scope["case_id"], ids, self._living)
        except ThrottledError:
            raise  # each wait slows down, and none asks once more for itself
        except AwsError as error:
            self.log.warning("the list of commands failed, %s is asked alone: %s", self.waiting_for(), error)
            return False
        # one that failed ends a wait for success; otherwise the last one that lives is waited for
        return (all if self.must_succeed else any)(living.get(i, False) for i in ids)

    def _living(self, ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether each command lives, as far as a list of all living ones shows; few are better asked one by one."""
        if len(ids) <= FEW:
            return {}
        found = self.look_by(lambda session: SsmGateway.of(session).living())
        return {} if found is None else {i: i in found for i in ids}

    def check(self) -> WaitResult | None:
        found: list[Invocation | None] = []
        for command_id, instance_id in [*self.commands, *self.also]:
            must_succeed = self.must_succeed and [command_id, instance_id] in self.commands
            invocation = self._invocation(command_id, instance_id)
            found.append(invocation)
            if invocation is None or not invocation.finished:
                if self.lost_after is None:
                    return None
            elif must_succeed and invocation.status != "Success":
                default = "look at the command's output in SSM; clear this task to send it again"
                action = invocation.next_action(default)
                return WaitResult(ok=False, payload={"cause": invocation.cause(), "next_action": action})
        if not all(i is not None and i.finished for i in found):
            self._look_for_lost(found, seconds=float(self.lost_after or 0))
            return None
        # The results are read again by the task: they may be larger than a trigger event should be.
        lost = {"lost": sorted(self._lost)} if self._lost else {}
        return WaitResult(ok=True, payload={"commands": self.commands, **lost})

    def _invocation(self, command_id: str, instance_id: str) -> Invocation | None:
        return self.look_by(
            lambda session: SsmGateway.of(session).invocation(command_id=command_id, instance_id=instance_id)
        )

    def _look_for_lost(self, found: list[Invocation | None], *, seconds: float) -> None:
        """Cancel what waits for an agent that takes nothing."""
        seen, now = tuple(i.status if i else "" for i in found), time.monotonic()
        instances = {instance_id for _, instance_id in self.commands}
        if seen != self._seen or "InProgress" in seen:
            self._seen, self._moved = seen, now
        if now - self._moved < seconds:
            return
        ssm = SsmGateway.of(self.session)
        if any(ssm.is_busy(instance_id) for instance_id in instances):
            self._moved = now
            return
        for invocation in found:
            if invocation and invocation.waiting and invocation.command_id not in self._lost:
                self.log.warning("command %s waits for an agent that takes nothing: cancelled", invocation.command_id)
                ssm.cancel(command_id=invocation.command_id, instance_id=invocation.instance_id)
                self._lost.add(invocation.command_id)
