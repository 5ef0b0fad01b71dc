"""Results that the pipeline itself made, stored as a tool's are: in the evidence store, and in the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping

from forensics.case.recorder import CaseRecorder
from forensics.models.custody import CustodyAction
from forensics.models.results import StoredArtifact, ToolResults
from forensics.naming import artifact_key


def store_results(
    recorder: CaseRecorder, results: ToolResults, *, run: str, more: Mapping[str, object] | None = None
) -> StoredArtifact:
    """Store a ``results.json``; safe to repeat: what a try that died has stored of the same run stays, with the times of that try.

    ``run`` tells it from an earlier one of the same evidence, ``more`` is added to it.
    """
    key = artifact_key(recorder.case_id, tool=results.tool, item=results.evidence_id, name=f"{run}/results.json")
    written = {**results.model_dump(mode="json", by_alias=True), **(more or {})}
    body = json.dumps(written, ensure_ascii=False, indent=1).encode()
    stored, _ = recorder.gateways.evidence.put_first(key, body, content_type="application/json")
    artifact = StoredArtifact(uri=stored.uri, sha256=stored.sha256, bytes=stored.size_bytes)
    recorder.custody(
        CustodyAction.ARTIFACT_STORED,
        evidence_id=results.evidence_id,
        detail={"name": "results", **artifact.model_dump()},
        once=f"artifact-{stored.key}",
    )
    return artifact
