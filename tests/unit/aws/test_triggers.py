"""Waiting for SSM commands: over when and only when SSM says that every one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import create_autospec

import pytest
from botocore.stub import Stubber

from forensics.aws import polling, triggers
from forensics.aws.hook import ForensicsHook
from forensics.aws.look_budget import LookBudget
from forensics.aws.polling import WaitResult
from forensics.aws.session import AwsSession, Scope
from forensics.aws.shared_looks import SharedLooks
from forensics.aws.ssm import Invocation, SsmGateway
from forensics.aws.triggers import ScopedTrigger, SsmCommandsCompletedTrigger
from forensics.errors import AccessDeniedError, AwsError, ForensicsError, ThrottledError
from tests import virtual_time
from tests.unit.aws.conftest import Stub
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION
from tests.virtual_time import Inline, VirtualLoop

SCOPE = {"account_id": ACCOUNT, "region": REGION, "phase": "acquire", "case_id": CASE_ID, "instance_id": INSTANCE}
COMMANDS = [["11111111-2222-3333-4444-555555555555", INSTANCE], ["66666666-2222-3333-4444-555555555555", INSTANCE]]


@pytest.fixture
def ssm(stubbed: Stub, monkeypatch: pytest.MonkeyPatch) -> Stubber:
    """SSM of the scope's session."""
    stub = stubbed("ssm")
    session = AwsSession(boto=None, account_id=ACCOUNT, region=REGION)  # type: ignore[arg-type]
    session._clients["ssm"] = stub.client
    monkeypatch.setattr(ScopedTrigger, "session", session)
    return stub


def waiting(*, must_succeed: bool = False) -> SsmCommandsCompletedTrigger:
    return SsmCommandsCompletedTrigger(
        scope=SCOPE, commands=COMMANDS, must_succeed=must_succeed, poll=5.0, deadline=2e9, ends_task=True
    )


def answer(ssm: Stubber, *statuses: str | None) -> None:
    """SSM shows the commands in these states, in order; None: not yet."""
    for (command, instance), status in zip(COMMANDS, statuses, strict=False):
        asked = {"CommandId": command, "InstanceId": instance}
        if status is None:
            ssm.add_client_error("get_command_invocation", "InvocationDoesNotExist", expected_params=asked)
        else:
            shown = {"Status": status, "ResponseCode": 1, "StandardErrorContent": "no space left"}
            ssm.add_response("get_command_invocation", shown, asked)


@pytest.mark.parametrize(
    "statuses",
    [(None,), ("Pending",), ("Success", None), ("Success", "InProgress"), ("Success", "Cancelling"), ("Delayed",)],
)
def test_a_command_that_has_not_ended_is_waited_for(ssm: Stubber, statuses: tuple[str | None, ...]) -> None:
    answer(ssm, *statuses)
    assert waiting().check() is None


@pytest.mark.parametrize("statuses", [("Success", "Success"), ("Failed", "TimedOut"), ("Cancelled", "Success")])
def test_commands_are_over_when_all_have_ended_however(ssm: Stubber, statuses: tuple[str, str]) -> None:
    answer(ssm, *statuses)
    assert waiting().check() == WaitResult(ok=True, payload={"commands": COMMANDS})


def test_a_command_that_must_succeed_fails_the_wait_with_what_the_host_said(ssm: Stubber) -> None:
    answer(ssm, "Failed")
    outcome = waiting(must_succeed=True).check()
    assert outcome is not None and not outcome.ok
    assert "no space left" in str(outcome.payload["cause"])
    assert "clear this task" in str(outcome.payload["next_action"])


def listed(ssm: Stubber, *statuses: str) -> None:
    """What runs on the instance."""
    moment = datetime(2026, 11, 29, tzinfo=UTC)
    commands = [
        {"CommandId": c[0], "Status": s, "RequestedDateTime": moment} for c, s in zip(COMMANDS, statuses, strict=True)
    ]
    ssm.add_response("list_commands", {"Commands": commands}, {"InstanceId": INSTANCE})


def patient(**more: Any) -> SsmCommandsCompletedTrigger:
    return SsmCommandsCompletedTrigger(scope=SCOPE, commands=COMMANDS, lost_after=0.0, poll=5.0, deadline=2e9, **more)


def test_commands_that_an_idle_agent_does_not_take_are_cancelled_and_named(ssm: Stubber) -> None:
    """A host that has just booted may lose its first command: radkawar/stackd, managed_execution_native.json."""
    wait = patient()
    answer(ssm, "Success", "Delayed")
    listed(ssm, "Success", "Pending")
    ssm.add_response("cancel_command", {}, {"CommandId": COMMANDS[1][0], "InstanceIds": [INSTANCE]})
    assert wait.check() is None
    answer(ssm, "Success", "Cancelled")
    assert wait.check() == WaitResult(ok=True, payload={"commands": COMMANDS, "lost": [COMMANDS[1][0]]})


@pytest.mark.parametrize("running", ["InProgress", "Cancelling"])
def test_commands_may_wait_while_their_agent_is_busy(ssm: Stubber, running: str) -> None:
    answer(ssm, "Success", "Pending")
    listed(ssm, running, "Pending")
    assert patient().check() is None


def test_commands_that_moved_a_moment_ago_are_not_lost(ssm: Stubber) -> None:
    wait = patient()
    wait.lost_after = 600.0
    answer(ssm, "InProgress", "Pending")
    assert wait.check() is None
    answer(ssm, "Success", "Pending")
    assert wait.check() is None


def test_a_restarted_triggerer_waits_as_long_for_lost_commands() -> None:
    assert patient().serialize()[1]["lost_after"] == 0.0


def test_no_command_at_all_can_never_look_like_success() -> None:
    with pytest.raises(ForensicsError, match="no command"):
        SsmCommandsCompletedTrigger(scope=SCOPE, commands=[], poll=5.0, deadline=2e9)


def test_the_session_is_the_one_of_the_scope(
    settings_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Scope] = []
    monkeypatch.setattr(ForensicsHook, "session", lambda _, scope: asked.append(scope))
    assert waiting().session is None
    assert asked == [Scope(**SCOPE)]


def test_what_is_awaited_is_named() -> None:
    assert waiting().waiting_for() == f"SSM commands {COMMANDS[0][0]}, {COMMANDS[1][0]}"


def test_a_command_that_is_waited_for_as_well_need_not_succeed(ssm: Stubber) -> None:
    wait = SsmCommandsCompletedTrigger(
        scope=SCOPE, commands=COMMANDS[:1], also=COMMANDS[1:], must_succeed=True, poll=5.0, deadline=2e9, ends_task=True
    )
    assert wait.serialize()[1]["also"] == COMMANDS[1:]
    answer(ssm, "Success", "InProgress")
    assert wait.check() is None
    answer(ssm, "Success", "Failed")
    found = wait.check()
    assert found is not None and found.ok


def test_reads_go_by_the_session_of_the_case_that_waits_longest_and_changes_by_the_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    denied = {"fc-20261124-00000000aa"}

    def read(who: AwsSession) -> str:
        asked.append(str(who))
        if who in denied:
            raise AccessDeniedError("the role is gone")
        return "read"

    hook = create_autospec(ForensicsHook)
    hook.return_value.session.side_effect = lambda scope: scope.case_id
    monkeypatch.setattr(triggers, "ForensicsHook", hook)
    kept: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    monkeypatch.setattr(triggers, "_WAITING", kept)
    own = waiting()
    assert own.look_by(read) == "read" and asked == [SCOPE["case_id"]]
    kept[(SCOPE["account_id"], SCOPE["region"], SCOPE["phase"])] = [
        {**SCOPE, "case_id": "fc-20261124-00000000bb"},
        SCOPE,
    ]
    assert own.look_by(read) == "read" and asked[1:] == ["fc-20261124-00000000bb"]
    kept[(SCOPE["account_id"], SCOPE["region"], SCOPE["phase"])][0]["case_id"] = "fc-20261124-00000000aa"
    assert own.look_by(read) == "read" and asked[2:] == ["fc-20261124-00000000aa", SCOPE["case_id"]]
    kept.clear()
    assert str(own.session) == SCOPE["case_id"]


def test_a_wait_is_known_to_the_others_as_long_as_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    monkeypatch.setattr(triggers, "_WAITING", kept)
    seen: list[int] = []
    trigger = waiting()
    monkeypatch.setattr(trigger, "check", lambda: seen.append(len(kept)) or WaitResult(ok=True, payload={}))

    async def run() -> None:
        async for _ in trigger.run():
            pass

    asyncio.run(run())
    assert seen == [1] and kept == {}


# ---------------------------------------------------------------------- many waits
class Account(SsmGateway):
    """An account with many commands; each page of a list takes a tenth of a second."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.states: dict[str, str] = {}
        self.asked: list[str] = []
        self.lists = 0
        self.refusing: AwsError | None = None

    def living(self, *, most_pages: int = 60) -> frozenset[str] | None:
        """As the list shows it: fifty on a page."""
        if self.refusing:
            raise self.refusing
        found = frozenset(c for c, state in self.states.items() if state in {"Pending", "InProgress"})
        self.lists += 2 + len(found) // 50
        self.loop.spend(0.1 * (2 + len(found) // 50))
        return found

    def invocation(self, *, command_id: str, instance_id: str) -> Invocation | None:
        """One command; many are asked for side by side, so that they take no time of others."""
        self.asked.append(command_id)
        return Invocation(command_id=command_id, instance_id=instance_id, status=self.states[command_id])


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No thread, no real time, no session."""
    monkeypatch.setattr(polling, "_POOL", Inline())
    monkeypatch.setattr(polling, "_BUDGET", LookBudget())
    monkeypatch.setattr(polling, "RESUME_AFTER", 0.0)
    monkeypatch.setattr(triggers, "_LOOKS", SharedLooks(Inline(), chunk=1_000_000, rest=triggers.REST))
    monkeypatch.setattr(ScopedTrigger, "session", None)
    yield


def command(number: int, **more: Any) -> SsmCommandsCompletedTrigger:
    return SsmCommandsCompletedTrigger(
        scope={**SCOPE, "case_id": f"fc-20261124-{number:010x}"},
        commands=[[f"command-{number:04d}", f"i-{number:04d}"]],
        poll=5.0,
        deadline=4e9,
        **more,
    )


Storm = Callable[[VirtualLoop, Account, list[SsmCommandsCompletedTrigger]], Any]


def storm(monkeypatch: pytest.MonkeyPatch, waits: int, main: Storm, **more: Any) -> Any:
    """What ``main`` returns of so many waits whose commands run."""

    async def play(loop: VirtualLoop) -> Any:
        account = Account(loop)
        monkeypatch.setattr(SsmGateway, "of", lambda session: account)
        made = [command(number, **more) for number in range(waits)]
        account.states = {wait.commands[0][0]: "InProgress" for wait in made}
        return await main(loop, account, made)

    return virtual_time.run(play)


@pytest.mark.usefixtures("many")
def test_of_a_thousand_commands_one_that_ends_is_seen_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one it took a hundred seconds on average."""

    async def main(loop: VirtualLoop, account: Account, waits: list[SsmCommandsCompletedTrigger]) -> list[float]:
        took = []
        tasks = [loop.create_task(wait._wait()) for wait in waits]
        await asyncio.sleep(60)
        account.asked.clear()
        for number in (7, 500, 999):
            account.states[f"command-{number:04d}"], began = "Success", loop.time()
            outcome = await tasks[number]
            assert outcome.ok
            took.append(loop.time() - began)
        assert set(account.asked) == {"command-0007", "command-0500", "command-0999"}, "nobody else is looked at"
        return took

    assert max(storm(monkeypatch, 1000, main)) < 15


@pytest.mark.usefixtures("many")
def test_a_thousand_waits_ask_no_more_than_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: VirtualLoop, account: Account, waits: list[SsmCommandsCompletedTrigger]) -> float:
        for wait in waits:
            loop.create_task(wait._wait())
        await asyncio.sleep(600)
        return (account.lists + len(account.asked)) / loop.time()

    assert storm(monkeypatch, 1000, main) <= 10
    assert storm(monkeypatch, 1000, main, lost_after=120.0) <= 15, (
        "those of agents that may take nothing are looked at, too"
    )


@pytest.mark.usefixtures("many")
def test_when_all_end_at_once_critical_cases_and_what_isolation_waits_for_are_served_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main(loop: VirtualLoop, account: Account, waits: list[SsmCommandsCompletedTrigger]) -> list[int]:
        ended: list[int] = []
        for number, wait in enumerate(waits):
            wait.urgency = {498: polling.ON_THE_WAY_TO_ISOLATION, 499: polling.CRITICAL}.get(number, 0)
            task = loop.create_task(wait._wait())
            task.add_done_callback(lambda _, number=number: ended.append(number))  # type: ignore[misc]
        await asyncio.sleep(30)
        account.states = dict.fromkeys(account.states, "Success")
        await asyncio.sleep(120)
        return ended

    ended = storm(monkeypatch, 500, main)
    assert len(ended) == 500
    assert ended.index(499) < ended.index(498) < 25


@pytest.mark.usefixtures("many")
def test_few_commands_are_asked_for_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: VirtualLoop, account: Account, waits: list[SsmCommandsCompletedTrigger]) -> int:
        for wait in waits:
            loop.create_task(wait._wait())
        await asyncio.sleep(60)
        assert len(account.asked) >= 10 * len(waits)
        return account.lists

    assert storm(monkeypatch, 3, main) == 0


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("error", [AccessDeniedError("no ListCommands"), AwsError("500")])
def test_where_the_list_cannot_be_read_each_command_is(monkeypatch: pytest.MonkeyPatch, error: AwsError) -> None:
    async def main(loop: VirtualLoop, account: Account, waits: list[SsmCommandsCompletedTrigger]) -> bool:
        account.refusing = error
        account.states = dict.fromkeys(account.states, "Success")
        outcomes = await asyncio.gather(*(wait._wait() for wait in waits))
        return all(outcome.ok for outcome in outcomes)

    assert storm(monkeypatch, 40, main)


@pytest.mark.usefixtures("many")
def test_a_throttled_list_makes_nobody_ask_for_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: VirtualLoop, account: Account, waits: list[SsmCommandsCompletedTrigger]) -> list[str]:
        account.refusing = ThrottledError("slow down")
        tasks = [loop.create_task(wait._wait()) for wait in waits]
        await asyncio.sleep(600)
        assert not any(task.done() for task in tasks)
        return account.asked

    assert storm(monkeypatch, 40, main) == []


def test_the_list_reads_both_states_and_gives_up_where_there_are_too_many(ssm: Stubber) -> None:
    """The states and the size of a page: ListCommands and CommandFilter, SSM API reference."""
    moment = datetime(2026, 11, 29, tzinfo=UTC)

    def page(status: str, token: str | None, *ids: str, **asked: str) -> None:
        commands = [{"CommandId": i, "Status": status, "RequestedDateTime": moment} for i in ids]
        given = {"Filters": [{"key": "Status", "value": status}], "MaxResults": 50, **asked}
        ssm.add_response("list_commands", {"Commands": commands, **({"NextToken": token} if token else {})}, given)

    one, two, three = (f"{n}1111111-2222-3333-4444-555555555555" for n in (1, 2, 3))
    gateway = SsmGateway(ssm.client, account_id=ACCOUNT, region=REGION)
    page("Pending", None, one)
    page("InProgress", "more", two)
    page("InProgress", None, three, NextToken="more")
    assert gateway.living() == {one, two, three}
    page("Pending", "more", one)
    page("Pending", "again", two, NextToken="more")
    assert gateway.living(most_pages=1) is None
