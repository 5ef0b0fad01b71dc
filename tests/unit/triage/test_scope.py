"""The policy's scope: what is done without a person's order, on which targets; nothing takes an order away."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from forensics.case.containment_summary import describe
from forensics.case.gaps import gaps
from forensics.errors import ConfigurationError
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome
from forensics.models.finding import CustomAction, Finding, FindingSource, Severity
from forensics.models.organization import OrganizationTags
from forensics.models.plan import Action, ResponsePlan
from forensics.models.policy import Scope, ScopeKind
from forensics.models.target import Target
from forensics.models.verification import Standing, Verification
from forensics.report.sections import plan_rows
from forensics.triage.context import TriageContext
from forensics.triage.decision import added, decide, extend
from forensics.triage.plan_text import decision_text, headline, plan_facts
from forensics.triage.policy import LoadedPolicy, packaged, parse_policy
from forensics.triage.policy_table import table
from tests.unit.builders import ACCOUNT, NOW, finding, interface, target, view

C2 = ("Backdoor:EC2/C&CActivity.B",)
TAG = {"kind": "instance_tag", "value": "forensics:respond"}
TAG_VALUE = {"kind": "instance_tag", "value": "forensics:respond=isolate"}
GROUP_TAG = {"kind": "security_group_tag", "value": "forensics:respond"}
THIS_ACCOUNT = {"kind": "account", "value": ACCOUNT}
OTHER_ACCOUNT = {"kind": "account", "value": "999999999999"}
PRODUCTION = {"kind": "account_group", "value": "production"}
EVERYTHING = (Action.MEMORY, Action.DISK, Action.ISOLATE)


def loaded(acquire: Any = "all", isolate: Any = "all", **groups: tuple[str, ...]) -> LoadedPolicy:
    scope = Scope.model_validate({"acquire": acquire, "isolate": isolate, "account_groups": groups})
    return replace(packaged(), policy=packaged().policy.model_copy(update={"scope": scope}))


def plan_for(
    policy: LoadedPolicy, *findings: Finding, on: Target | None = None, context: TriageContext | None = None
) -> ResponsePlan:
    return decide(
        findings or [finding(types=C2)],
        target=on or target(),
        loaded=policy,
        now=NOW,
        context=context or TriageContext(),
    )


def tagged(**tags: str) -> Target:
    return target(tags={key.replace("_", ":"): value for key, value in tags.items()})


def in_group(**tags: str) -> Target:
    groups = {"sg-app": {key.replace("_", ":"): value for key, value in tags.items()}}
    return target(interfaces=(interface(),), group_tags=groups)


MATRIX = [
    # lines of the scope, target, whether the target is in scope
    ([TAG], tagged(), False),
    ([TAG], tagged(forensics_respond=""), True),
    ([TAG], tagged(forensics_respond="anything"), True),
    ([TAG], tagged(respond="yes"), False),
    ([TAG], in_group(forensics_respond=""), False),
    ([TAG_VALUE], tagged(forensics_respond="isolate"), True),
    ([TAG_VALUE], tagged(forensics_respond="ISOLATE"), False),
    ([TAG_VALUE], tagged(forensics_respond=""), False),
    ([GROUP_TAG], in_group(forensics_respond="x"), True),
    ([GROUP_TAG], in_group(), False),
    ([GROUP_TAG], tagged(forensics_respond="x"), False),
    ([THIS_ACCOUNT], target(), True),
    ([OTHER_ACCOUNT], target(), False),
    ([OTHER_ACCOUNT, TAG], tagged(forensics_respond=""), True),
    ([PRODUCTION], target(), True),
    ([{"kind": "account_group", "value": "empty"}], target(), False),
]


@pytest.mark.parametrize(("lines", "on", "inside"), MATRIX)
def test_a_target_is_in_scope_when_one_line_names_it(lines: list[dict[str, str]], on: Target, inside: bool) -> None:
    groups = {"production": (ACCOUNT,), "empty": ()}
    for part, actions in (("acquire", EVERYTHING[:2]), ("isolate", EVERYTHING[2:]), ("both", EVERYTHING)):
        policy = loaded(
            acquire="all" if part == "isolate" else lines, isolate="all" if part == "acquire" else lines, **groups
        )
        plan = plan_for(policy, on=on)
        assert plan.waiting == (() if inside else actions)
        for decision in plan.decisions:
            assert decision.wanted
            assert decision.go is (inside or decision.action not in actions)
        assert (headline(plan) == "Triage done") is inside


ACCOUNT_TAG = {"kind": "account_tag", "value": "forensics:respond"}
ACCOUNT_VALUE = {"kind": "account_tag", "value": "forensics:respond=isolate"}
UNIT_TAG = {"kind": "organizational_unit_tag", "value": "forensics:respond"}
UNIT = "ou-ab12-00000001"
CARRIES = {"forensics:respond": "isolate"}
GOLDEN = [
    # lines of the scope, what AWS Organizations says, the decision on evidence and on isolation (True: at once), who carries the tag
    ([ACCOUNT_TAG], OrganizationTags(account=CARRIES), True, True, f"account {ACCOUNT} has"),
    ([ACCOUNT_VALUE], OrganizationTags(account=CARRIES), True, True, f"account {ACCOUNT} has"),
    ([ACCOUNT_VALUE], OrganizationTags(account={"forensics:respond": "acquire"}), False, False, ""),
    ([ACCOUNT_TAG], OrganizationTags(account={"respond": "isolate"}), False, False, ""),
    ([ACCOUNT_TAG], OrganizationTags(), False, False, ""),
    # a tag of a unit is no tag of the account, and the other way round
    ([ACCOUNT_TAG], OrganizationTags(units={UNIT: CARRIES}), False, False, ""),
    ([UNIT_TAG], OrganizationTags(account=CARRIES, units={}), False, False, ""),
    ([UNIT_TAG], OrganizationTags(units={UNIT: {}, "r-ab12": CARRIES}), True, True, "r-ab12 has"),
    ([ACCOUNT_TAG, UNIT_TAG], OrganizationTags(units={UNIT: CARRIES}), True, True, f"{UNIT} has"),
    # not read: evidence is acquired, isolation waits for a person
    ([ACCOUNT_TAG], OrganizationTags(unread="denied"), True, False, ""),
    ([UNIT_TAG], OrganizationTags(unread="denied"), True, False, ""),
    # not read, and another line names the target
    ([ACCOUNT_TAG, THIS_ACCOUNT], OrganizationTags(unread="denied"), True, True, ""),
    ([ACCOUNT_TAG, OTHER_ACCOUNT], OrganizationTags(unread="denied"), True, False, ""),
]


@pytest.mark.parametrize(("lines", "known", "acquired", "isolated", "carrier"), GOLDEN)
def test_tags_of_accounts_and_units_decide_as_far_as_they_are_known(
    lines: list[dict[str, str]], known: OrganizationTags, acquired: bool, isolated: bool, carrier: str
) -> None:
    plan = plan_for(loaded(acquire=lines, isolate=lines), context=TriageContext(organization=known))
    assert (plan.memory.go, plan.disk.go, plan.isolate.go) == (acquired, acquired, isolated)
    assert plan.waiting == (() if acquired else EVERYTHING[:2]) + (() if isolated else EVERYTHING[2:])
    for decision in plan.decisions:
        said = [reason for reason in decision.reasons if "AWS Organizations" in reason]
        if carrier:
            (reason,) = said
            assert f"in the policy's scope: {carrier}" in reason
        elif known.unread and THIS_ACCOUNT not in lines:
            (reason,) = said
            assert f"account {ACCOUNT}" in reason and "could not be read (denied)" in reason
    assert any("could not be read" in warning for warning in plan.warnings) is bool(known.unread)


def test_tags_that_cannot_be_read_hold_no_order_up() -> None:
    ordered = finding(types=C2, action=CustomAction.ISOLATE)
    policy = loaded(acquire=[ACCOUNT_TAG], isolate=[ACCOUNT_TAG])
    plan = plan_for(policy, ordered, context=TriageContext(organization=OrganizationTags(unread="denied")))
    assert all(decision.go for decision in plan.decisions) and plan.waiting == ()


def test_what_is_left_to_a_person_is_said_in_plan_message_report_and_gaps() -> None:
    plan = plan_for(loaded(acquire=[TAG], isolate=[TAG]))
    for decision in plan.decisions:
        assert "outside the policy's scope (instance_tag forensics:respond)" in decision.reasons[-1]
        assert "the DAG forensic_case orders it" in decision.reasons[-1]
        assert "waits for a person's order" in decision_text(decision)
    assert headline(plan) == "YOUR ORDER IS NEEDED: memory, disk, isolate"
    assert plan_facts(plan)["waiting"] == ["memory", "disk", "isolate"]
    assert any(warning.startswith("memory, disk, isolate waits for a person's order") for warning in plan.warnings)
    refused = ContainmentResult(
        outcome=Outcome.NOT_APPLICABLE,
        state=ContainmentState.NOT_CONTAINED,
        reason="; ".join(plan.isolate.reasons),
    )
    shown = view(plan=plan, target=target(), containment=refused)
    assert [row.answer for row in plan_rows(shown)] == ["waits for a person's order"] * 3
    assert describe(shown).short == "no, waits for an order"
    (isolation,) = [gap for gap in gaps(shown) if gap.subject.startswith("isolation")]
    assert "order it by a custom action" in isolation.next_action


@pytest.mark.parametrize("action", [CustomAction.ISOLATE, CustomAction.FULL])
def test_a_custom_action_is_carried_out_whatever_the_scope_says(action: CustomAction) -> None:
    ordered = finding(types=C2, action=action, severity=Severity.LOW)
    plan = plan_for(loaded(acquire=[TAG], isolate=[OTHER_ACCOUNT]), ordered)
    assert all(decision.go for decision in plan.decisions) and plan.waiting == ()


def test_a_person_in_airflow_is_obeyed_and_by_policy_leaves_the_isolation_to_the_scope() -> None:
    policy = loaded(acquire=[TAG], isolate=[TAG])
    by_name = finding(source=FindingSource.MANUAL, requested={"memory": True, "disk": True, "isolate": True})
    assert plan_for(policy, by_name).waiting == ()
    by_policy = plan_for(policy, finding(source=FindingSource.MANUAL))
    assert by_policy.memory.go and by_policy.disk.go and by_policy.waiting == (Action.ISOLATE,)


def test_an_order_that_joins_adds_what_waited() -> None:
    policy = loaded(acquire=[TAG], isolate=[TAG])
    before = plan_for(policy)
    order = finding(types=C2, action=CustomAction.TRIAGE, key="o" * 16)
    after = extend(before, [finding(types=C2), order], target=target(), loaded=policy, now=NOW)
    assert added(before, after) == (Action.MEMORY, Action.DISK)
    assert after.waiting == (Action.ISOLATE,)


def test_an_order_that_needs_approval_needs_it_outside_the_scope_too() -> None:
    # The finding alone would isolate without approval, were the target in scope.
    order = finding(types=C2, action=CustomAction.FULL, from_administrator=False, key="o" * 16)
    findings = [finding(types=C2), order]
    assert not plan_for(loaded(), *findings).approval.required
    plan = plan_for(loaded(isolate=[TAG]), *findings)
    assert plan.isolate.go and plan.approval.required
    assert "anybody there may have done it" in plan.approval.reasons[0]


def test_an_order_that_is_not_confirmed_does_not_open_the_scope() -> None:
    order = finding(types=C2, action=CustomAction.FULL, key="o" * 16)
    genuine, unknown = (
        Verification(finding_key=key, standing=standing, reason="said so", at=NOW)
        for key, standing in (("k" * 16, Standing.CONFIRMED), ("o" * 16, Standing.NOT_FOUND))
    )
    context = TriageContext(verify=True, verifications={"k" * 16: genuine, "o" * 16: unknown})
    plan = plan_for(loaded(isolate=[TAG]), finding(types=C2), order, context=context)
    assert not plan.isolate.go and plan.waiting == (Action.ISOLATE,)


@pytest.mark.parametrize(("value", "waiting"), [("all", ()), ("disk", (Action.MEMORY,)), ("", EVERYTHING[:2])])
def test_the_protected_tag_that_asks_for_evidence_is_a_word_too(value: str, waiting: tuple[Action, ...]) -> None:
    plan = plan_for(loaded(acquire=[TAG]), on=tagged(forensics_acquire=value))
    assert plan.waiting == waiting


def test_what_is_not_wanted_or_not_possible_does_not_wait() -> None:
    policy = loaded(acquire=[TAG], isolate=[TAG])
    assert plan_for(policy, finding(types=C2, severity=Severity.LOW)).waiting == ()
    stopped = plan_for(policy, on=target(state="terminated", interfaces=(), volumes=()))
    assert stopped.waiting == () and not any(decision.go for decision in stopped.decisions)


def test_the_packaged_policy_leaves_nothing_to_a_person_by_scope() -> None:
    assert packaged().policy.scope == Scope()
    assert plan_for(packaged()).waiting == ()


def test_the_table_is_that_of_a_target_in_scope_and_says_so() -> None:
    narrow = list(table(C2, loaded=loaded(isolate=[TAG, PRODUCTION], production=(ACCOUNT,))))
    assert narrow[0].startswith("scope of isolate: instance_tag forensics:respond, account_group production (")
    assert narrow[1:] == list(table(C2, loaded=packaged()))


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ('{isolate: [{kind: instance_tag, value: "Environment=prod"}]}', "the namespace forensics:"),
        ('{isolate: [{kind: account_tag, value: "Environment=prod"}]}', "the namespace forensics:"),
        ('{isolate: [{kind: organizational_unit_tag, value: "forensics:"}]}', "the namespace forensics:"),
        ('{isolate: [{kind: security_group_tag, value: "forensics:"}]}', "the namespace forensics:"),
        ('{acquire: [{kind: account, value: "1234"}]}', "not the 12 digits"),
        ("{acquire: [{kind: account_group, value: production}]}", "not defined in account_groups"),
        ("{acquire: []}", "scope.acquire"),
        ("{isolate: none}", "scope.isolate"),
        ('{isolate: [{kind: vpc, value: "vpc-1"}]}', "scope.isolate"),
    ],
)
def test_a_scope_that_is_wrong_is_refused_with_its_field(scope: str, said: str) -> None:
    body = resources.files("forensics.triage").joinpath("policy.yaml").read_text("utf-8")
    changed = body.replace("scope:\n  acquire: all\n  isolate: all\n", f"scope: {scope}\n")
    assert changed != body
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(changed.encode(), origin="own")
    assert said in str(caught.value)


def test_the_documented_scope_is_a_valid_one() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "policy.md").read_text("utf-8")
    example = yaml.safe_load(page.split("```yaml\nscope:")[1].split("```")[0].join(["scope:", ""]))
    scope = Scope.model_validate(example["scope"])
    assert scope.acquire == "all" and [line.kind for line in scope.isolate] == list(ScopeKind)
