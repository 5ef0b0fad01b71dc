"""What people read about containment."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.containment import announcements
from forensics.models.containment import ContainmentResult, ContainmentState, ContainmentStep, ManualStep
from forensics.models.evidence import Outcome
from forensics.models.target_facts import OwnGroup
from tests.unit.builders import NOW
from tests.unit.containment.targets import everything, planned
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


def test_an_approval_says_until_when_and_what_silence_means() -> None:
    recorder = FakeRecorder()
    plan = planned(everything(), approval=("production",))
    until = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    announcements.announce_approval_needed(recorder, plan, until=until, default="Do not isolate")
    (mail,) = recorder.mailbox.mail
    assert mail.event == f"approval:{plan.digest[:12]}" and "Why: production" in mail.lines
    assert "until 2026-11-24 09:00:00Z; no answer means: Do not isolate" in mail.lines[-1]
    assert mail.facts["plan_digest"] == plan.digest


def test_failed_steps_are_listed_with_their_cause() -> None:
    failed = ContainmentStep(name="credentials.deny", target="app", done=False, detail="denied")
    result = RESULT.model_copy(update={"steps": (*RESULT.steps, failed)})
    assert announcements.failed_steps(result) == ["credentials.deny on app: denied"]
