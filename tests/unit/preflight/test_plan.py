"""Which checks are made, and what becomes of them when nothing can be."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.aws.denials import Cause
from forensics.aws.reach import Answer, ReachGateway
from forensics.models.preflight import CheckResult, CheckStatus
from forensics.preflight import plan
from forensics.preflight.plan import full_checks, quick_checks, role_checks, run_preflight, tool_checks
from forensics.preflight.scope import PreflightScope, Target
from tests.unit.preflight.conftest import FORENSIC, MEMBER, REGION, SECURITY, FakeHook, settings_with


def test_every_account_has_all_its_roles_tried(scope: PreflightScope) -> None:
    subjects = {check.subject for check in role_checks(scope)}
    assert subjects == {
        *(f"forensics-{p} of {FORENSIC}" for p in ("custodian", "reader", "analyse")),
        *(f"forensics-{p} of {SECURITY}" for p in ("triage", "findings")),
        *(f"forensics-{p} of {MEMBER}" for p in ("triage", "acquire", "logs", "contain", "release")),
    }


def test_the_quick_part_makes_nothing_that_takes_time(scope: PreflightScope) -> None:
    assert [check.name for check in quick_checks(scope) if check.full] == []
    assert {check.name for check in quick_checks(scope)} == {
        "intake", "landing", "evidence", "token", "ledger", "case store", "notices", "forensic AMI", "pages", "tools", "documents", "keys",
    }  # fmt: skip


def test_every_tool_that_the_settings_name_is_looked_at() -> None:
    digest = "a" * 64
    given = {"capture_tool_arm64_sha256": digest, "never_isolate_key": "policy/never.yaml"}
    hook = FakeHook(settings_with(static_collector_arm64_sha256=digest, **given))
    keys = {check.subject for check in tool_checks(PreflightScope(hook, run="r"))}  # type: ignore[arg-type]
    assert keys == {"tools/avml", "tools/avml-aarch64", "tools/busybox-aarch64", "policy/never.yaml"}


def test_the_full_part_needs_an_instance_for_its_disks(hook: FakeHook) -> None:
    target = Target(MEMBER, REGION, "i-0123456789abcdef0")
    names = [c.name for c in full_checks(PreflightScope(hook, run="r", full=True, target=target))]  # type: ignore[arg-type]
    assert names == ["group path", "containment", "disk path"]
    assert [c.name for c in full_checks(PreflightScope(hook, run="r", full=True))] == ["group path"]  # type: ignore[arg-type]


class Unreachable(ReachGateway):
    """Nothing answers."""

    def __init__(self) -> None:
        """No session."""

    def ask(self, service: str, operation: str, params: Any) -> Answer:
        return Answer(cause=Cause.UNREACHABLE, text="Connect timeout")


def test_without_sts_nothing_else_is_tried_and_every_line_says_so(
    scope: PreflightScope, hook: FakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReachGateway, "of", lambda _: Unreachable())
    said: list[CheckResult] = []
    report = run_preflight(scope, say=said.append)
    assert [r.subject for r in report.broken] == ["sts in eu-central-1, execution"]
    others = [r for r in report.results if r not in report.broken]
    assert {r.status for r in others} == {CheckStatus.NOT_TRIED}
    assert {r.check for r in others} >= {"roles", "landing", "evidence", "disk path", "group path"}
    assert all(r.next_action for r in report.results)
    assert len(said) >= len(report.broken)


def test_an_image_that_is_none_is_named(scope: PreflightScope, monkeypatch: pytest.MonkeyPatch) -> None:
    class Parameter:
        def parameter(self, name: str) -> str:
            return "to-do"

    monkeypatch.setattr(plan.SsmGateway, "of", lambda _: Parameter())
    line = plan.AmiCheck(scope).run()
    assert (line.status, "forensic_ami_build" in line.next_action) == (CheckStatus.BROKEN, True)
