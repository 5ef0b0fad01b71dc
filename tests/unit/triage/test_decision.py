"""Triage decides with reasons: what a person asked for, what the playbook says, what is possible."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.models.finding import CustomAction, Finding, FindingSource, Severity
from forensics.models.plan import Action, Measure, Order, ResponsePlan
from forensics.models.policy import Rule
from forensics.models.target import SsmStatus, Target
from forensics.models.verification import Standing, Verification
from forensics.triage.context import TriageContext
from forensics.triage.decision import added, decide, extend, limited
from forensics.triage.policy import packaged
from tests.unit.builders import ACCOUNT, NOW, finding, target

STATES = ("pending", "running", "stopping", "stopped", "shutting-down", "terminated")
AUTOMATIC = [s for s in FindingSource if s not in {FindingSource.CONFIG, FindingSource.MANUAL}]
SUPPRESSING = packaged().policy.tags.suppressing
C2 = ("Backdoor:EC2/C&CActivity.B!DNS",)
BRUTE = ("UnauthorizedAccess:EC2/SSHBruteForce",)
DOS = ("Backdoor:EC2/DenialOfService.Tcp",)
UNUSUAL = ("Behavior:EC2/TrafficVolumeUnusual",)


def plan_for(
    *findings: Finding, on: Target | None = None, context: TriageContext | None = None, **changes: Any
) -> ResponsePlan:
    """The plan for findings, or for one that is made of the changes."""
    return decide(
        findings or (finding(**changes),),
        target=on or target(),
        loaded=packaged(),
        now=NOW,
        context=context or TriageContext(),
    )


def goes(plan: ResponsePlan) -> tuple[bool, bool, bool]:
    return plan.memory.go, plan.disk.go, plan.isolate.go


def verified(standing: Standing, key: str = "k" * 16) -> TriageContext:
    return TriageContext(
        verify=True, verifications={key: Verification(finding_key=key, standing=standing, reason="said so", at=NOW)}
    )


@pytest.mark.parametrize(("source", "severity"), list(product(AUTOMATIC, Severity)))
def test_severity_decides_for_findings_that_nobody_acted_on(source: FindingSource, severity: Severity) -> None:
    plan = plan_for(source=source, severity=severity)
    assert plan.memory.go is plan.disk.go is (severity.rank >= Severity.MEDIUM.rank)
    assert plan.isolate.go is (severity.rank >= Severity.HIGH.rank)


def test_the_plan_names_policy_playbook_questions_and_lanes() -> None:
    plan = plan_for(types=C2)
    assert (plan.policy_version, plan.policy_sha256) == (packaged().policy.version, packaged().sha256)
    assert plan.playbook == "command-and-control"
    assert plan.questions[0].id == "q-c2-who-talks"
    assert "network" in plan.investigation
    for decision in (plan.memory, plan.disk, plan.isolate):
        assert decision.reasons[0] == f"playbook command-and-control: finding type {C2[0]}"
    assert ResponsePlan.model_validate_json(plan.model_dump_json()) == plan


def test_a_listed_config_rule_acquires_and_never_isolates() -> None:
    rules = (*packaged().policy.rules, Rule(types=("Config rule/bad-image",), playbook="command-and-control"))
    loaded = replace(packaged(), policy=packaged().policy.model_copy(update={"rules": rules}))
    config = finding(
        source=FindingSource.CONFIG, posture=True, types=("Config rule/bad-image",), severity=Severity.HIGH
    )
    plan = decide([config], target=target(), loaded=loaded, now=NOW)
    assert goes(plan) == (True, True, False)
    assert "never isolates" in plan.isolate.reasons[-1]


@pytest.mark.parametrize("severity", Severity)
def test_a_configuration_finding_neither_acquires_nor_isolates(severity: Severity) -> None:
    for changes in ({"source": FindingSource.CONFIG}, {"posture": True}):
        plan = plan_for(severity=severity, types=C2, **changes)
        assert not (plan.memory.wanted or plan.disk.wanted or plan.isolate.wanted)


@pytest.mark.parametrize(
    ("action", "isolate"),
    [(CustomAction.TRIAGE, False), (CustomAction.ISOLATE, True), (CustomAction.FULL, True)],
)
@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("role", [None, "TARGET", "ACTOR"])
@pytest.mark.parametrize("posture", [False, True])
def test_a_custom_action_beats_severity_role_and_source(
    action: CustomAction, isolate: bool, severity: Severity, role: str | None, posture: bool
) -> None:
    plan = plan_for(
        source=FindingSource.SECURITY_HUB_ACTION, action=action, severity=severity, resource_role=role, posture=posture,
        types=BRUTE,
    )  # fmt: skip
    assert goes(plan) == (True, True, isolate)
    assert action.value in plan.isolate.reasons[0]
    # What the playbook rules out on principle needs a second person.
    assert plan.approval.required is (isolate and (posture or role == "TARGET"))


def test_release_acquires_and_isolates_nothing() -> None:
    plan = plan_for(source=FindingSource.SECURITY_HUB_ACTION, action=CustomAction.RELEASE, severity=Severity.CRITICAL)
    assert goes(plan) == (False, False, False)
    assert "release" in plan.isolate.reasons[0]


@pytest.mark.parametrize("wanted", list(product([True, False], repeat=3)))
def test_a_person_gets_exactly_what_was_asked_for(wanted: tuple[bool, bool, bool]) -> None:
    asked = dict(zip(("memory", "disk", "isolate"), wanted, strict=True))
    plan = plan_for(
        source=FindingSource.MANUAL,
        severity=Severity.LOW,
        requested=asked,
        requester="Ada",
        resource_role="TARGET",
    )
    assert goes(plan) == wanted
    assert all("Ada" in d.reasons[0] for d in (plan.memory, plan.disk, plan.isolate))


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize(
    "types", [BRUTE, ("Recon:EC2/PortProbeUnprotectedPort",), ("UnauthorizedAccess:EC2/RDPBruteForce",)]
)
@pytest.mark.parametrize("role", ["TARGET", "target"])
def test_an_attacked_instance_is_triaged_only(severity: Severity, types: tuple[str, ...], role: str) -> None:
    plan = plan_for(severity=severity, resource_role=role, types=types)
    assert goes(plan) == (False, False, False)
    assert "target of the activity" in plan.isolate.reasons[-1]


@pytest.mark.parametrize(
    ("role", "types", "isolate"),
    [
        ("ACTOR", BRUTE, True),
        (None, BRUTE, True),
        ("TARGET", C2, True),
        ("TARGET", ("CryptoCurrency:EC2/BitcoinTool.B!DNS",), True),
        ("TARGET", ("Unlisted:EC2/Thing",), False),
        ("ACTOR", ("Impact:EC2/AbusedDomainRequest.Reputation",), True),
        ("TARGET", ("Impact:EC2/AbusedDomainRequest.Reputation",), False),
        (None, ("Impact:EC2/AbusedDomainRequest.Reputation",), False),
        # a name that is known to be malicious was asked for by a program of the instance
        ("TARGET", ("Impact:EC2/MaliciousDomainRequest.Reputation",), True),
    ],
)
def test_the_role_counts_as_the_playbook_says(role: str | None, types: tuple[str, ...], isolate: bool) -> None:
    plan = plan_for(severity=Severity.HIGH, resource_role=role, types=types)
    assert plan.isolate.go is isolate
    assert plan.memory.go and plan.disk.go


def test_who_harms_others_is_contained_first() -> None:
    plan = plan_for(types=DOS, severity=Severity.MEDIUM, resource_role="ACTOR")
    assert (plan.order, plan.isolate.go) == (Order.CONTAIN_FIRST, True)
    assert plan_for(types=C2).order is Order.ACQUIRE_FIRST
    assert plan_for(types=DOS, severity=Severity.LOW).order is Order.ACQUIRE_FIRST
    assert plan_for(types=DOS, on=target(interfaces=())).order is Order.ACQUIRE_FIRST


def test_what_cannot_be_confirmed_is_not_contained_first() -> None:
    plan = plan_for(types=DOS, context=verified(Standing.NOT_FOUND))
    assert (plan.order, plan.isolate.go) == (Order.ACQUIRE_FIRST, False)


def test_an_analyst_approves_where_the_playbook_says_so() -> None:
    plan = plan_for(types=UNUSUAL)
    assert plan.isolate.go and plan.approval.required and "analyst" in plan.approval.reasons[0]
    assert plan.memory.go and plan.disk.go
    both = plan_for(finding(types=UNUSUAL), finding(key="j" * 16, types=C2))
    assert both.isolate.go and not both.approval.required, "one finding that needs no approval is enough"
    assert not plan_for(types=UNUSUAL, severity=Severity.MEDIUM).approval.required, "nothing to approve"


def test_containment_measures_come_with_the_playbook() -> None:
    assert plan_for(types=("Trojan:EC2/DNSDataExfiltration",)).containment[0] is Measure.DNS_FIREWALL


@pytest.mark.parametrize("state", STATES)
def test_what_is_possible_follows_from_the_state(state: str) -> None:
    plan = plan_for(on=target(state=state))
    assert plan.memory.possible is (state in {"pending", "running"})
    assert plan.isolate.possible is (state in {"pending", "running", "stopping", "stopped"})
    assert plan.disk.possible
    if state not in {"pending", "running"}:
        assert state in plan.memory.reasons[-1]


@pytest.mark.parametrize(
    ("ssm", "possible", "word"),
    [
        (SsmStatus(), False, "not managed"),
        (SsmStatus(managed=True, ping="ConnectionLost"), False, "ConnectionLost"),
        (SsmStatus(managed=True, ping="Inactive"), False, "Inactive"),
        (SsmStatus(managed=True), False, "not online"),
        (SsmStatus(managed=True, ping="Online"), True, "severity"),
    ],
)
def test_memory_needs_an_agent_and_the_rest_does_not(ssm: SsmStatus, possible: bool, word: str) -> None:
    plan = plan_for(on=target(ssm=ssm))
    assert plan.memory.possible is possible
    assert plan.memory.wanted
    assert word in plan.memory.reasons[-1]
    assert plan.disk.go and plan.isolate.go


def test_an_instance_without_volumes_or_interfaces_says_so() -> None:
    plan = plan_for(on=target(volumes=(), interfaces=()))
    assert not plan.disk.possible and "no EBS volume" in plan.disk.reasons[-1]
    assert not plan.isolate.possible and "0 network interfaces" in plan.isolate.reasons[-1]


def test_windows_is_reached_where_ssm_is_online_and_macos_is_not() -> None:
    plan = plan_for(on=target(platform="windows"))
    assert plan.memory.go and plan.disk.go and plan.isolate.go
    away = plan_for(on=target(platform="windows", ssm=SsmStatus(managed=True, ping="ConnectionLost")))
    assert not away.memory.go and "ConnectionLost" in away.memory.reasons[-1]
    mac = plan_for(on=target(ssm=SsmStatus(managed=True, ping="Online", platform_type="macOS")))
    assert not mac.memory.go and "macOS" in mac.memory.reasons[-1]


@pytest.mark.parametrize(
    ("value", "memory", "disk"),
    [("memory", True, False), ("DISK", False, True), ("all", True, True), ("none", False, False), ("", False, False)],
)
def test_a_tag_adds_an_acquisition(value: str, memory: bool, disk: bool) -> None:
    plan = plan_for(severity=Severity.LOW, on=target(tags={"forensics:acquire": value}))
    assert goes(plan) == (memory, disk, False)


@given(
    tags=st.dictionaries(
        st.sampled_from([*SUPPRESSING, "forensics:acquire", "Name", "istriagerequired"]),
        st.sampled_from(["", "false", "no", "true", "none", "0", "off", "skip", "all"]),
    ),
    severity=st.sampled_from(list(Severity)),
    source=st.sampled_from(list(FindingSource)),
    action=st.sampled_from([None, *CustomAction]),
    types=st.sampled_from([(), C2, BRUTE, DOS, UNUSUAL]),
)
def test_no_tag_ever_suppresses_anything(
    tags: dict[str, str], severity: Severity, source: FindingSource, action: CustomAction | None, types: tuple[str, ...]
) -> None:
    changes = {"severity": severity, "source": source, "action": action, "types": types}
    bare, tagged = plan_for(**changes), plan_for(on=target(tags=tags), **changes)
    assert all(more >= less for more, less in zip(goes(tagged), goes(bare), strict=True))
    assert tagged.approval == bare.approval and tagged.order is bare.order


@pytest.mark.parametrize("tag", SUPPRESSING)
def test_a_tag_that_asks_to_be_left_alone_is_reported(tag: str) -> None:
    assert tag in plan_for(on=target(tags={tag: "false"})).warnings[0]
    assert plan_for(on=target(tags={tag: "true"})).warnings == ()


@pytest.mark.parametrize(("threshold", "severity"), list(product(list(Severity)[1:], Severity)))
def test_the_deployment_sets_the_isolation_threshold(threshold: Severity, severity: Severity) -> None:
    for types in ((), DOS):
        plan = plan_for(context=TriageContext(isolate_from=threshold), severity=severity, types=types)
        assert plan.isolate.wanted is (severity.rank >= threshold.rank)


# ---------------------------------------------------------------------- who may speak
FOREIGN = [
    None,
    "arn:aws:securityhub:eu-central-1:333344445555:product/333344445555/default",
    "arn:aws:securityhub:eu-central-1::product/examplevendor/edr",
    "arn:aws:securityhub:eu-central-1::product/aws/inspector",
    "arn:aws:securityhub:eu-central-1:333344445555:product/aws/guardduty",
]


@pytest.mark.parametrize("arn", FOREIGN)
def test_a_product_that_the_policy_does_not_name_acquires_and_asks(arn: str | None) -> None:
    """A member account may import findings of any type under its own product (BatchImportFindings, *Requirements*)."""
    plan = plan_for(types=C2, severity=Severity.CRITICAL, source=FindingSource.SECURITY_HUB, product_arn=arn)
    assert goes(plan) == (True, True, True)
    assert plan.approval.required and "does not trust" in plan.approval.reasons[0]


@pytest.mark.parametrize("path", ["product", "productv2"])
@pytest.mark.parametrize("place", ["aws:securityhub:eu-central-1", "aws-us-gov:securityhub:us-gov-west-1"])
def test_guarddutys_own_arn_isolates(path: str, place: str) -> None:
    plan = plan_for(types=C2, source=FindingSource.SECURITY_HUB, product_arn=f"arn:{place}::{path}/aws/guardduty")
    assert plan.isolate.go and not plan.approval.required


def test_a_trusted_finding_beside_an_untrusted_one_isolates() -> None:
    foreign = finding(key="f" * 16, types=C2, product_arn=FOREIGN[1])
    assert plan_for(foreign).approval.required
    assert not plan_for(foreign, finding(types=C2)).approval.required


@pytest.mark.parametrize("order", [CustomAction.ISOLATE, CustomAction.FULL])
def test_an_order_from_no_administrators_account_waits_for_a_person(order: CustomAction) -> None:
    changes: dict[str, Any] = {"types": C2, "source": FindingSource.SECURITY_HUB_ACTION, "action": order}
    assert not plan_for(finding(**changes)).approval.required
    plan = plan_for(finding(**changes, from_administrator=False))
    assert plan.isolate.go and "administrator" in plan.approval.reasons[0]


# ---------------------------------------------------------------------- self-defence
@pytest.mark.parametrize("standing", Standing)
def test_only_a_confirmed_finding_isolates_and_evidence_is_taken_anyway(standing: Standing) -> None:
    plan = plan_for(types=C2, context=verified(standing))
    assert plan.isolate.go is (standing in {Standing.CONFIRMED, Standing.DISPUTED})
    assert plan.approval.required is (standing is Standing.DISPUTED)
    assert plan.memory.go is plan.disk.go is (standing is not Standing.FORGED)
    assert plan.verifications[0].standing is standing
    if standing is Standing.FORGED:
        assert "not genuine" in plan.memory.reasons[0]
    elif standing is Standing.DISPUTED:
        assert "said so" in plan.approval.reasons[0]
    elif standing is not Standing.CONFIRMED:
        assert plan.isolate.wanted and "said so" in plan.isolate.reasons[-1]
        assert any("not isolated" in w and standing.value in w for w in plan.warnings)


def test_a_finding_that_was_not_looked_up_isolates_nothing() -> None:
    plan = plan_for(types=C2, context=TriageContext(verify=True))
    assert not plan.isolate.go and "not looked up" in plan.isolate.reasons[-1]


def test_one_confirmed_finding_of_two_is_enough() -> None:
    two = (finding(types=C2), finding(key="j" * 16, types=C2))
    assert plan_for(*two, context=verified(Standing.CONFIRMED, key="j" * 16)).isolate.go


def test_an_unconfirmed_order_of_a_person_does_not_isolate_either() -> None:
    plan = plan_for(
        source=FindingSource.SECURITY_HUB_ACTION, action=CustomAction.FULL, context=verified(Standing.NOT_FOUND)
    )
    assert goes(plan) == (True, True, False)


def test_a_finding_about_another_network_than_the_instances_isolates_nothing() -> None:
    assert plan_for(types=C2, vpc_id="vpc-1", on=target(vpc_id="vpc-1")).isolate.go
    plan = plan_for(types=C2, vpc_id="vpc-9", on=target(vpc_id="vpc-1"))
    assert not plan.isolate.go and "vpc-9" in plan.isolate.reasons[-1]


@pytest.mark.parametrize("changes", [{}, {"action": CustomAction.FULL}, {"requested": {"isolate": True}}])
def test_the_product_never_isolates_itself(changes: dict[str, Any]) -> None:
    plan = plan_for(types=C2, context=TriageContext(own_account=ACCOUNT), **changes)
    assert plan.memory.go and plan.disk.go and not plan.isolate.go
    assert "forensic account" in plan.isolate.reasons[-1]


@pytest.mark.parametrize("changes", [{}, {"action": CustomAction.FULL}, {"requested": {"isolate": True}}])
def test_the_never_isolate_list_beats_everybody(changes: dict[str, Any]) -> None:
    plan = plan_for(types=C2, context=TriageContext(protected=("dc-1: domain controller",)), **changes)
    assert plan.isolate.wanted and not plan.isolate.possible
    assert "dc-1: domain controller" in plan.isolate.reasons[-1] and "dc-1" in plan.warnings[0]
    assert plan.memory.go and plan.disk.go


@pytest.mark.parametrize("changes", [{}, {"action": CustomAction.FULL}, {"requested": {"isolate": True}}])
def test_a_tag_that_auto_scaling_may_have_planted_asks_and_forbids_nothing(changes: dict[str, Any]) -> None:
    plan = plan_for(types=C2, context=TriageContext(spared=("dc (tag forensics:never-isolate): why",)), **changes)
    assert goes(plan) == (True, True, True) and plan.approval.required
    assert any("dc (tag forensics:never-isolate): why" in reason for reason in plan.approval.reasons)


def test_with_a_tampered_list_nobody_is_isolated_without_a_persons_word() -> None:
    doubtful = TriageContext(doubts=("the never-isolate list's signature is wrong",))
    assert not plan_for(types=C2, context=doubtful).isolate.go
    asked = plan_for(types=C2, action=CustomAction.FULL, context=doubtful)
    assert asked.isolate.go and asked.approval.required and "signature" in asked.approval.reasons[0]


def test_at_the_cap_isolation_waits_and_acquisition_continues() -> None:
    plan = limited(plan_for(types=DOS), reason="11th isolation in 15 minutes")
    assert goes(plan) == (True, True, True)
    assert plan.approval.required and plan.order is Order.ACQUIRE_FIRST
    assert plan.approval.reasons == ("11th isolation in 15 minutes",) and "11th" in plan.warnings[-1]
    nothing = plan_for(severity=Severity.LOW)
    assert limited(nothing, reason="x") is nothing


# ---------------------------------------------------------------------- several findings
def test_a_later_request_cannot_switch_off_what_the_first_finding_needs() -> None:
    later = finding(
        key="j" * 16, source=FindingSource.MANUAL, requested={"memory": False, "disk": False, "isolate": False}
    )
    assert goes(plan_for(finding(types=C2), later)) == (True, True, True)


def test_the_most_severe_finding_that_asks_names_the_playbook() -> None:
    plan = plan_for(
        finding(types=BRUTE, severity=Severity.LOW), finding(key="j" * 16, types=C2, severity=Severity.CRITICAL)
    )
    assert plan.playbook == "command-and-control"
    assert {"q-brute-success", "q-c2-who-talks"} <= {q.id for q in plan.questions}


def extended(before: ResponsePlan, *findings: Finding, **context: Any) -> ResponsePlan:
    return extend(before, findings, target=target(), loaded=packaged(), now=NOW, context=TriageContext(**context))


def test_a_more_severe_finding_extends_the_plan() -> None:
    first = finding(severity=Severity.LOW, types=BRUTE)
    worse = finding(key="j" * 16, severity=Severity.CRITICAL, types=C2)
    before = plan_for(first)
    after = extended(before, first, worse)
    assert added(before, after) == (Action.MEMORY, Action.DISK, Action.ISOLATE)
    assert after.revision == 2 and "another finding of the case" in after.isolate.reasons[-1]
    assert before.isolate.reasons[0] in after.isolate.reasons


def test_nothing_new_leaves_the_plan_itself() -> None:
    first = finding(types=C2)
    before = plan_for(first)
    assert extended(before, first, finding(key="j" * 16, types=C2)) is before
    assert added(before, before) == ()


def test_an_extension_never_takes_anything_back() -> None:
    first = finding(types=C2)
    before = plan_for(first)
    after = extended(before, first, protected=("dc-1",))
    assert goes(after) == (True, True, True)


def test_an_approval_that_people_were_asked_for_stays() -> None:
    first = finding(types=UNUSUAL)
    before = limited(plan_for(first), reason="cap")
    assert extended(before, first, finding(key="j" * 16, types=C2)).approval.required


FINDINGS = st.builds(
    finding,
    key=st.text("abcdef", min_size=16, max_size=16),
    severity=st.sampled_from(list(Severity)),
    types=st.sampled_from([(), C2, BRUTE, DOS, UNUSUAL]),
    resource_role=st.sampled_from([None, "ACTOR", "TARGET"]),
    source=st.sampled_from(list(FindingSource)),
    action=st.sampled_from([None, *CustomAction]),
    posture=st.booleans(),
    requested=st.sampled_from([None, {"isolate": True}, {"memory": False, "isolate": False}]),
)


@given(st.lists(FINDINGS, min_size=1, max_size=4), st.lists(FINDINGS, max_size=3))
def test_extending_is_monotone_and_settles(first: list[Finding], later: list[Finding]) -> None:
    before = plan_for(*first)
    after = extended(before, *first, *later)
    assert all(new >= old for new, old in zip(goes(after), goes(before), strict=True))
    assert extended(after, *first, *later) is after


@given(st.lists(FINDINGS, min_size=1, max_size=4), st.sampled_from(list(Standing)))
def test_nothing_unconfirmed_ever_isolates(findings: list[Finding], standing: Standing) -> None:
    known = {f.key: Verification(finding_key=f.key, standing=standing, reason="r", at=NOW) for f in findings}
    plan = plan_for(*findings, context=TriageContext(verify=True, verifications=known))
    assert plan.isolate.go <= (standing in {Standing.CONFIRMED, Standing.DISPUTED})
    if standing is Standing.DISPUTED and not any(f.action or f.requested for f in findings):
        assert plan.isolate.go <= plan.approval.required, "what is disputed waits for a person"
    for decision in (plan.memory, plan.disk, plan.isolate):
        assert decision.reasons
