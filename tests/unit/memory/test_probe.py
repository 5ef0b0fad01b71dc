"""The probe is sent once with its place recorded, and its answer is used only when it ended well."""

from __future__ import annotations

import pytest

from forensics import document_registry
from forensics.memory.probe import probe_answer, send_probe
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
    }
    host.ssm.answer("command-1", PROBE)
    assert probe_answer(host.recorder, host.ssm) == Probe.read(PROBE)


def test_there_is_no_answer_before_the_probe_has_succeeded() -> None:
    host = Host()
    assert probe_answer(host.recorder, host.ssm) is None, "not sent"
    send_probe(host.recorder, host.ssm, platform="linux")
    assert probe_answer(host.recorder, host.ssm) is None, "SSM does not show the command yet"
    host.ssm.answer("command-1", PROBE, status="Failed")
    assert probe_answer(host.recorder, host.ssm) is None, "it failed"
    host.ssm.answer("command-1", {"status": "ok", "cpus": -1})
    assert probe_answer(host.recorder, host.ssm) is None, "not of the form"
