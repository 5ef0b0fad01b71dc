"""What a tool uploaded is stored, re-hashed and recorded; anything else than complete results is an error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from forensics.aws.ssm import Invocation
from forensics.errors import AccessDeniedError, DigestMismatchError, InvestigationError
from forensics.investigation.artifacts import (
    OUTPUTS,
    import_artifacts,
    result_key,
    revoke_manifest,
    revoke_unfinished,
    succeeded,
)
from forensics.models.custody import CustodyAction
from forensics.models.documents import Output
from forensics.models.evidence import Outcome
from forensics.models.results import Investigation, SentDocument, ToolResults
from tests.unit.builders import CASE_ID
from tests.unit.recorders import FakeRecorder

PREFIX = f"{CASE_ID}/disk-vol-1/investigate_disk-20261124T080000000000Z"
STORED = f"cases/{CASE_ID}/artifacts/disk/disk-vol-1/20261124T080000000000Z/"


def record(**changes: Any) -> Investigation:
    known: dict[str, Any] = {
        "activity": "investigate_disk",
        "tool": "disk",
        "evidence_id": "disk-vol-1",
        "outcome": Outcome.PENDING,
        "command_id": "command-1",
        "instance_id": "i-1",
        "document": SentDocument(name="forensics-investigate_disk_linux", version="7", landing_prefix=PREFIX),
    }
    return Investigation(**{**known, **changes})


def results(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "forensics.results/1",
        "case_id": CASE_ID,
        "evidence_id": "disk-vol-1",
        "tool": "disk",
        "started": "2026-11-24T08:00:00Z",
        "ended": "2026-11-24T08:01:00Z",
        "findings": [{"id": "f-1", "title": "Cron job"}, {"id": "f-2", "title": "Unit"}],
        "gaps": [{"what": "/var/log/wtmp", "why": "damaged"}],
        **changes,
    }


class Upload:
    """What the host has uploaded, and the status line that belongs to it."""

    def __init__(self, recorder: FakeRecorder, **changes: Any) -> None:
        self.recorder = recorder
        self.files = {"results": json.dumps(results(**changes)).encode(), "timeline": b"{}\n", "raw": b"tar"}

    def ended(self, said: str = "ok", **line: Any) -> Invocation:
        for name, body in self.files.items():
            self.recorder.landing.objects[f"{PREFIX}/{name}"] = body
        stated = {name: {"sha256": hashlib.sha256(body).hexdigest()} for name, body in self.files.items()}
        text = json.dumps({"status": said, "artifacts": stated, **line})
        return Invocation(command_id="command-1", instance_id="i-1", status="Success", stdout=f"log\n{text}\n")


@pytest.fixture
def recorder() -> FakeRecorder:
    return FakeRecorder()


def known(recorder: FakeRecorder) -> Investigation:
    found = recorder.get(result_key("investigate_disk", "disk-vol-1"), Investigation)
    assert found is not None
    return found


def test_artifacts_are_stored_stated_in_the_ledger_and_recorded(recorder: FakeRecorder) -> None:
    assert import_artifacts(recorder, record(), Upload(recorder).ended(reason="")) == 2
    assert sorted(recorder.evidence_store.objects) == [
        f"{STORED}raw.tar.gz",
        f"{STORED}results.json",
        f"{STORED}timeline.jsonl",
    ]
    made = known(recorder)
    assert (made.outcome, made.reason, made.findings, made.gaps) == (Outcome.DONE, None, 2, 1)
    assert made.artifacts["raw"].sha256 == hashlib.sha256(b"tar").hexdigest()
    assert (made.artifacts["raw"].bytes, made.artifacts["raw"].uri) == (3, f"s3://evidence/{STORED}raw.tar.gz")
    assert recorder.ledger.actions() == [CustodyAction.ARTIFACT_STORED] * 3
    detail = recorder.ledger.last(CustodyAction.ARTIFACT_STORED).detail
    assert detail.items() >= {"name": "raw", **made.artifacts["raw"].model_dump()}.items()
    assert recorder.landing.revoked == [PREFIX], "the manifest is revoked"
    assert recorder.notes == ["investigate_disk of disk-vol-1: 2 findings, 1 gap"]


def test_artifacts_are_not_lost_because_their_manifest_stays(recorder: FakeRecorder) -> None:
    recorder.landing.refusal = AccessDeniedError("no VPC endpoint policy allows the s3:DeleteObject action")
    assert import_artifacts(recorder, record(), Upload(recorder).ended(reason="")) == 2
    assert any("no VPC endpoint policy" in note for note in recorder.notes)


def test_the_record_has_the_processes_that_rules_name_with_who_started_them(recorder: FakeRecorder) -> None:
    mark = {"severity": "high", "title": "hidden"}
    tree = [{"pid": 1}, {"pid": 2, "ppid": 1}, {"pid": 3, "ppid": 2, "marks": [mark]}, {"pid": 4, "ppid": 1}]
    import_artifacts(recorder, record(), Upload(recorder, process_tree=tree).ended(reason=""))
    made = known(recorder)
    assert ([p.pid for p in made.processes], made.process_count) == ([1, 2, 3], 4)


def test_a_partial_run_keeps_its_reason(recorder: FakeRecorder) -> None:
    import_artifacts(recorder, record(), Upload(recorder).ended(said="partial", reason="no symbol table"))
    made = known(recorder)
    assert (made.outcome, made.reason, made.without_symbols) == (Outcome.PARTIAL, "no symbol table", True)


@pytest.mark.parametrize(
    ("findings", "read", "why"),
    [
        ([{"id": "1", "title": "t"}] * 40_000, 1_000, "findings: 40000 entries; the first 1000 are read"),
        ([{"id": "1", "title": "t", "detail": "x" * 4_000}] * 2_100, 0, "are kept and not read: 8"),
    ],
    ids=["entries", "bytes"],
)
def test_results_over_a_limit_are_kept_and_the_analysis_is_partial(
    recorder: FakeRecorder, findings: list[dict[str, str]], read: int, why: str
) -> None:
    """40,000 findings made the page of their case 14 MiB in the web server, 64 MiB of results gigabytes."""
    assert import_artifacts(recorder, record(), Upload(recorder, findings=findings, gaps=[]).ended()) == read
    item = known(recorder)
    assert item.outcome is Outcome.PARTIAL and why in str(item.reason) and item.gaps == 1
    assert f"{STORED}results.json" in recorder.evidence_store.objects, "all of it is kept"


def test_a_repeated_import_enters_nothing_twice(recorder: FakeRecorder) -> None:
    upload = Upload(recorder)
    for _ in range(2):
        import_artifacts(recorder, record(), upload.ended())
    assert len(recorder.ledger.actions()) == 3


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "command command-1 has vanished from SSM"),
        (Invocation(command_id="command-1", instance_id="i-1", status="Failed", stderr="no disk"), "Failed.*no disk"),
        (Invocation(command_id="command-1", instance_id="i-1", status="TimedOut"), "ended TimedOut"),
        (
            Invocation(command_id="command-1", instance_id="i-1", status="Success", stdout="ok"),
            "without a valid status",
        ),
        (
            Invocation(command_id="command-1", instance_id="i-1", status="Success", stdout='{"status": "failed"}'),
            "without a valid status line",
        ),
    ],
    ids=["vanished", "failed", "timed out", "no line", "another status"],
)
def test_any_other_end_of_the_command_is_an_error(recorder: FakeRecorder, found: Invocation | None, why: str) -> None:
    with pytest.raises(InvestigationError, match=why):
        import_artifacts(recorder, record(), found)
    assert recorder.landing.revoked == [PREFIX], "the manifest is revoked all the same"


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        (lambda u: u.files.pop("timeline"), InvestigationError, "artifact timeline .* did not arrive or is empty"),
        (lambda u: u.files.update(raw=b""), InvestigationError, "artifact raw .* did not arrive or is empty"),
        (lambda u: u.files.update(results=b"[]"), InvestigationError, "are not valid"),
        (lambda u: u.files.update(results=b"no json"), InvestigationError, "are not valid"),
        (
            lambda u: u.files.update(results=json.dumps(results(case_id="fc-20261124-ffffffffff")).encode()),
            InvestigationError,
            "results name case fc-20261124-ffffffffff",
        ),
    ],
    ids=["missing", "empty", "no object", "no JSON", "another case"],
)
def test_uploads_that_are_not_what_the_contract_says_are_refused(
    recorder: FakeRecorder, change: Callable[[Upload], object], error: type[Exception], why: str
) -> None:
    upload = Upload(recorder)
    change(upload)
    with pytest.raises(error, match=why):
        import_artifacts(recorder, record(), upload.ended())
    assert recorder.get(result_key("investigate_disk", "disk-vol-1"), Investigation) is None


def test_an_artifact_above_its_limit_is_refused(recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OUTPUTS, "raw", ("raw.tar.gz", 2))
    with pytest.raises(InvestigationError, match="has 3 bytes; 2 are allowed"):
        import_artifacts(recorder, record(), Upload(recorder).ended())


@pytest.mark.parametrize("stated", [{}, {"results": "text"}, {"results": {"sha256": "0" * 64}}, None])
def test_a_digest_that_the_tool_did_not_state_or_states_otherwise_is_an_alarm(
    recorder: FakeRecorder, stated: object
) -> None:
    with pytest.raises(DigestMismatchError, match="artifact results of disk-vol-1: stored SHA-256"):
        import_artifacts(recorder, record(), Upload(recorder).ended(artifacts=stated))
    named = recorder.ledger.last(CustodyAction.ARTIFACT_STORED).detail["uri"]
    assert named == f"s3://evidence/{STORED}results.json", "what is stored and locked is in the ledger all the same"


def test_a_command_that_ended_well_is_the_only_one_that_counts() -> None:
    ended = Invocation(command_id="command-1", instance_id="i-1", status="Success")
    assert succeeded(record(), ended) is ended


def test_artifacts_that_are_not_an_object_are_not_a_status_line(recorder: FakeRecorder) -> None:
    with pytest.raises(InvestigationError, match=r"without a valid status line \(artifacts\)"):
        import_artifacts(recorder, record(), Upload(recorder).ended(artifacts="text"))


def test_a_tool_with_raw_output_gets_results_made_from_its_status_line(recorder: FakeRecorder) -> None:
    upload = Upload(recorder)
    upload.files = {"raw": b"scan log"}
    line = {"tool": "clamav", "hits": [{"title": "X.Y", "path": "/bin/x"}]}
    raw = record(activity="investigate_clamav", tool="clamav", output=Output.RAW)
    assert import_artifacts(recorder, raw, upload.ended(**line)) == 1
    key = f"cases/{CASE_ID}/artifacts/clamav/disk-vol-1/20261124T080000000000Z/results.json"
    made = ToolResults.model_validate_json(recorder.evidence_store.objects[key])
    assert made.findings[0].title == "clamav matched X.Y"
    assert made.input["raw_sha256"] == hashlib.sha256(b"scan log").hexdigest()
    assert recorder.ledger.last(CustodyAction.ARTIFACT_STORED).detail["made_from"] == "status line"
    with pytest.raises(
        InvestigationError, match="status line of investigate_clamav on disk-vol-1 is not valid"
    ) as caught:
        import_artifacts(recorder, raw, upload.ended(tool=""))
    assert "docs/adding-a-tool.md" in caught.value.next_action


def test_only_what_is_pending_is_revoked_when_the_instance_goes(recorder: FakeRecorder) -> None:
    for number, outcome in enumerate((Outcome.PENDING, Outcome.DONE, Outcome.FAILED)):
        item = record(
            evidence_id=f"disk-vol-{number}", outcome=outcome, document=SentDocument(landing_prefix=f"prefix-{number}")
        )
        recorder.put(result_key(item.activity, item.evidence_id), item)
    revoke_unfinished(recorder)
    assert recorder.landing.revoked == ["prefix-0"]
    revoke_manifest(recorder, record(document=SentDocument()))
    assert recorder.landing.revoked == ["prefix-0"], "nothing was published"
