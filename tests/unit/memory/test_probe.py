"""The probe is sent once with its place recorded, and its answer is used only when it ended well."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forensics import document_registry
from forensics.case.persons import StepRun
from forensics.memory.probe import FRESH, probe_answer, send_probe
from forensics.models.custody import CustodyAction
from forensics.models.status_lines import Probe
from tests.unit.builders import CASE_ID, INSTANCE
from tests.unit.memory.target import PROBE, Host


@pytest.mark.parametrize("platform", ["linux", "windows"])
def test_the_probe_of_the_platform_is_sent_and_recorded(platform: str) -> None:
    host, document = Host(), document_registry.choose("probe", platform=platform)
    record = send_probe(host.recorder, host.ssm, platform=platform)
    assert (record.command_id, record.instance_id, record.document) == (
        "command-1",
        INSTANCE,
        f"forensics-probe_{platform}",
    )
    assert (record.document_version, record.document_sha256) == ("7", document.sha256)
    (sent,) = host.ssm.sent
    assert (sent.parameters, sent.comment, sent.timeout_seconds) == ({"CaseId": CASE_ID}, f"{CASE_ID} probe", 60)
    assert host.recorder.ledger.last(CustodyAction.HOST_TOUCHED).detail == {
        "step": host.recorder.step,
        **record.model_dump(),
        "footprint": "docs/footprint.md",
    }
    host.ssm.answer("command-1", PROBE)
    assert probe_answer(host.recorder, host.ssm) == Probe.read(PROBE)


def test_a_probe_of_an_earlier_try_is_used_and_told_once() -> None:
    """Found by tests/crash: a try that died after it had sent the probe was followed by a second command on the target."""
    host = Host()
    first = send_probe(host.recorder, host.ssm, platform="linux")
    host.ssm.answer(first.command_id, PROBE)
    assert send_probe(host.recorder, host.ssm, platform="linux") == first
    assert len(host.ssm.sent) == 1
    touched = [e for e in host.recorder.ledger.events(CASE_ID) if e.action is CustodyAction.HOST_TOUCHED]
    assert len(touched) == 1
    host.ssm.answer(first.command_id, PROBE, ended=datetime.now(UTC) - 2 * FRESH)
    second = send_probe(host.recorder, host.ssm, platform="linux")
    assert second != first, "whoever clears the task later wants to know anew"
    host.ssm.answer(second.command_id, PROBE, status="Failed")
    assert send_probe(host.recorder, host.ssm, platform="linux") != second, "one that failed is sent again"


def test_a_probe_whose_sender_died_before_it_wrote_down_its_id_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by tests/crash."""
    host = Host()
    host.recorder.run = StepRun(run_id="manual__1")
    with monkeypatch.context() as dying:
        dying.setattr(host.recorder, "put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            send_probe(host.recorder, host.ssm, platform="linux")
    host.ssm.live = "command-1"
    assert send_probe(host.recorder, host.ssm, platform="linux").command_id == "command-1" and len(host.ssm.sent) == 1


def test_there_is_no_answer_before_the_probe_has_succeeded() -> None:
    host = Host()
    assert probe_answer(host.recorder, host.ssm) is None, "not sent"
    send_probe(host.recorder, host.ssm, platform="linux")
    assert probe_answer(host.recorder, host.ssm) is None, "SSM does not show the command yet"
    host.ssm.answer("command-1", PROBE, status="Failed")
    assert probe_answer(host.recorder, host.ssm) is None, "it failed"
    host.ssm.answer("command-1", {"status": "ok", "cpus": -1})
    assert probe_answer(host.recorder, host.ssm) is None, "not of the form"
