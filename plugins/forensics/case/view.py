"""Reads a whole case for the report and the UI."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.s3 import EvidenceStore
from forensics.errors import ForensicsError
from forensics.models.base import Model
from forensics.models.case import Case, CaseView, StepFailure, TimelineEntry, TimelineKind
from forensics.models.containment import (
    Approval,
    ContainmentPlan,
    ContainmentResult,
    PlanPreflight,
    ReleaseResult,
    RestorePoint,
)
from forensics.models.custody import CustodyEvent
from forensics.models.evidence import read_evidence
from forensics.models.finding import Finding
from forensics.models.plan import ResponsePlan
from forensics.models.results import Investigation, ToolResults
from forensics.models.target import Target
from forensics.naming import case_prefix

Reader = Callable[[Any], Model]
_LISTS: dict[str, tuple[str, Reader]] = {
    case_keys.FINDING: ("findings", Finding.model_validate),
    case_keys.EVIDENCE: ("evidence", read_evidence),
    case_keys.RESULT: ("investigations", Investigation.model_validate),
    case_keys.FAILURE: ("failures", StepFailure.model_validate),
    case_keys.TIMELINE: ("timeline", TimelineEntry.model_validate),
    case_keys.CUSTODY_EVENT: ("custody", CustodyEvent.model_validate),
}
_SINGLES: dict[str, tuple[str, Reader]] = {
    case_keys.CASE: ("case", Case.model_validate),
    case_keys.TARGET: ("target", Target.model_validate),
    case_keys.PLAN: ("plan", ResponsePlan.model_validate),
    case_keys.CONTAINMENT: ("containment", ContainmentResult.model_validate),
    case_keys.CONTAINMENT_PLAN: ("containment_plan", ContainmentPlan.model_validate),
    case_keys.PLAN_PREFLIGHT: ("plan_preflight", PlanPreflight.model_validate),
    case_keys.APPROVAL: ("approval", Approval.model_validate),
    case_keys.RELEASE: ("release", ReleaseResult.model_validate),
}


def read_view(store: CaseStore, evidence: EvidenceStore | None, case_id: str) -> CaseView | None:
    """Assemble the view of a case from its items and the tools' results in the evidence store; None when unknown."""
    fields: dict[str, Any] = {}
    for sk, data in store.items(case_id):
        _place(fields, sk, data)
    if "case" not in fields:
        return None
    if evidence is not None:
        fields["objects"] = tuple(evidence.list(case_prefix(case_id)))
        results, unread = _results(evidence, fields.get("investigations", []))
        fields["results"] = tuple(results)
        fields.setdefault("timeline", []).extend(unread)
    return CaseView(
        generated_at=datetime.now(UTC),
        **{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()},
    )


def _place(fields: dict[str, Any], sk: str, data: Any) -> None:
    if sk in _SINGLES:
        name, read = _SINGLES[sk]
        fields[name] = read(data)
    elif sk.startswith(case_keys.RESTORE):
        fields["restore_point"] = RestorePoint.model_validate(data)
    elif sk.startswith(case_keys.MILESTONE):
        fields.setdefault("milestones", {})[sk.removeprefix(case_keys.MILESTONE)] = datetime.fromisoformat(data["at"])
    elif sk.startswith(case_keys.LEDGER_SIGNATURE):
        fields["custody_signature"] = {k: str(v) for k, v in data.items()}
    elif sk == case_keys.LEDGER_HEAD:
        fields["custody_head"] = data["digest"]
    else:
        prefix = sk.split("#")[0] + "#"
        if prefix in _LISTS:
            name, read = _LISTS[prefix]
            fields.setdefault(name, []).append(read(data))


def _results(
    evidence: EvidenceStore, investigations: list[Investigation]
) -> tuple[list[ToolResults], list[TimelineEntry]]:
    found, unread = [], []
    for item in investigations:
        stored = item.artifacts.get("results")
        if not stored:
            continue
        try:
            found.append(
                ToolResults.model_validate(evidence.read_json(stored.uri.removeprefix(f"s3://{evidence.bucket}/")))
            )
        except (ForensicsError, ValueError) as error:
            unread.append(
                TimelineEntry(
                    time=datetime.now(UTC),
                    kind=TimelineKind.FAILURE,
                    what=f"results of {item.activity} on {item.evidence_id} could not be read: {error}",
                    source="report",
                    evidence_id=item.evidence_id,
                )
            )
    return found, unread
