"""Import what a document on the forensic instance made: artifacts into the evidence store, results into the case."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypedDict

from pydantic import ValidationError

from forensics import case_keys
from forensics.aws.s3 import StoredObject
from forensics.aws.ssm import Invocation
from forensics.case.gaps import tool_gaps
from forensics.case.recorder import CaseRecorder
from forensics.case.status_line import read_status
from forensics.errors import DigestMismatchError, InvestigationError
from forensics.investigation.notable_processes import notable
from forensics.investigation.raw_results import from_status_line
from forensics.manifest import MIB
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.documents import Output
from forensics.models.evidence import Outcome
from forensics.models.results import (
    RESULTS_BYTES,
    Investigation,
    ResultsOverLimitError,
    StoredArtifact,
    ToolProcess,
    ToolResults,
    read_results,
)
from forensics.models.status_lines import InvestigationStatus
from forensics.naming import artifact_key
from forensics.printable import count

# Name in the manifest -> (file name in the evidence store, largest size in bytes).
OUTPUTS = {
    "results": ("results.json", 64 * MIB),
    "timeline": ("timeline.jsonl", 4096 * MIB),
    "raw": ("raw.tar.gz", 8192 * MIB),
}
_TOO_LATE = "the comparison was not made: it had not ended when the forensic instance was removed"
EXPECTED = {Output.RESULTS: ("results", "timeline", "raw"), Output.RAW: ("raw",)}


def result_key(activity: str, item: str) -> str:
    """Sort key of an activity's record in the case store."""
    return case_keys.result(activity, item)


def revoke_manifest(recorder: CaseRecorder, item: Investigation) -> None:
    """Delete a command's manifest, so that nobody who finds it can use its URLs. Safe to repeat."""
    recorder.revoke_manifest(item.document.landing_prefix, with_keys=bool(item.disk_keys))


def revoke_unfinished(recorder: CaseRecorder) -> None:
    """Revoke the manifest of every command that nobody waits for any more, when its instance is removed.

    A second opinion that has not ended then was not given: a gap, and the case closes.
    """
    for _, record in recorder.gateways.store.items(recorder.case_id, case_keys.RESULT):
        item = Investigation.stored(record)
        if item.outcome is not Outcome.PENDING:
            continue
        revoke_manifest(recorder, item)
        if item.follows:
            update = {"outcome": Outcome.FAILED, "reason": _TOO_LATE, "ended_at": datetime.now(UTC)}
            recorder.put(result_key(item.activity, item.evidence_id), item.model_copy(update=update))


def succeeded(item: Investigation, found: Invocation | None) -> Invocation:
    """The command of an analysis, which ended well; raises :class:`InvestigationError` for any other end."""
    if found is None or found.status != "Success":
        cause = found.cause() if found else f"command {item.command_id} has vanished from SSM"
        raise InvestigationError(cause, next_action=found.next_action("") if found else None)
    return found


def import_artifacts(recorder: CaseRecorder, item: Investigation, found: Invocation | None) -> int:
    """Store, check and record what a finished command left; returns the number of findings.

    Raises :class:`InvestigationError` or :class:`DigestMismatchError`: missing output is never success.
    """
    revoke_manifest(recorder, item)  # the command has ended
    ended = succeeded(item, found)
    status = read_status(ended, InvestigationStatus, error=InvestigationError)
    artifacts = _import(recorder, item, status)
    if item.output is Output.RAW:
        artifacts["results"] = _make_results(recorder, item, ended.status_line(), artifacts["raw"])
    read, over = _read(recorder, item, artifacts["results"])
    findings, gaps = read["findings"], read["gaps"]
    record = {
        "outcome": Outcome.PARTIAL if over or status.status == "partial" else Outcome.DONE,
        "reason": over or status.reason or None,
        "artifacts": artifacts,
        "ended_at": datetime.now(UTC),
        **read,
    }
    recorder.note(
        f"{item.activity} of {item.evidence_id}: {count(findings, 'finding')}, {count(gaps, 'gap')}"
        + (f"; {over}" if over else ""),
        kind=TimelineKind.INVESTIGATION,
        evidence_id=item.evidence_id,
    )
    # Last: an activity that has its outcome is not taken up again.
    recorder.put(result_key(item.activity, item.evidence_id), item.model_copy(update=record))
    return findings


class _Read(TypedDict):
    """What the case's record holds of results."""

    findings: int
    gaps: int
    process_count: int
    processes: tuple[ToolProcess, ...]


def _read(recorder: CaseRecorder, item: Investigation, stored: StoredArtifact) -> tuple[_Read, str]:
    """What is recorded of the results, and what they exceed: then they are kept and not read."""
    try:
        results = _read_results(recorder, item, stored)
    except ResultsOverLimitError as error:
        none = _Read(findings=0, gaps=1, process_count=0, processes=())
        return none, f"the results of {item.activity} on {item.evidence_id} are kept and not read: {error}"
    tree = results.process_tree
    read = _Read(
        findings=len(results.findings),
        gaps=len(tool_gaps(results)),
        process_count=len(tree),
        processes=notable(tree),
    )
    return read, "; ".join(f"{cut.what}: {cut.why}" for cut in results.cut)


def _key(recorder: CaseRecorder, item: Investigation, name: str) -> str:
    run = item.document.landing_prefix.rsplit("-", 1)[1]
    return artifact_key(recorder.case_id, tool=item.tool or item.activity, item=item.evidence_id, name=f"{run}/{name}")


def _import(recorder: CaseRecorder, item: Investigation, status: InvestigationStatus) -> dict[str, StoredArtifact]:
    """Move what landed into the evidence store, re-hashed here and compared with the digests that the tool stated."""
    kept = {}
    for name in EXPECTED[item.output]:
        stored, claim = _move(recorder, item, name), status.artifacts.get(name)
        # The ledger first: what is stored and locked is named in it, also when it is not what the tool stated.
        kept[name] = _record(recorder, item, stored, name=name)
        if claim is None or claim.sha256 != stored.sha256:
            stated = claim.sha256 if claim else "none"
            msg = f"artifact {name} of {item.evidence_id}: stored SHA-256 {stored.sha256}, the tool stated {stated}"
            raise DigestMismatchError(msg)
    return kept


def _move(recorder: CaseRecorder, item: Investigation, name: str) -> StoredObject:
    file, limit = OUTPUTS[name]
    landing, key = recorder.gateways.landing, f"{item.document.landing_prefix}/{name}"
    size = landing.size(key)
    if not size:
        msg = f"artifact {name} of {item.evidence_id} ({item.activity}) did not arrive or is empty"
        raise InvestigationError(msg)
    if size > limit:
        msg = f"artifact {name} of {item.evidence_id} has {size} bytes; {limit} are allowed"
        raise InvestigationError(msg)
    return recorder.gateways.evidence.put_stream(_key(recorder, item, file), landing.stream(key))


def _make_results(
    recorder: CaseRecorder, item: Investigation, line: Mapping[str, object], raw: StoredArtifact
) -> StoredArtifact:
    """The results of a tool that only has raw output, made here from its status line."""
    try:
        results = from_status_line(line, case_id=recorder.case_id, item=item, raw=raw, ended=datetime.now(UTC))
    except ValidationError as error:
        msg = f"the status line of {item.activity} on {item.evidence_id} is not valid: {str(error)[:500]}"
        raise InvestigationError(msg, next_action="fix the document's last line (docs/adding-a-tool.md)") from error
    body = results.model_dump_json(by_alias=True, indent=1).encode()
    stored = recorder.gateways.evidence.put(_key(recorder, item, "results.json"), body, content_type="application/json")
    return _record(recorder, item, stored, name="results", made_from="status line")


def _record(
    recorder: CaseRecorder, item: Investigation, stored: StoredObject, *, name: str, **more: str
) -> StoredArtifact:
    """The artifact, after the ledger states it."""
    artifact = StoredArtifact(uri=stored.uri, sha256=stored.sha256, bytes=stored.size_bytes)
    recorder.custody(
        CustodyAction.ARTIFACT_STORED,
        evidence_id=item.evidence_id,
        detail={"name": name, **more, **artifact.model_dump()},
        once=f"artifact-{stored.key}",
    )
    return artifact


def _read_results(recorder: CaseRecorder, item: Investigation, stored: StoredArtifact) -> ToolResults:
    """The results, read back from the evidence store and checked."""
    key = stored.uri.removeprefix(f"s3://{recorder.gateways.evidence.bucket}/")
    if stored.bytes > RESULTS_BYTES:
        raise ResultsOverLimitError(f"{stored.bytes} bytes; at most {RESULTS_BYTES} are read")
    body = b"".join(recorder.gateways.evidence.stream(key))
    if hashlib.sha256(body).hexdigest() != stored.sha256:
        msg = f"results of {item.evidence_id} changed between writing and reading"
        raise DigestMismatchError(msg)
    try:
        results = read_results(body)
    except ResultsOverLimitError:
        raise
    except ValueError as error:
        msg = f"results of {item.evidence_id} are not valid: {str(error)[:500]}"
        raise InvestigationError(msg) from error
    if (results.case_id, results.evidence_id) != (recorder.case_id, item.evidence_id):
        msg = f"results name case {results.case_id}, evidence {results.evidence_id}; expected {recorder.case_id}, {item.evidence_id}"
        raise InvestigationError(msg)
    return results
