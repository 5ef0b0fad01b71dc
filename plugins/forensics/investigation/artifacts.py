"""Take over what a document on the forensic instance made: artifacts into the evidence store, results into the case."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from forensics import case_keys
from forensics.aws.ssm import Invocation
from forensics.case.gaps import tool_gaps
from forensics.case.recorder import CaseRecorder
from forensics.errors import DigestMismatchError, InvestigationError
from forensics.investigation.raw_results import from_status_line
from forensics.manifest import MIB
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.documents import Output
from forensics.models.evidence import Outcome
from forensics.models.results import Investigation, ToolResults
from forensics.naming import artifact_key

# Name in the manifest -> (file name in the evidence store, largest size in bytes).
OUTPUTS = {
    "results": ("results.json", 64 * MIB),
    "timeline": ("timeline.jsonl", 4096 * MIB),
    "raw": ("raw.tar.gz", 8192 * MIB),
}
EXPECTED = {Output.RESULTS: ("results", "timeline", "raw"), Output.RAW: ("raw",)}


def result_key(activity: str, item: str) -> str:
    """Sort key of an activity's record in the case store."""
    return f"{case_keys.RESULT}{activity}#{item}"


def withdraw(recorder: CaseRecorder, item: Investigation) -> None:
    """Delete what a command was offered: its URLs are of no more use to anybody who finds them. Safe to repeat."""
    if prefix := item.document.get("landing_prefix"):
        recorder.gateways.landing.withdraw(prefix)


def withdraw_unfinished(recorder: CaseRecorder) -> None:
    """The same for every command that nobody waits for any more, when its instance goes."""
    for _, record in recorder.gateways.store.items(recorder.case_id, case_keys.RESULT):
        item = Investigation.model_validate(record)
        if item.outcome == Outcome.PENDING.value:
            withdraw(recorder, item)


def take_over(recorder: CaseRecorder, item: Investigation, found: Invocation | None) -> int:
    """Store, check and record what a finished command left; returns the number of findings.

    Raises :class:`InvestigationError` or :class:`DigestMismatchError`; silence is never success (R22).
    """
    withdraw(recorder, item)  # the command has ended
    if found is None or found.status != "Success":
        raise InvestigationError(found.cause() if found else f"command {item.command_id} has vanished from SSM")
    said = found.status_line()
    if said.get("status") not in {"ok", "partial"}:
        msg = f"command {item.command_id} succeeded without a valid status line: {found.stdout[-300:]!r}"
        raise InvestigationError(msg)
    artifacts = _artifacts(recorder, item, said.get("artifacts") or {})
    if item.output is Output.RAW:
        artifacts["results"] = _made_results(recorder, item, said, artifacts["raw"])
    results = _results(recorder, item, artifacts)
    missed = tool_gaps(results)
    outcome = Outcome.PARTIAL if said["status"] == "partial" else Outcome.DONE
    record = {
        "outcome": outcome.value,
        "reason": str(said.get("reason") or "")[:1000] or None,
        "artifacts": artifacts,
        "ended_at": datetime.now(UTC),
        "findings": len(results.findings),
        "gaps": len(missed),
    }
    recorder.put(result_key(item.activity, item.evidence_id), item.model_copy(update=record))
    recorder.note(
        f"{item.activity} of {item.evidence_id}: {len(results.findings)} findings, {len(missed)} gaps",
        kind=TimelineKind.INVESTIGATION,
        evidence_id=item.evidence_id,
    )
    return len(results.findings)


def _key(recorder: CaseRecorder, item: Investigation, name: str) -> str:
    run = item.document["landing_prefix"].rsplit("-", 1)[1]
    return artifact_key(recorder.case_id, tool=item.tool or item.activity, item=item.evidence_id, name=f"{run}/{name}")


def _artifacts(recorder: CaseRecorder, item: Investigation, claims: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Move what landed into the evidence store, re-hashed here and compared with what the tool said."""
    kept = {}
    prefix = item.document["landing_prefix"]
    for name in EXPECTED[item.output]:
        file, limit = OUTPUTS[name]
        size = recorder.gateways.landing.size(f"{prefix}/{name}")
        if not size:
            msg = f"artifact {name} of {item.evidence_id} ({item.activity}) did not arrive or is empty"
            raise InvestigationError(msg)
        if size > limit:
            msg = f"artifact {name} of {item.evidence_id} has {size} bytes; {limit} are allowed"
            raise InvestigationError(msg)
        stored = recorder.gateways.evidence.put_stream(
            _key(recorder, item, file), recorder.gateways.landing.stream(f"{prefix}/{name}")
        )
        claim = claims.get(name)
        said = claim.get("sha256") if isinstance(claim, dict) else None
        if said != stored.sha256:
            msg = f"artifact {name} of {item.evidence_id}: stored SHA-256 {stored.sha256}, the tool said {said}"
            raise DigestMismatchError(msg)
        kept[name] = {"uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes}
        _stored(recorder, item, {"name": name, **kept[name]}, once=stored.key)
    return kept


def _made_results(
    recorder: CaseRecorder, item: Investigation, said: dict[str, Any], raw: dict[str, Any]
) -> dict[str, Any]:
    """The results of a tool that only has raw output, made here from its status line."""
    try:
        results = from_status_line(said, case_id=recorder.case_id, item=item, raw=raw, ended=datetime.now(UTC))
    except ValidationError as error:
        msg = f"the status line of {item.activity} on {item.evidence_id} is not valid: {str(error)[:500]}"
        raise InvestigationError(msg, next_action="mend the document's last line (docs/adding-a-tool.md)") from error
    body = results.model_dump_json(by_alias=True, indent=1).encode()
    stored = recorder.gateways.evidence.put(_key(recorder, item, "results.json"), body, content_type="application/json")
    kept = {"uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes}
    _stored(recorder, item, {"name": "results", "made_from": "status line", **kept}, once=stored.key)
    return kept


def _stored(recorder: CaseRecorder, item: Investigation, detail: dict[str, Any], *, once: str) -> None:
    recorder.custody(
        CustodyAction.ARTIFACT_STORED, evidence_id=item.evidence_id, detail=detail, once=f"artifact-{once}"
    )


def _results(recorder: CaseRecorder, item: Investigation, artifacts: dict[str, dict[str, Any]]) -> ToolResults:
    key = str(artifacts["results"]["uri"]).removeprefix(f"s3://{recorder.gateways.evidence.bucket}/")
    body = b"".join(recorder.gateways.evidence.stream(key))
    if hashlib.sha256(body).hexdigest() != artifacts["results"]["sha256"]:
        msg = f"results of {item.evidence_id} changed between writing and reading"
        raise DigestMismatchError(msg)
    try:
        results = ToolResults.model_validate(json.loads(body))
    except (ValueError, ValidationError) as error:
        msg = f"results of {item.evidence_id} are not valid: {str(error)[:500]}"
        raise InvestigationError(msg) from error
    if (results.case_id, results.evidence_id) != (recorder.case_id, item.evidence_id):
        msg = f"results name case {results.case_id}, evidence {results.evidence_id}; expected {recorder.case_id}, {item.evidence_id}"
        raise InvestigationError(msg)
    return results
