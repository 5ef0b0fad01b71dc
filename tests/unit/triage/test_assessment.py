"""What one finding asks for: by a person, by the playbook, by its severity."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.models.finding import CustomAction, FindingSource, Severity
from forensics.models.verification import Standing, Verification
from forensics.triage.assessment import FindingAssessment, assess, needs_confirmation
from forensics.triage.context import TriageContext
from forensics.triage.policy import packaged
from tests.unit.builders import NOW, finding, target

C2 = ("Backdoor:EC2/C&CActivity.B!DNS",)
BRUTE = ("UnauthorizedAccess:EC2/SSHBruteForce",)
KEY = "k" * 16


def assessed(
    context: TriageContext | None = None, *, tags: dict[str, str] | None = None, **changes: Any
) -> FindingAssessment:
    return assess(
        finding(**changes),
        target=target(tags=tags or {}, vpc_id="vpc-1"),
        policy=packaged().policy,
        context=context or TriageContext(),
    )


def wanted(assessment: FindingAssessment) -> tuple[bool, bool, bool]:
    return assessment.memory.wanted, assessment.disk.wanted, assessment.isolate.wanted


def test_by_severity_and_playbook_with_the_reasons() -> None:
    high = assessed(types=C2)
    assert wanted(high) == (True, True, True) and high.asks
    assert high.isolate.reasons == (
        f"playbook command-and-control: finding type {C2[0]}",
        "severity HIGH is at or above HIGH",
    )
    low = assessed(types=C2, severity=Severity.LOW)
    assert wanted(low) == (False, False, False) and not low.asks
    assert low.disk.reasons[-1] == "severity LOW is below MEDIUM"


def test_a_persons_choice_by_name_counts_and_says_whose_it_is() -> None:
    asked = {"memory": False, "isolate": True}
    assessment = assessed(source=FindingSource.MANUAL, requested=asked, requester="Ada")
    assert assessment.memory.reasons == ("declined by Ada",)
    assert assessment.isolate.reasons == ("asked for by Ada",) and assessment.asked


def test_a_custom_action_against_the_playbook_keeps_what_the_playbook_says() -> None:
    order = assessed(types=BRUTE, resource_role="TARGET", action=CustomAction.ISOLATE)
    assert order.isolate.wanted and order.asked
    assert order.against == "the instance is the target of the activity, not its source"
    assert assessed(types=C2, action=CustomAction.ISOLATE).against == ""


def test_severity_alone_is_not_against_the_playbook() -> None:
    assert assessed(types=C2, severity=Severity.LOW, action=CustomAction.ISOLATE).against == ""


@pytest.mark.parametrize(
    ("value", "memory", "disk"), [("memory", True, False), ("all", True, True), ("x", False, False)]
)
def test_a_tag_adds_an_acquisition_and_keeps_the_reasons(value: str, memory: bool, disk: bool) -> None:
    assessment = assessed(severity=Severity.LOW, tags={"forensics:acquire": value})
    assert wanted(assessment) == (memory, disk, False)
    if memory:
        assert assessment.memory.reasons[-2:] == (
            "severity LOW is below MEDIUM",
            "but the instance's tag forensics:acquire asks for it",
        )


@pytest.mark.parametrize(
    ("known", "doubt"),
    [
        (None, "the finding was not looked up in the service that sent it"),
        (Standing.CONFIRMED, ""),
        (Standing.NOT_FOUND, "the finding could not be confirmed (not-found): said so"),
        (Standing.FORGED, "said so"),
    ],
)
def test_only_a_confirmed_finding_supports_an_isolation(known: Standing | None, doubt: str) -> None:
    verifications = {KEY: Verification(finding_key=KEY, standing=known, reason="said so", at=NOW)} if known else {}
    assessment = assessed(TriageContext(verify=True, verifications=verifications), types=C2)
    assert assessment.doubt == doubt
    assert assessment.asks is (known is not Standing.FORGED)


def test_a_finding_about_another_network_supports_none() -> None:
    assert assessed(vpc_id="vpc-9").doubt == "the finding names vpc-9, but the instance is in vpc-1"
    assert assessed(vpc_id="vpc-1").doubt == ""


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, True),
        ({"posture": True}, False),
        ({"source": FindingSource.CONFIG}, False),
        ({"posture": True, "action": CustomAction.FULL}, True),
        ({"source": FindingSource.MANUAL}, True),
    ],
)
def test_what_never_isolates_by_itself_is_not_looked_up(changes: dict[str, Any], needed: bool) -> None:
    assert needs_confirmation(finding(**changes)) is needed


def test_a_severity_that_cannot_be_read_acquires_and_does_not_isolate() -> None:
    unread = finding(types=("Backdoor:EC2/C&CActivity.B",), severity=Severity.MEDIUM, severity_unread=True)
    found = assess(unread, target=target(), policy=packaged().policy, context=TriageContext(isolate_from=Severity.LOW))
    assert found.memory.wanted and found.disk.wanted and not found.isolate.wanted
    assert "cannot be read" in found.memory.reasons[-1]
