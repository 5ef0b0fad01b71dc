"""Triage as a truth table."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.domain.triage import SUPPRESSING_TAGS, TriagePolicy, decide
from forensics.models.finding import CustomAction, FindingSource, Severity
from forensics.models.plan import ResponsePlan
from forensics.models.target import SsmStatus
from tests.unit.domain.builders import NOW, finding, target

STATES = ("pending", "running", "stopping", "stopped", "shutting-down", "terminated")
AUTOMATIC = [s for s in FindingSource if s is not FindingSource.CONFIG]


def _plan(policy: TriagePolicy | None = None, *, on: object = None, **changes: object) -> ResponsePlan:
    return decide(finding(**changes), target=on or target(), policy=policy or TriagePolicy(), now=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(("source", "severity"), list(product(AUTOMATIC, Severity)))
def test_severity_decides_for_findings_that_nobody_acted_on(source: FindingSource, severity: Severity) -> None:
    plan = _plan(source=source, severity=severity)
    assert plan.memory.go is plan.disk.go is (severity.rank >= Severity.MEDIUM.rank)
    assert plan.isolate.go is (severity.rank >= Severity.HIGH.rank)


@pytest.mark.parametrize("severity", Severity)
def test_a_configuration_finding_neither_acquires_nor_isolates(severity: Severity) -> None:
    for changes in ({"source": FindingSource.CONFIG}, {"posture": True}):
        plan = _plan(severity=severity, **changes)
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
    plan = _plan(
        source=FindingSource.SECURITY_HUB_ACTION,
        action=action,
        severity=severity,
        resource_role=role,
        posture=posture,
    )
    assert (plan.memory.go, plan.disk.go, plan.isolate.go) == (True, True, isolate)
    assert action.value in plan.isolate.reasons[0]


@pytest.mark.parametrize("wanted", list(product([True, False], repeat=3)))
def test_a_person_gets_exactly_what_was_asked_for(wanted: tuple[bool, bool, bool]) -> None:
    asked = dict(zip(("memory", "disk", "isolate"), wanted, strict=True))
    plan = _plan(
        source=FindingSource.MANUAL,
        severity=Severity.LOW,
        requested=asked,
        requester="Ada",
        resource_role="TARGET",
    )
    assert (plan.memory.go, plan.disk.go, plan.isolate.go) == wanted
    assert all("Ada" in d.reasons[0] for d in (plan.memory, plan.disk, plan.isolate))


@pytest.mark.parametrize(
    ("role", "types", "isolate"),
    [
        ("TARGET", ("UnauthorizedAccess:EC2/SSHBruteForce",), False),
        ("target", ("Recon:EC2/PortProbeUnprotectedPort",), False),
        ("ACTOR", ("UnauthorizedAccess:EC2/SSHBruteForce",), True),
        (None, ("UnauthorizedAccess:EC2/SSHBruteForce",), True),
        ("TARGET", ("Backdoor:EC2/C&CActivity.B!DNS",), True),
        ("TARGET", ("CryptoCurrency:EC2/BitcoinTool.B!DNS",), True),
    ],
)
def test_an_attacked_instance_is_not_isolated_but_an_acting_one_is(
    role: str | None, types: tuple[str, ...], isolate: bool
) -> None:
    plan = _plan(severity=Severity.CRITICAL, resource_role=role, types=types)
    assert plan.isolate.go is isolate
    assert plan.memory.go and plan.disk.go


@pytest.mark.parametrize("state", STATES)
def test_what_is_possible_follows_from_the_state(state: str) -> None:
    plan = _plan(on=target(state=state))
    assert plan.memory.possible is (state == "running")
    assert plan.isolate.possible is (state in {"pending", "running", "stopping", "stopped"})
    assert plan.disk.possible
    if state != "running":
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
    plan = _plan(on=target(ssm=ssm))
    assert plan.memory.possible is possible
    assert plan.memory.wanted
    assert word in plan.memory.reasons[-1]
    assert plan.disk.go and plan.isolate.go


def test_an_instance_without_volumes_or_interfaces_says_so() -> None:
    plan = _plan(on=target(volumes=(), interfaces=()))
    assert not plan.disk.possible and "no EBS volume" in plan.disk.reasons[-1]
    assert not plan.isolate.possible and "0 network interfaces" in plan.isolate.reasons[-1]


def test_there_is_no_memory_document_for_windows() -> None:
    plan = _plan(on=target(platform="windows"))
    assert not plan.memory.go and "windows" in plan.memory.reasons[-1]
    assert plan.disk.go and plan.isolate.go


@pytest.mark.parametrize(
    ("value", "memory", "disk"),
    [
        ("memory", True, False),
        ("DISK", False, True),
        ("all", True, True),
        ("none", False, False),
        ("", False, False),
    ],
)
def test_a_tag_adds_an_acquisition(value: str, memory: bool, disk: bool) -> None:
    plan = _plan(severity=Severity.LOW, on=target(tags={"forensics:acquire": value}))
    assert (plan.memory.go, plan.disk.go, plan.isolate.go) == (memory, disk, False)


@given(
    tags=st.dictionaries(
        st.sampled_from([*SUPPRESSING_TAGS, "forensics:acquire", "Name", "istriagerequired"]),
        st.sampled_from(["", "false", "no", "true", "none", "0", "off", "skip", "all"]),
    ),
    severity=st.sampled_from(list(Severity)),
    source=st.sampled_from(list(FindingSource)),
    action=st.sampled_from([None, *CustomAction]),
)
def test_no_tag_ever_suppresses_anything(
    tags: dict[str, str], severity: Severity, source: FindingSource, action: CustomAction | None
) -> None:
    changes = {"severity": severity, "source": source, "action": action}
    bare, tagged = _plan(**changes), _plan(on=target(tags=tags), **changes)
    for name in ("memory", "disk", "isolate"):
        assert getattr(tagged, name).go >= getattr(bare, name).go


@pytest.mark.parametrize("tag", SUPPRESSING_TAGS)
def test_a_tag_that_asks_to_be_left_alone_is_told(tag: str) -> None:
    assert tag in _plan(on=target(tags={tag: "false"})).warnings[0]
    assert _plan(on=target(tags={tag: "true"})).warnings == ()


@pytest.mark.parametrize(("threshold", "severity"), list(product(list(Severity)[1:], Severity)))
def test_the_deployment_sets_the_isolation_threshold(threshold: Severity, severity: Severity) -> None:
    plan = _plan(TriagePolicy(isolate_from=threshold), severity=severity)
    assert plan.isolate.wanted is (severity.rank >= threshold.rank)
