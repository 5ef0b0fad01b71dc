"""Reads a whole case for the report and the UI."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice

from pydantic import JsonValue, TypeAdapter

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.s3 import EvidenceStore
from forensics.case.stored_results import stored_results
from forensics.custody.ledger import LedgerHead
from forensics.errors import ForensicsError
from forensics.models.approval import Approval
from forensics.models.artifact import ArtifactDescription
from forensics.models.base import Model, Utc
from forensics.models.case import Case, CaseView, Milestone, StepFailure, TimelineEntry, TimelineKind
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
from forensics.models.remarks import Assignment, Remark
from forensics.models.results import Investigation, ResultsOverLimitError, StoredArtifact, ToolResults
from forensics.models.summary import CaseSummary
from forensics.models.target import Target
from forensics.naming import case_prefix

Reader = Callable[[object], Model]
ResultsReader = Callable[[EvidenceStore, StoredArtifact], ToolResults]
# Of each list of a case so many items are read, the first ones by their sort key (a moment, a number, an id). Cases have some
# hundred; findings that join by the thousand, or a step that is cleared for ever, must not take the web server with them.
MOST = {case_keys.FINDING: 400, case_keys.TIMELINE: 2_000, case_keys.CUSTODY_EVENT: 2_000}
MOST_OTHERS = 500
MOST_OBJECTS = 2_000
# Of the tools' results so many bytes in all: each is bounded, but a case may have many.
MOST_RESULTS = 16 * 1024 * 1024
_LISTS: dict[str, tuple[str, Reader]] = {
    case_keys.FINDING: ("findings", Finding.stored),
    case_keys.EVIDENCE: ("evidence", read_evidence),
    case_keys.RESULT: ("investigations", Investigation.stored),
    case_keys.FAILURE: ("failures", StepFailure.stored),
    case_keys.TIMELINE: ("timeline", TimelineEntry.stored),
    case_keys.CUSTODY_EVENT: ("custody", CustodyEvent.stored),
    case_keys.REMARK: ("remarks", Remark.stored),
}
_SINGLES: dict[str, tuple[str, Reader]] = {
    case_keys.CASE: ("case", Case.stored),
    case_keys.TARGET: ("target", Target.stored),
    case_keys.ARTIFACT: ("artifact", ArtifactDescription.stored),
    case_keys.PLAN: ("plan", ResponsePlan.stored),
    case_keys.CONTAINMENT: ("containment", ContainmentResult.stored),
    case_keys.CONTAINMENT_PLAN: ("containment_plan", ContainmentPlan.stored),
    case_keys.PLAN_PREFLIGHT: ("plan_preflight", PlanPreflight.stored),
    case_keys.APPROVAL: ("approval", Approval.stored),
    case_keys.RELEASE: ("release", ReleaseResult.stored),
    case_keys.RELEASE_PLAN: ("release_plan", ReleasePlan.stored),
    case_keys.RELEASE_APPROVAL: ("release_approval", Approval.stored),
    case_keys.ASSIGNMENT: ("assignment", Assignment.stored),
    case_keys.SUMMARY: ("summary", CaseSummary.stored),
}
# What the board shows of a case, and what its gaps are counted from.
_BOARD_LISTS = (case_keys.EVIDENCE, case_keys.RESULT, case_keys.FAILURE, case_keys.FINDING)
_BOARD_SINGLES = (
    case_keys.CASE,
    case_keys.TARGET,
    case_keys.ARTIFACT,
    case_keys.PLAN,
    case_keys.CONTAINMENT,
    case_keys.RELEASE,
    case_keys.APPROVAL,
    case_keys.RELEASE_APPROVAL,
    case_keys.ASSIGNMENT,
    f"{case_keys.MILESTONE}{Milestone.REPORTED.value}",
    case_keys.DRIFT,
)


class _MilestoneItem(Model):
    at: Utc


_MAPPING: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


def read_view(
    store: CaseStore, evidence: EvidenceStore | None, case_id: str, *, read: ResultsReader = stored_results
) -> CaseView | None:
    """Assemble the view of a case from its items and the tools' results in the evidence store; None when unknown.

    What it costs does not grow with the case: of each list the first items (:data:`MOST`), and ``cut`` says which have more.
    ``read`` reads the results, by default from the evidence store.
    """
    parts = _Parts(store, case_id)
    if not parts.add_singles((*_SINGLES, case_keys.LEDGER_HEAD)):
        return None
    parts.add_lists(tuple(_LISTS))
    parts.add_all(case_keys.MILESTONE)
    parts.add_all(case_keys.RESTORE)
    parts.add_all(case_keys.LEDGER_SIGNATURE)
    if evidence is not None:
        found = tuple(islice(evidence.iter_uris(case_prefix(case_id)), MOST_OBJECTS + 1))
        parts.single["objects"] = found[:MOST_OBJECTS]
        if len(found) > MOST_OBJECTS:
            parts.cut["objects"] = MOST_OBJECTS
        results, unread = _results(evidence, parts.investigations, read)
        parts.many["results"] += results
        parts.many["timeline"] += unread
    return parts.view()


def read_board_view(store: CaseStore, case_id: str) -> CaseView:
    """The few items of a case that the board shows, without the tools' results in S3. Raises :class:`CaseError` when it is unknown."""
    return read_board(store, case_id)[0]


def read_board(store: CaseStore, case_id: str) -> tuple[CaseView, JsonValue]:
    """The view of the board, and the case's drift, read at one moment."""
    parts = _Parts(store, case_id)
    if not parts.add_singles(_BOARD_SINGLES):
        store.case(case_id)  # which says what is missing
    parts.add_lists(_BOARD_LISTS)
    return parts.view(), parts.drift


class _Parts:
    """A case's items, each read by the model of its sort key and put where the view has it."""

    def __init__(self, store: CaseStore, case_id: str) -> None:
        self._store = store
        self._case_id = case_id
        self.single: dict[str, object] = {}
        self.many: defaultdict[str, list[Model]] = defaultdict(list)
        self.milestones: dict[str, datetime] = {}
        self.cut: dict[str, int] = {}
        self.drift: JsonValue = None

    def add_singles(self, sks: Sequence[str]) -> bool:
        """Read these items, all at once; whether the case is among them."""
        for sk, data in self._store.several(self._case_id, sks).items():
            self._place(sk, data)
        return "case" in self.single

    def add_lists(self, prefixes: Sequence[str]) -> None:
        """Read the first items of each kind."""
        for prefix in prefixes:
            if self.add_all(prefix):
                self.cut[_LISTS[prefix][0]] = MOST.get(prefix, MOST_OTHERS)

    def add_all(self, prefix: str) -> bool:
        """Read the items of one kind; whether there are more than are read."""
        most = MOST.get(prefix, MOST_OTHERS)
        found = list(islice(self._store.items(self._case_id, prefix, page_size=most + 1), most + 1))
        more = len(found) > most
        if more and prefix == case_keys.FINDING:
            found = self._opening_first(found)
        for sk, data in found[:most]:
            self._place(sk, data)
        return more

    def _opening_first(self, found: list[tuple[str, object]]) -> list[tuple[str, object]]:
        """The finding that opened the case, wherever its key stands, before the others."""
        case = self.single.get("case")
        if not isinstance(case, Case):
            return found
        opening = list(
            islice(self._store.items(self._case_id, f"{case_keys.FINDING}{case.finding_key}#", page_size=8), 8)
        )
        known = {sk for sk, _ in opening}
        return [*opening, *(item for item in found if item[0] not in known)]

    @property
    def investigations(self) -> list[Investigation]:
        """The activities read so far."""
        return [item for item in self.many["investigations"] if isinstance(item, Investigation)]

    def view(self) -> CaseView:
        """All of it as one value."""
        lists = {name: tuple(found) for name, found in self.many.items()}
        return CaseView.model_validate(
            {
                "generated_at": datetime.now(UTC),
                "milestones": self.milestones,
                "cut": self.cut,
                **self.single,
                **lists,
            }
        )

    def _place(self, sk: str, data: JsonValue) -> None:
        if sk in _SINGLES:
            name, read = _SINGLES[sk]
            self.single[name] = read(data)
        elif sk.startswith(case_keys.RESTORE):
            self.single["restore_point"] = RestorePoint.stored(data)
        elif sk.startswith(case_keys.MILESTONE):
            self.milestones[sk.removeprefix(case_keys.MILESTONE)] = _MilestoneItem.stored(data).at
        elif sk.startswith(case_keys.LEDGER_SIGNATURE):
            self.single["custody_signature"] = {k: str(v) for k, v in _MAPPING.validate_python(data).items()}
        elif sk == case_keys.DRIFT:
            self.drift = data
        elif sk == case_keys.LEDGER_HEAD:
            self.single["custody_head"] = LedgerHead.stored(data).digest
        elif (prefix := sk.split("#")[0] + "#") in _LISTS:
            name, read = _LISTS[prefix]
            self.many[name].append(read(data))


def _results(
    evidence: EvidenceStore, investigations: Sequence[Investigation], read: ResultsReader
) -> tuple[list[ToolResults], list[TimelineEntry]]:
    found, unread = [], []
    left = MOST_RESULTS
    for item in investigations:
        stored = item.artifacts.get("results")
        if not stored or not item.succeeded:
            continue
        try:
            if stored.bytes > left:
                raise ResultsOverLimitError(f"{stored.bytes} bytes; of a case's results {MOST_RESULTS} are read")
            left -= stored.bytes
            found.append(read(evidence, stored))
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
