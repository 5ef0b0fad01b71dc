"""Golden facts of the page: what a responder must be able to read, no more than the records say."""

from __future__ import annotations

import re

import pytest

from forensics.models.approval import Approval
from forensics.models.artifact import Artifact, ArtifactKind
from forensics.models.case import CaseStatus, CaseView, Milestone, Phase
from forensics.models.containment import ApiCall, ReleasePlan
from forensics.report import chronology, render_html
from tests.unit.builders import IMAGE, INSTANCE, NOW, SNAPSHOT, artifact_disk, described_artifact
from tests.unit.containment.targets import everything, granted, planned
from tests.unit.report import sample
from tests.unit.report.test_hostile import check


@pytest.fixture(scope="module")
def view() -> CaseView:
    """Everything at once."""
    return sample.rich_view()


@pytest.fixture(scope="module")
def words(view: CaseView) -> str:
    """The page's text."""
    return re.sub(r"\s+", " ", check(render_html(view)).text)


def test_sections_come_in_the_order_a_responder_needs(view: CaseView) -> None:
    order = re.findall(r'<section id="([a-z]+)"', render_html(view))
    assert order == [
        "next",
        "answers",
        "times",
        "plan",
        "findings",
        "evidence",
        "containment",
        "target",
        "timeline",
        "gaps",
        "notes",
        "provenance",
        "custody",
    ]


@pytest.mark.parametrize(
    "fact",
    [
        "i-0123456789abcdef0 in account 333344445555, Region eu-central-1",
        "▲ CLOSED_WITH_GAPS",
        "New connections are blocked since 2026-11-24 03:14:21.500Z. Connections that were already open",
        "It does NOT mean that the instance is cut off",
        "2 of 4 pieces of evidence acquired; 1 PARTIAL, 1 FAILED.",
        "add the forensic account to the key policy, then clear disk.copy[1]",
        "1.00 GiB = 1,073,742,848 bytes",
        "✔ control-plane and target agree",
        "✖ DIGESTS OF THE SAME BYTES DIFFER",
        "of the whole memory image as streamed; computed by target",
        "mode: GOVERNANCE; retain_until: 2027-11-24T03:30:00Z",
        "+141.5 s (2 min 22 s)",
        "severity HIGH is at or above MEDIUM",
        "ATT&CK T1053.003",
        "✖ NOT done",
        "eni-1: sg-web, sg-ops",
        "Termination protection before: no; stop protection before: not recorded.",
        "volatility3 2.28.2",
        "chain intact",
        "A signature is recorded for the first 8 of 9 events; not signed yet: 1.",
        "No claim is made as to the suitability",
    ],
)
def test_facts_are_on_the_page(words: str, fact: str) -> None:
    assert fact in words


def test_a_report_written_just_before_the_end_says_so(view: CaseView) -> None:
    case = view.case.model_copy(update={"status": CaseStatus.OPEN, "phase": Phase.REPORT, "closed_at": None})
    open_view = view.model_copy(
        update={"case": case, "milestones": {k: v for k, v in view.milestones.items() if k != Milestone.CLOSED}}
    )
    shown = check(render_html(open_view)).text
    assert "just before the case was closed" in shown and "still being processed" not in shown
    assert Milestone.CLOSED not in {row.name for row in chronology.key_times(open_view)}
    assert "just before" not in check(render_html(view)).text


def test_empty_view_says_not_recorded_and_claims_nothing() -> None:
    words = re.sub(r"\s+", " ", check(render_html(sample.empty_view())).text)
    for fact in (
        "○ OPEN",
        "Not contained: no response plan is recorded yet.",
        "No evidence is recorded.",
        "No tool results are recorded.",
        "the target was not described",
        "No custody event is recorded.",
        "The head is not signed",
    ):
        assert fact in words
    assert "✔" not in words


def test_notes_of_tools_are_shown_apart_from_gaps(view: CaseView) -> None:
    noisy = sample.noisy_view()
    page = re.sub(r"\s+", " ", check(render_html(noisy)).text)
    assert "2 notes of tools that ended well; none of them is a gap" in page
    assert "dissect.target cronjobs: No crontab(s) found on target" in page
    assert "No gap is recorded." in page


def test_what_is_pending_is_listed_apart_from_gaps() -> None:
    page = re.sub(r"\s+", " ", check(render_html(sample.running_view())).text)
    assert "1 gap, 2 items pending" in page
    assert "Still pending isolation: it was wanted but has no result" in page


HOSTILE = "x <!-- \u202e <script>alert(1)</script> [a](https://evil.example)"


def test_a_question_is_on_the_page_with_every_call_folded(view: CaseView) -> None:
    """Where Airflow's text cannot fold, the page does: one line for each call, its parameters below."""
    made = planned(everything(), approval=("production",))
    call = ApiCall(service="iam", operation="delete_role_policy", params={"RoleName": HOSTILE, "PolicyName": "p"})
    asked = Approval(
        digest="d" * 64,
        open=True,
        at=NOW,
        until=NOW,
        reason="waits",
        run_id="r",
        step="plan_release",
        not_counted=(HOSTILE,),
    )
    release = ReleasePlan(calls=(call,), digest="d" * 64, requester=HOSTILE, reason=HOSTILE, made_at=NOW)
    changes = {
        "containment_plan": made,
        "release_plan": release,
        "release_approval": asked,
        "approval": granted("e" * 64),
    }
    page = render_html(view.model_copy(update=changes))
    text = re.sub(r"\s+", " ", check(page).text)
    assert "open question release: waits" in text and "run r, task plan_release" in text
    assert "did not count: x <!-- [U+202E] <script>" in text
    assert page.count("<details><summary><span") == len(made.steps) + 1
    assert "Opens: credentials of role x" in text and '"PolicyName": "p"' in text
    assert "isolation: approved by bob" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "; ends "),
        ({"spent_at": NOW}, "; used up"),
        ({"void": "the target was released"}, "no longer counts: the target"),
    ],
)
def test_what_became_of_an_approval_is_said(view: CaseView, changes: dict[str, object], said: str) -> None:
    given = granted("e" * 64).model_copy(update=changes)
    text = re.sub(r"\s+", " ", check(render_html(view.model_copy(update={"approval": given}))).text)
    assert said in text


def test_the_case_of_an_artifact_says_what_it_is_and_what_does_not_apply() -> None:
    disk = artifact_disk(device="/dev/xvda", encrypted=True, size_gib=8)
    image = Artifact(kind=ArtifactKind.IMAGE, id=IMAGE)
    described = described_artifact(
        artifact=image, name="golden", public=True, disks=(disk,), instances=(INSTANCE,), made_of="it was made of it", notes=("one is hidden",)
    )  # fmt: skip
    view = sample.rich_view(case=sample.case(instance_id=IMAGE, artifact=image), target=None, artifact=described)
    text = re.sub(r"\s+", " ", check(render_html(view)).text)
    for said in (f"case of the machine image {IMAGE}", "It is no machine, so triage of a machine, memory, live response and isolation",
                 "public: every AWS account can use it", f"{SNAPSHOT} on /dev/xvda, of vol-1, 8 GiB, encrypted", INSTANCE, "one is hidden"):  # fmt: skip
        assert said in text, said
