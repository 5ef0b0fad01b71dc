"""What memory has and the running host did not list."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.errors import DigestMismatchError
from forensics.investigation.live_comparison import ACTIVITY, _Process, compare, compare_all, unlisted
from forensics.memory.live_findings import ACTIVITY as READ
from forensics.models.evidence import LiveResponseEvidence, LiveResponseOrigin, Outcome
from forensics.models.results import Investigation, StoredArtifact
from forensics.models.status_lines import LiveResponseStatus
from forensics.naming import first_pass_id
from tests.unit.builders import INSTANCE
from tests.unit.recorders import FakeRecorder

MADE = datetime(2026, 11, 21, 2, 5, tzinfo=UTC)
MEMORY = f"memory-{INSTANCE}"


def processes(*pids: int, minutes: float = 60) -> list[_Process]:
    """Processes that began so long before the list was made."""
    return [_Process(pid=pid, name=f"p{pid}", started=MADE - timedelta(minutes=minutes)) for pid in pids]


LISTED = [*processes(1, 2, 3, 4, 5, 6), _Process(pid=900, name="sh", started=MADE)]


def test_a_process_that_was_there_and_not_listed_was_hidden() -> None:
    (finding,), gaps = unlisted(LISTED, processes(1, 2, 3, 4, 5, 6, 666))
    assert (finding.data["pid"], finding.technique, gaps) == (666, "T1014", [])


@pytest.mark.parametrize(
    "seen",
    [
        processes(1, 2, 3),  # others have ended
        [*processes(1, 2, 3), *processes(950, minutes=-1)],  # began after the list
        [*processes(1, 2, 3), *processes(951, minutes=0.01)],  # within the precision of both clocks
        [*processes(1, 2, 3), _Process(pid=952, name="x")],  # of unknown age
        [],
    ],
)
def test_what_can_be_explained_is_no_finding(seen: list[_Process]) -> None:
    assert unlisted(LISTED, seen) == ([], [])


def test_two_lists_of_different_worlds_are_a_gap_and_not_a_hundred_findings() -> None:
    findings, (gap,) = unlisted(LISTED, processes(*range(1000, 1100)))
    assert findings == [] and "PID namespace" in gap.why


def stored(recorder: FakeRecorder, activity: str, item: str, found: list[_Process]) -> Investigation:
    """An activity whose results name these processes."""
    body = json.dumps({"processes": [p.model_dump(mode="json") for p in found]}).encode()
    put = recorder.gateways.evidence.put(f"{activity}/{item}/results.json", body)
    artifact = StoredArtifact(uri=put.uri, sha256=put.sha256, bytes=put.size_bytes)
    record = {
        "activity": activity,
        "tool": "live" if activity == READ else "memory",
        "evidence_id": item,
        "outcome": Outcome.DONE,
        "artifacts": {"results": artifact},
    }
    made = Investigation.model_validate(record)
    recorder.put(case_keys.result(activity, item), made)
    return made


def compared(recorder: FakeRecorder) -> Investigation | None:
    return recorder.get(case_keys.result(ACTIVITY, MEMORY), Investigation)


def test_both_lists_are_compared_once_and_the_finding_is_stored() -> None:
    recorder = FakeRecorder()
    stored(recorder, READ, first_pass_id(INSTANCE), LISTED)
    memory = stored(recorder, "investigate_memory", MEMORY, processes(1, 2, 3, 4, 5, 6, 666))
    assert [compare(recorder, memory) for _ in range(2)] == [1, 1]
    found = compared(recorder)
    assert found is not None and (found.outcome, found.findings) == (Outcome.DONE, 1)
    assert len(recorder.ledger.actions()) == 1


def test_what_was_hidden_is_told_once_and_a_comparison_that_fails_spoils_no_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = FakeRecorder()
    first = stored(recorder, READ, first_pass_id(INSTANCE), LISTED)
    memory = stored(recorder, "investigate_memory", MEMORY, processes(1, 2, 3, 4, 5, 6, 666))
    for _ in range(2):
        compare_all(recorder)
    assert [m.event for m in recorder.mailbox.mail] == [f"hidden_in_{MEMORY}"]
    key = first.artifacts["results"].uri.split("/", 3)[3]
    monkeypatch.setitem(recorder.evidence_store.objects, key, b"{}")
    compare_all(recorder)
    assert list(recorder.store.failures()) == [f"compare:{MEMORY}"]
    assert recorder.get(case_keys.result("investigate_memory", MEMORY), Investigation) == memory


def test_without_a_first_pass_nothing_is_said() -> None:
    recorder = FakeRecorder()
    assert compare(recorder, stored(recorder, "investigate_memory", MEMORY, processes(1, 666))) == 0
    assert compared(recorder) is None


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"processes": 7}', b'{"processes": [{"pid": "x"}]}'])
def test_a_list_that_cannot_be_read_is_no_list(body: bytes) -> None:
    recorder = FakeRecorder()
    first = stored(recorder, READ, first_pass_id(INSTANCE), LISTED)
    memory = stored(recorder, "investigate_memory", MEMORY, processes(1, 666))
    put = recorder.gateways.evidence.put("other/results.json", body)
    other = StoredArtifact(uri=put.uri, sha256=put.sha256, bytes=put.size_bytes)
    recorder.put(
        case_keys.result(READ, first_pass_id(INSTANCE)), first.model_copy(update={"artifacts": {"results": other}})
    )
    assert compare(recorder, memory) == 0
    found = compared(recorder)
    assert found is not None and found.gaps == 0
    written = recorder.evidence_store.objects[found.artifacts["results"].uri.split("/", 3)[3]]
    assert "no whole list of processes" in json.loads(written)["notes"][0]["why"], "that nothing was compared is said"


def test_results_that_were_changed_in_the_store_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = FakeRecorder()
    first = stored(recorder, READ, first_pass_id(INSTANCE), LISTED)
    memory = stored(recorder, "investigate_memory", MEMORY, processes(1, 666))
    key = first.artifacts["results"].uri.split("/", 3)[3]
    monkeypatch.setitem(recorder.evidence_store.objects, key, b"{}")
    with pytest.raises(DigestMismatchError):
        compare(recorder, memory)


@pytest.mark.parametrize(
    ("reason", "gaps"), [("the agent may see a container and not the instance (PID namespace)", 0), ("", 1)]
)
def test_a_list_of_a_container_is_a_note_where_it_says_so_itself(reason: str, gaps: int) -> None:
    recorder = FakeRecorder()
    claims: dict[str, Any] = {
        "status": "ok",
        "reason": reason,
        "bytes": 1,
        "depth": "first",
        "items": 1,
        "process_images": 0,
    }
    origin = LiveResponseOrigin(claims=LiveResponseStatus.model_validate(claims))
    recorder.save_evidence(
        LiveResponseEvidence(evidence_id=first_pass_id(INSTANCE), outcome=Outcome.ACQUIRED, origin=origin)
    )
    stored(recorder, READ, first_pass_id(INSTANCE), LISTED)
    compare(recorder, stored(recorder, "investigate_memory", MEMORY, processes(*range(1000, 1100))))
    found = compared(recorder)
    assert found is not None and found.gaps == gaps
    (told,) = [n for n in recorder.notes if MEMORY in n]
    assert "was not compared with the live response" in told and "0 were hidden" not in told
