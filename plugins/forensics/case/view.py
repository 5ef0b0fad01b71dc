"""Reads a whole case for the report and the UI."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from pydantic import TypeAdapter

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.s3 import EvidenceStore
from forensics.custody.ledger import LedgerHead
from forensics.errors import ForensicsError
from forensics.models.approval import Approval
from forensics.models.base import Model, Utc
from forensics.models.case import Case, CaseView, StepFailure, TimelineEntry, TimelineKind
from forensics.models.containment import (
    ContainmentPlan,
    ContainmentResult,
    PlanPreflight,
    ReleasePlan,
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

Reader = Callable[[object], Model]
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
    case_keys.RELEASE_PLAN: ("release_plan", ReleasePlan.model_validate),
    case_keys.RELEASE_APPROVAL: ("release_approval", Approval.model_validate),
}
# What the board shows of a case, and what its gaps are counted from.
_BOARD_LISTS = (case_keys.EVIDENCE, case_keys.RESULT, case_keys.FAILURE, case_keys.FINDING)
_BOARD_SINGLES = (case_keys.TARGET, case_keys.PLAN, case_keys.CONTAINMENT)


class _MilestoneItem(Model):
    at: Utc


_MAPPING: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


def read_view(store: CaseStore, evidence: EvidenceStore | None, case_id: str) -> CaseView | None:
    """Assemble the view of a case from its items and the tools' results in the evidence store; None when unknown."""
    parts = _Parts(store.items(case_id))
    if "case" not in parts.single:
        return None
    if evidence is not None:
        parts.single["objects"] = tuple(evidence.list(case_prefix(case_id)))
        results, unread = _results(evidence, parts.investigations)
        parts.many["results"] += results
        parts.many["timeline"] += unread
    return parts.view()


def read_board_view(store: CaseStore, case: Case) -> CaseView:
    """The few items of a case that the board shows, without the tools' results in S3."""
    items = [item for prefix in _BOARD_LISTS for item in store.items(case.case_id, prefix)]
    items += [(sk, data) for sk in _BOARD_SINGLES for data in [store.data(case.case_id, sk)] if data is not None]
    parts = _Parts(items)
    parts.single["case"] = case
    return parts.view()


class _Parts:
    """A case's items, each read by the model of its sort key and put where the view has it."""

    def __init__(self, items: Iterable[tuple[str, object]]) -> None:
        self.single: dict[str, object] = {}
        self.many: defaultdict[str, list[Model]] = defaultdict(list)
        self.milestones: dict[str, datetime] = {}
        for sk, data in items:
            self._place(sk, data)

    @property
    def investigations(self) -> list[Investigation]:
        """The activities read so far."""
        return [item for item in self.many["investigations"] if isinstance(item, Investigation)]

    def view(self) -> CaseView:
        """All of it as one value."""
        lists = {name: tuple(found) for name, found in self.many.items()}
        return CaseView.model_validate(
            {"generated_at": datetime.now(UTC), "milestones": self.milestones, **self.single, **lists}
        )

    def _place(self, sk: str, data: object) -> None:
        if sk in _SINGLES:
            name, read = _SINGLES[sk]
            self.single[name] = read(data)
        elif sk.startswith(case_keys.RESTORE):
            self.single["restore_point"] = RestorePoint.model_validate(data)
        elif sk.startswith(case_keys.MILESTONE):
            self.milestones[sk.removeprefix(case_keys.MILESTONE)] = _MilestoneItem.model_validate(data).at
        elif sk.startswith(case_keys.LEDGER_SIGNATURE):
            self.single["custody_signature"] = {k: str(v) for k, v in _MAPPING.validate_python(data).items()}
        elif sk == case_keys.LEDGER_HEAD:
            self.single["custody_head"] = LedgerHead.model_validate(data).digest
        elif (prefix := sk.split("#")[0] + "#") in _LISTS:
            name, read = _LISTS[prefix]
            self.many[name].append(read(data))


def _results(
    evidence: EvidenceStore, investigations: Sequence[Investigation]
) -> tuple[list[ToolResults], list[TimelineEntry]]:
    found, unread = [], []
    for item in investigations:
        stored = item.artifacts.get("results")
        if not stored:
            continue
        try:
            key = stored.uri.removeprefix(f"s3://{evidence.bucket}/")
            found.append(ToolResults.model_validate(evidence.read_json(key)))
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
