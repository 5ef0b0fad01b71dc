"""The plan of a case: look-ups that are kept, findings that join meanwhile, limits, and extensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from forensics import case_keys
from forensics.errors import AwsError, InvalidCaseError
from forensics.models.case import Milestone
from forensics.models.custody import CustodyAction
from forensics.models.finding import Finding, FindingSource, RequestSignature, Severity
from forensics.models.organization import OrganizationTags
from forensics.models.plan import Action, Order, ResponsePlan
from forensics.models.policy import Scope
from forensics.models.target import Target
from forensics.models.verification import Standing, Verification
from forensics.settings import Settings, get_settings
from forensics.triage import planning
from forensics.triage.finding_verifier import FindingVerifier
from forensics.triage.isolation_guard import IsolationGuard
from forensics.triage.never_isolate import Protection
from forensics.triage.organization import OrganizationReader
from forensics.triage.planning import extend_plan, known_verifications, look_up, make_plan, plan_response
from forensics.triage.policy import LoadedPolicy, packaged
from tests.unit.builders import ACCOUNT, CASE_ID, NOW, finding, plan, target
from tests.unit.recorders import FakeRecorder

pytestmark = pytest.mark.usefixtures("settings_environment")
LOW, HIGH = finding(severity=Severity.LOW), finding(key="j" * 16, severity=Severity.HIGH)
ISOLATE = {"isolate": True}


class Verifier(FindingVerifier):
    """One answer for every finding."""

    def __init__(self, standing: Standing = Standing.CONFIRMED) -> None:
        self.standing = standing
        self.asked: list[list[str]] = []

    def verify(self, findings: Sequence[Finding], *, now: datetime, settle: float = 0.0) -> list[Verification]:
        self.asked.append([f.key for f in findings])
        return [Verification(finding_key=f.key, standing=self.standing, reason="said so", at=now) for f in findings]


class Organization(OrganizationReader):
    """One answer for every account."""

    def __init__(self, answer: OrganizationTags) -> None:
        object.__setattr__(self, "answer", answer)
        object.__setattr__(self, "asked", [])

    def read(self, account_id: str, *, units: bool) -> OrganizationTags:
        self.asked.append((account_id, units))  # type: ignore[attr-defined]
        return self.answer  # type: ignore[attr-defined, no-any-return]


class Guard(IsolationGuard):
    """Trusts everything; ``cap`` is what the rate limiter says, ``scope`` the policy's, ``organization`` what it reads."""

    def __init__(
        self,
        *,
        standing: Standing = Standing.CONFIRMED,
        cap: str | AwsError | None = None,
        scope: Scope | None = None,
        organization: OrganizationTags | None = None,
    ) -> None:
        object.__setattr__(self, "scope", scope or Scope())
        object.__setattr__(self, "organization", Organization(organization or OrganizationTags()))
        object.__setattr__(self, "verifier", Verifier(standing))
        object.__setattr__(self, "cap", cap)
        object.__setattr__(self, "reserved", [])

    def policy(self) -> tuple[LoadedPolicy, tuple[str, ...]]:
        policy = packaged().policy.model_copy(update={"scope": self.scope})  # type: ignore[attr-defined]
        return replace(packaged(), policy=policy), ()

    def protected(self, target: Target, *, now: datetime) -> tuple[Protection, tuple[str, ...]]:
        return Protection(), ()

    def over_cap(self, case_id: str, target: Target, *, now: datetime) -> str | None:
        self.reserved.append(case_id)  # type: ignore[attr-defined]
        cap = self.cap  # type: ignore[attr-defined]
        if isinstance(cap, AwsError):
            raise cap
        return cap


def recorder(*findings: Finding, described: bool = True) -> FakeRecorder:
    made = FakeRecorder()
    for item in findings:
        made.store.put(CASE_ID, case_keys.finding(item), item)
    if described:
        made.put(case_keys.TARGET, target())
    return made


def settings(**changes: Any) -> Settings:
    return get_settings().model_copy(update=changes)


def test_a_plan_is_recorded_with_its_reasons() -> None:
    made, guard = recorder(HIGH), Guard()
    decided = plan_response(made, guard, settings())
    assert (decided.memory.go, decided.disk.go, decided.isolate.go) == (True, True, True)
    assert made.plan() == decided
    event = made.ledger.last(CustodyAction.PLAN_DECIDED)
    assert event.detail["verified"] == {HIGH.key: "confirmed"} and event.detail["isolate"]["go"] is True
    assert made.store.has(CASE_ID, f"{case_keys.MILESTONE}{Milestone.TRIAGED.value}")
    assert made.notes[0].startswith("memory: yes (playbook general: default")
    assert guard.reserved == [CASE_ID]  # type: ignore[attr-defined]


def test_without_a_description_there_is_nothing_to_plan() -> None:
    with pytest.raises(InvalidCaseError, match="has no description of its target") as caught:
        make_plan(recorder(HIGH, described=False), Guard(), settings())
    assert caught.value.next_action == "clear triage.describe_target"


@pytest.mark.parametrize("joins", [False, True])
def test_a_finding_that_joins_while_the_plan_is_made_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch, joins: bool
) -> None:
    made, asked = recorder(LOW), []

    def make(recorder: FakeRecorder, guard: object, settings: object, *, before: ResponsePlan | None = None) -> Any:
        asked.append(before)
        if joins:
            recorder.store.put(CASE_ID, case_keys.finding(HIGH), HIGH)
        return plan(isolate=before is not None)

    monkeypatch.setattr(planning, "make_plan", make)
    decided = plan_response(made, Guard(), settings())
    assert asked == ([None, plan(isolate=False)] if joins else [None])
    assert decided.isolate.go is joins and made.plan() == decided


def test_findings_are_looked_up_once_and_again_while_they_are_not_confirmed() -> None:
    made, guard = recorder(HIGH), Guard(standing=Standing.NOT_FOUND)
    for _ in range(2):
        assert not make_plan(made, guard, settings()).isolate.go
    assert guard.verifier.asked == [[HIGH.key], [HIGH.key]]  # type: ignore[attr-defined]
    confirming = Guard()
    for _ in range(2):
        assert make_plan(made, confirming, settings()).isolate.go
    assert confirming.verifier.asked == [[HIGH.key]]  # type: ignore[attr-defined]
    assert known_verifications(made)[HIGH.key].confirmed


def test_a_signature_is_checked_even_when_findings_are_not_looked_up() -> None:
    signature = RequestSignature(key_id="k", value="x" * 8, message="{}", nonce="n" * 16, expires_at=NOW)
    request = finding(key="r" * 16, source=FindingSource.MANUAL, signature=signature)
    guard = Guard()
    answers = look_up(recorder(HIGH, request), guard, settings(verify_findings=False))
    assert [a.finding_key for a in answers] == [request.key]


@pytest.mark.parametrize(
    ("cap", "reason"),
    [
        ("the cap of 5 isolations is reached", "the cap of 5 isolations is reached"),
        (AwsError("DynamoDB is down"), "the rate limit of isolations could not be checked: DynamoDB is down"),
    ],
    ids=["reached", "unknown"],
)
def test_over_the_limit_isolation_waits_for_approval_and_acquisition_does_not(cap: str | AwsError, reason: str) -> None:
    decided = make_plan(recorder(HIGH), Guard(cap=cap), settings())
    assert decided.memory.go and decided.disk.go and decided.isolate.go
    assert (decided.approval.required, decided.approval.reasons) == (True, (reason,))
    assert decided.order is Order.ACQUIRE_FIRST
    assert f"isolation waits for approval: {reason}" in decided.warnings


def test_a_person_in_airflow_is_not_limited() -> None:
    guard = Guard(cap="reached")
    request = finding(source=FindingSource.MANUAL, requested=ISOLATE)
    assert not make_plan(recorder(request), guard, settings()).approval.required
    assert guard.reserved == []  # type: ignore[attr-defined]


def test_the_deployments_threshold_counts() -> None:
    assert make_plan(recorder(LOW), Guard(), settings(isolate_from_severity="LOW")).isolate.go
    assert not make_plan(recorder(LOW), Guard(), settings()).isolate.go


def test_an_extension_adds_what_later_findings_ask_for_and_is_recorded_once() -> None:
    made, guard = recorder(LOW), Guard()
    before = plan_response(made, guard, settings())
    assert not before.isolate.go
    assert extend_plan(made, guard, settings(), before=before) == (before, ())
    made.store.put(CASE_ID, case_keys.finding(HIGH), HIGH)
    after, added = extend_plan(made, guard, settings(), before=before)
    assert added == (Action.MEMORY, Action.DISK, Action.ISOLATE)
    assert (after.revision, made.plan()) == (2, after)
    assert made.ledger.actions().count(CustodyAction.PLAN_DECIDED) == 2
    same, nothing = extend_plan(made, guard, settings(), before=after)
    assert same is after and nothing == ()


def test_an_isolation_that_was_decided_before_takes_no_second_place() -> None:
    made, guard = recorder(HIGH), Guard()
    before = plan_response(made, guard, settings())
    made.store.put(CASE_ID, case_keys.finding(LOW), LOW)
    extend_plan(made, guard, settings(), before=before)
    assert guard.reserved == [CASE_ID]  # type: ignore[attr-defined]


ACCOUNT_TAG = Scope.model_validate({"isolate": [{"kind": "account_tag", "value": "forensics:respond=isolate"}]})


def test_a_scope_of_account_tags_is_decided_by_what_the_organization_says() -> None:
    inside = Guard(scope=ACCOUNT_TAG, organization=OrganizationTags(account={"forensics:respond": "isolate"}))
    made = recorder(HIGH)
    decided = plan_response(made, inside, settings())
    assert decided.isolate.go
    reason = f"in the policy's scope: account {ACCOUNT} has the tag forensics:respond=isolate (AWS Organizations)"
    assert reason in decided.isolate.reasons
    assert reason in made.ledger.last(CustodyAction.PLAN_DECIDED).detail["isolate"]["reasons"]
    assert plan_response(made, inside, settings()).isolate.go
    assert inside.organization.asked == [(ACCOUNT, False)], "read once for a case"  # type: ignore[attr-defined]


def test_tags_that_cannot_be_read_leave_the_isolation_to_a_person_until_the_plan_is_made_again() -> None:
    made = recorder(HIGH)
    unread = plan_response(made, Guard(scope=ACCOUNT_TAG, organization=OrganizationTags(unread="denied")), settings())
    assert unread.memory.go and unread.disk.go and unread.waiting == (Action.ISOLATE,)
    assert "could not be read (denied); clear triage.plan_response" in unread.isolate.reasons[-1]
    read = Guard(scope=ACCOUNT_TAG, organization=OrganizationTags(account={"forensics:respond": "isolate"}))
    assert plan_response(made, read, settings()).isolate.go


def test_a_scope_of_other_lines_never_asks_the_organization() -> None:
    guard = Guard(scope=Scope.model_validate({"isolate": [{"kind": "account", "value": ACCOUNT}]}))
    assert plan_response(recorder(HIGH), guard, settings()).isolate.go
    assert guard.organization.asked == []  # type: ignore[attr-defined]
