"""Waiting for SSM commands: over when and only when SSM says that every one has ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from unittest.mock import create_autospec

import pytest
from botocore.stub import Stubber

from forensics.aws import triggers
from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import WaitResult
from forensics.aws.session import AwsSession, Scope
from forensics.aws.triggers import ScopedTrigger, SsmCommandsCompletedTrigger
from forensics.errors import AccessDeniedError, ForensicsError
from tests.unit.aws.conftest import Stub
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION

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
