"""A stored live response is read by the pipeline: results in the case, once, and a message when they are grave."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics import case_keys
from forensics.errors import ConfinedError, ThrottledError
from forensics.memory import live_findings
from forensics.memory.live_findings import ACTIVITY, SUPERSEDED, read_live_response
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, LiveResponseEvidence, LiveResponseOrigin, Outcome
from forensics.models.results import Investigation, read_results
from forensics.naming import first_pass_id
from tests.unit.builders import INSTANCE
from tests.unit.memory.live.test_live_host import stat
from tests.unit.memory.live_archives import archive
from tests.unit.memory.target import Host

ITEM = f"live-response-{INSTANCE}"
MEMBERS = {
    "00-clock": b"1 1\nbtime 1700000000\n",
    "10-network-tcp": b"  sl\n",
    "14-pids": b"hidden 4242 rootkitd\nprobed 9000 of 9000\n",
    "20-process-states": stat((1, b"init", 0, 1), (77, b"x", 1, 500)),
    "21-process-programs": b"lrwxrwxrwx 1 0 0 0 Nov 29 12:00 /proc/77/exe -> /dev/shm/.x (deleted)\n",
    "24-open-files": b"/proc/1/fd:\n",
}


@pytest.fixture
def host() -> Host:
    return Host()


def stored(host: Host, members: dict[str, bytes] = MEMBERS, **changes: Any) -> LiveResponseEvidence:
    """An archive in the evidence store."""
    body = archive(members)
    item = str(changes.get("evidence_id", ITEM))
    found = host.recorder.gateways.evidence.put(f"cases/x/{item}/live-response.tar", body)
    origin = LiveResponseOrigin(
        document="forensics-live_response_linux",
        landing_prefix=f"fc-1/{item}/20261121T020500000000Z",
        instance_id=INSTANCE,
    )
    values = {
        "evidence_id": ITEM, "outcome": Outcome.ACQUIRED, "origin": origin, "uri": found.uri, "size_bytes": found.size_bytes,
        "digests": (Digest(value=found.sha256, subject="the stored object, all bytes", source="control-plane"),), **changes,
    }  # fmt: skip
    return LiveResponseEvidence(**values)


def record(host: Host, item: str = ITEM) -> Investigation:
    found = host.recorder.get(case_keys.result(ACTIVITY, item), Investigation)
    assert found is not None
    return found


def results_of(host: Host, item: str = ITEM) -> dict[str, Any]:
    """The stored results, as the page reads them."""
    gateway = host.recorder.gateways.evidence
    key = record(host, item).artifacts["results"].uri.removeprefix(f"s3://{gateway.bucket}/")
    body = b"".join(gateway.stream(key))
    read_results(body)
    return dict(json.loads(body))


def test_what_the_archive_holds_becomes_results_and_a_message(host: Host) -> None:
    read_live_response(host.recorder, stored(host))
    found = record(host)
    assert (found.outcome, found.findings, found.gaps) == (Outcome.DONE, 2, 0)
    written = results_of(host)
    assert {f["technique"] for f in written["findings"]} == {"T1014", "T1070.004"}
    assert written["counts"]["processes"] == 3 and written["input"]["sha256"]
    (mail,) = host.recorder.mailbox.mail
    assert mail.event == "first_answers" and any("hidden" in line for line in mail.lines)
    assert host.recorder.ledger.actions() == [CustodyAction.ARTIFACT_STORED]


def test_it_is_read_once_and_again_after_another_capture(host: Host) -> None:
    evidence = stored(host)
    for _ in range(3):
        read_live_response(host.recorder, evidence)
    assert host.recorder.ledger.actions() == [CustodyAction.ARTIFACT_STORED]
    origin = evidence.origin.model_copy(update={"landing_prefix": f"fc-1/{ITEM}/20261121T030000000000Z"})
    read_live_response(host.recorder, evidence.model_copy(update={"origin": origin}))
    assert len(host.recorder.ledger.actions()) == 2
    assert len(host.recorder.mailbox.mail) == 1, "the message comes once in a case"


def test_the_whole_one_takes_the_first_pass_s_place(host: Host) -> None:
    first = first_pass_id(INSTANCE)
    read_live_response(host.recorder, stored(host, evidence_id=first))
    assert record(host, first).findings == 2
    read_live_response(host.recorder, stored(host))
    assert (record(host, first).outcome, record(host, first).reason) == (Outcome.NOT_APPLICABLE, SUPERSEDED)
    assert record(host).outcome is Outcome.DONE


def test_a_quiet_host_sends_no_message(host: Host) -> None:
    quiet = {**MEMBERS, "14-pids": b"probed 9000 of 9000\n", "21-process-programs": b" /proc/77/exe -> /usr/bin/x\n"}
    read_live_response(host.recorder, stored(host, quiet))
    assert record(host).findings == 0 and host.recorder.mailbox.mail == []


def test_missing_parts_are_gaps_by_name(host: Host) -> None:
    read_live_response(host.recorder, stored(host, {"14-pids": b"probed 1 of 1\n"}))
    assert {g["what"] for g in results_of(host)["gaps"]} >= {"processes", "connections (IPv4)"}


def test_a_reader_that_dies_is_a_failed_activity_and_stops_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> None:
        raise ConfinedError("examine was stopped: it used more than 180 s of processor time")

    monkeypatch.setattr(live_findings, "_examined", dies)
    read_live_response(host.recorder, stored(host))
    assert record(host).outcome is Outcome.FAILED and "processor time" in str(record(host).reason)


def test_a_throttled_store_is_asked_again_by_the_next_try(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(*_: object) -> None:
        raise ThrottledError("SlowDown")

    with monkeypatch.context() as patched, pytest.raises(ThrottledError):
        patched.setattr(live_findings, "_examined", throttled)
        read_live_response(host.recorder, stored(host))
    read_live_response(host.recorder, stored(host))
    assert record(host).outcome is Outcome.DONE


def test_nothing_stored_is_left_alone(host: Host) -> None:
    read_live_response(host.recorder, None)
    read_live_response(host.recorder, stored(host, uri=None))
    assert host.recorder.get(case_keys.result(ACTIVITY, ITEM), Investigation) is None


def test_a_windows_host_is_read_in_its_own_forms(host: Host) -> None:
    row = '{"ProcessId":7,"ParentProcessId":1,"Name":"svchost.exe","ExecutablePath":"C:\\\\Users\\\\Public\\\\svchost.exe","CreationDate":null}\n'
    origin = LiveResponseOrigin(document="forensics-live_response_windows", landing_prefix="fc-1/x/1")
    read_live_response(host.recorder, stored(host, {"20-processes": row.encode()}, origin=origin))
    assert [f["technique"] for f in results_of(host)["findings"]] == ["T1036.005"]
    assert {g["what"] for g in results_of(host)["gaps"]} == {"connections", "sessions"}
