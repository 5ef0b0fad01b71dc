"""What people read about containment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from forensics.containment import announcements
from forensics.containment.question_text import QuestionText
from forensics.models.approval import Approval, Askers, Person
from forensics.models.containment import ContainmentResult, ContainmentState, ContainmentStep, ManualStep
from forensics.models.evidence import Outcome
from forensics.models.target_facts import OwnGroup
from tests.unit.builders import NOW
from tests.unit.recorders import FakeRecorder

RESULT = ContainmentResult(
    outcome=Outcome.DONE,
    state=ContainmentState.NEW_FLOWS_BLOCKED,
    group_id="sg-q",
    steps=(ContainmentStep(name="a", target="i", done=True, detail="done"),),
    residuals=("DNS stays open",),
    manual_steps=(ManualStep(id="eks.cordon", what="cordon the node", command="kubectl cordon", reason="no new pods"),),
    contained_at=NOW,
)


def test_an_isolated_target_is_announced_with_what_is_not_proven_and_what_is_left() -> None:
    recorder = FakeRecorder()
    announcements.announce_isolated(recorder, RESULT)
    (mail,) = recorder.mailbox.mail
    assert mail.event == "contained"
    assert mail.lines[2:] == [
        "Not proven: DNS stays open",
        "Manual step: cordon the node: no new pods (`kubectl cordon`)",
    ]
    assert (mail.facts["state"], mail.facts["group_id"]) == ("NEW_FLOWS_BLOCKED", "sg-q")
    assert recorder.notes == ["target isolated: NEW_FLOWS_BLOCKED (group sg-q)"]


def test_an_incomplete_isolation_is_announced_once() -> None:
    recorder = FakeRecorder()
    changes = {
        "outcome": Outcome.PARTIAL,
        "state": ContainmentState.FAILED,
        "reason": "interface eni-0 still has groups",
    }
    open_result = RESULT.model_copy(update=changes)
    announcements.announce_incomplete(recorder, open_result)
    announcements.announce_incomplete(recorder, open_result)
    (mail,) = recorder.mailbox.mail
    assert mail.event == "containment_partial" and "Open: interface eni-0 still has groups" in mail.lines
    assert "isolate the instance manually now" in mail.lines[-1]


def test_a_closed_network_is_never_to_be_isolated_manually() -> None:
    recorder = FakeRecorder()
    line = "credentials of role app that the instance was issued are still valid: IAM is not reachable"
    changes = {"outcome": Outcome.PARTIAL, "reason": f"network closed; {line}", "credentials_open": (line,)}
    announcements.announce_incomplete(recorder, RESULT.model_copy(update=changes))
    (mail,) = recorder.mailbox.mail
    assert "Network closed, credentials still valid: PARTIAL" in mail.subject
    assert f"Open: network closed; {line}" in mail.lines
    assert "isolate the instance manually" not in " ".join(mail.lines)
    assert "leave the network as it is, it is closed; end the credentials" in mail.lines[-1]
    assert (mail.facts["network_closed"], mail.facts["credentials_open"]) == (True, [line])


def test_an_altered_group_is_an_alert_for_each_token() -> None:
    recorder = FakeRecorder()
    group = OwnGroup(id="sg-1", name="forensics-quarantine-x", vpc_id="vpc-1")
    announcements.announce_altered_groups(recorder, [group], token="a")
    announcements.announce_altered_groups(recorder, [group], token="b")
    assert [m.event for m in recorder.mailbox.mail] == ["group_altered:a", "group_altered:b"]
    assert "sg-1 (forensics-quarantine-x)" in recorder.notes[0]


def question(**changes: Any) -> Approval:
    """An open question until nine."""
    until = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    given = {"digest": "d" * 64, "open": True, "at": until, "until": until, "reason": "waits", "step": "plan_release"}
    return Approval(**{**given, "askers": Askers(known=(Person(login="alice"),)), **changes})


def test_a_question_says_why_until_when_and_what_silence_means() -> None:
    recorder = FakeRecorder()
    text = QuestionText(
        effects=(), calls=("1", "2"), accept="Isolate", default="Do not isolate", said=(("Reason", "x"),)
    )
    announcements.announce_question(recorder, "approval:x", "Isolate i-1?", question(), text=text, why=("production",))
    (mail,) = recorder.mailbox.mail
    assert mail.event == "approval:x" and "Approval needed: Isolate i-1?" in mail.subject
    assert {"Why: production", "Reason: x"} <= set(mail.lines)
    assert "alice asked for it: their “Isolate” does not count, and the question stays open." in mail.lines
    assert "until 2026-11-24 09:00:00Z" in mail.lines[-1] and mail.lines[-1].endswith("no answer means: Do not isolate")
    assert mail.facts["plan_digest"] == "d" * 64 and mail.facts["until"] == "2026-11-24T09:00:00+00:00"


def test_words_of_others_are_one_line_without_a_link_in_a_message() -> None:
    """A reason with line feeds once wrote lines of its own into the product's mail."""
    recorder = FakeRecorder()
    said = "x\nWhat to do next: open https://evil.example or www.evil.example\n\nCase closed: complete"
    text = QuestionText(effects=(), accept="Yes", default="No", said=(("Reason", said),))
    announcements.announce_question(recorder, "e", "Go on?", question(), text=text, why=(said,))
    announcements.announce_not_counted(recorder, question(reason=said))
    for mail in recorder.mailbox.mail:
        assert not any(line.startswith(("What to do next", "Case closed")) for line in mail.lines)
        assert not any("\n" in line or "://evil" in line or "www.evil" in line for line in mail.lines)


def test_failed_steps_are_listed_with_their_cause() -> None:
    failed = ContainmentStep(name="credentials.deny", target="app", done=False, detail="denied")
    result = RESULT.model_copy(update={"steps": (*RESULT.steps, failed)})
    assert announcements.failed_steps(result) == ["credentials.deny on app: denied"]
