"""What a case ought to have and does not: the one list that close, report, board, messages and API show.

While a case is being processed, what is not there yet is pending. A gap is what ended badly and, once the work has
ended, whatever is still not there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from forensics.case.containment_advice import ISOLATE, next_action
from forensics.models.case import CaseStatus, CaseView, Phase, StepFailure
from forensics.models.evidence import Digest, Evidence, EvidenceKind, Outcome
from forensics.models.finding import CustomAction
from forensics.models.gaps import Gap, GapKind
from forensics.models.plan import Action, Decision
from forensics.models.results import Investigation, ToolResults, ToolRun
from forensics.naming import evidence_id, first_pass_id

DIFFERENT_DIGESTS = "DIGESTS OF THE SAME BYTES DIFFER"
NO_REASON = "no reason is recorded"
_EXAMINED_KINDS = frozenset({EvidenceKind.MEMORY, EvidenceKind.DISK})
_ENDED_WELL = frozenset({Outcome.DONE.value, Outcome.PARTIAL.value})
_NOT_BAD = frozenset({Outcome.PENDING, Outcome.ACQUIRED})
# Steps that only prepare the acquisition of these kinds of evidence.
_PREPARES: dict[str, tuple[EvidenceKind, ...]] = {
    "memory.probe_target": (EvidenceKind.MEMORY,),
    "triage.protect_target": (EvidenceKind.MEMORY, EvidenceKind.DISK),
}
# A failed step is the same gap as an item whose reason its cause repeats; shorter reasons could be there by chance.
_SHORTEST_REASON = 8

_AGAIN = "decide whether it can be acquired again; if so, clear the task that acquires it"
ORDER = "decide whether it is to be done, and order it by a custom action on the finding or the DAG forensic_case"
_RELEASED = "nothing: the target was released since"
_PLAN = "look at the log of triage.plan_response in the case's run, then clear it"
_EXAMINE = "clear the investigation's tasks in the case's run, or examine the evidence with tools of your own"
_READ = "conclude nothing from what was not read; examine it with tools of your own"
_RELOAD = "check that the evidence store can be read, then load the page again"


def gaps(view: CaseView) -> list[Gap]:
    """Every gap of a case, in a fixed order; empty when nothing is missing.

    ``view`` has the tools' results; for one without them see :func:`gap_count`.
    """
    return [*_of_records(view), *_of_results(view)]


def gap_count(view: CaseView) -> int:
    """The number of :func:`gaps` of a case whose view was read without the tools' results (the board's)."""
    return len(_of_records(view)) + sum(i.gaps for i in view.investigations if i.outcome in _ENDED_WELL)


def pending(view: CaseView) -> list[Gap]:
    """What is not there yet because the case is still being processed; empty once its work has ended."""
    return _unique(_not_there(view)) if under_way(view) else []


def under_way(view: CaseView) -> bool:
    """Whether steps before the report may still bring what is not there."""
    return view.case.status is CaseStatus.OPEN and view.case.phase not in {Phase.REPORT, Phase.DONE}


def failures_that_matter(view: CaseView) -> list[StepFailure]:
    """The steps that failed and left something undone."""
    return [failure for failure in view.failures if not _made_up_for(view, failure)]


def failures_made_up_for(view: CaseView) -> list[StepFailure]:
    """The steps that failed and turned out not to matter: shown, and no gap."""
    return [failure for failure in view.failures if _made_up_for(view, failure)]


def _made_up_for(view: CaseView, failure: StepFailure) -> bool:
    """Whether what the step was for is there all the same: it only prepared an acquisition, and everything of that is acquired."""
    if view.plan is None or failure.step not in _PREPARES:
        return False
    kinds = [
        kind
        for kind, wanted in ((EvidenceKind.MEMORY, view.plan.memory), (EvidenceKind.DISK, view.plan.disk))
        if wanted.wanted
    ]
    wanted = [kind for kind in _PREPARES[failure.step] if kind in kinds]
    items = [e for e in view.evidence if e.kind in wanted]
    return bool(wanted) and {e.kind for e in items} == set(wanted) and all(e.outcome is Outcome.ACQUIRED for e in items)


def tool_gaps(results: ToolResults) -> list[Gap]:
    """What the tools of one activity did not examine, and the tools that failed."""
    where = f" ({results.tool} tools on {results.evidence_id})"
    found = [
        Gap(kind=GapKind.COVERAGE, subject=gap.what + where, why=gap.why, next_action=_READ) for gap in results.gaps
    ]
    # A tool whose failure is the reason of a listed gap is not counted a second time.
    found += [
        Gap(kind=GapKind.TOOL, subject=f"{run_name(run)}{where}", why=run_problem(run), next_action=_READ)
        for run in results.provenance
        if failed(run) and not (run.error and any(run.error in gap.why for gap in results.gaps))
    ]
    return _unique(found)


def tool_notes(results: ToolResults) -> list[str]:
    """What tools that ended well remarked: shown, and no gap."""
    remarks = [f"{run_name(run)}: {run.error}" for run in results.provenance if run.error and not failed(run)]
    return [*remarks, *(f"{note.what}: {note.why}" for note in results.notes)]


def failed(run: ToolRun) -> bool:
    """Whether a tool failed; with exit status 0 its message is a remark."""
    return bool(run.exit) or (run.exit is None and run.error is not None)


def run_name(run: ToolRun) -> str:
    """A tool with its arguments."""
    return " ".join((run.tool, *run.argv))


def run_problem(run: ToolRun) -> str:
    """How a tool failed: exit status and message."""
    status = "" if run.exit is None else f"exit status {run.exit}"
    return ": ".join(part for part in (status, run.error or "") if part)


def differing_digests(digests: Iterable[Digest]) -> bool:
    """Whether two digests that were computed of the same bytes differ."""
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for digest in digests:
        values[digest.algorithm.lower(), digest.subject].add(digest.value.lower())
    return any(len(found) > 1 for found in values.values())


# ---------------------------------------------------------------------- how the list is made
def _of_records(view: CaseView) -> list[Gap]:
    """Gaps that the case store's own items show."""
    found = [*_ended_badly(view), *([] if under_way(view) else _not_there(view))]
    return _unique([*_failed_steps(view, found), *_with_next_actions(view, found)])


def _of_results(view: CaseView) -> Iterator[Gap]:
    for results in view.results:
        yield from tool_gaps(results)
    for item in _unread(view):
        subject = f"results of {_activity(item)}"
        why = "; ".join(["they could not be read", *([item.reason] if item.reason else [])])
        yield Gap(kind=GapKind.INVESTIGATION, subject=subject, why=why, next_action=_RELOAD)


def _unread(view: CaseView) -> list[Investigation]:
    """Activities that ended well and whose results the view does not have.

    Results name their tool, which need not be the activity's own (two profiles of one tool): those of the same tool are
    matched first, then whatever results of the same evidence are left.
    """
    left = [(results.evidence_id, results.tool) for results in view.results]
    unmatched = []
    for item in (i for i in view.investigations if i.outcome in _ENDED_WELL):
        if (item.evidence_id, item.tool) in left:
            left.remove((item.evidence_id, item.tool))
        else:
            unmatched.append(item)
    unread = []
    for item in unmatched:
        other = next((pair for pair in left if pair[0] == item.evidence_id), None)
        if other is None:
            unread.append(item)
        else:
            left.remove(other)
    return unread


def _failed_steps(view: CaseView, found: list[Gap]) -> Iterator[Gap]:
    """Steps that failed for good, except for a reason that another gap has already."""
    for failure in failures_that_matter(view):
        if not any(_repeats(failure.cause, gap) for gap in found):
            yield Gap(kind=GapKind.STEP, subject=failure.step, why=failure.cause, next_action=failure.next_action)


def _with_next_actions(view: CaseView, found: list[Gap]) -> Iterator[Gap]:
    """The gaps, with the next action of the step that failed for the same reason."""
    waiting = [d for d in view.plan.decisions if d.waits] if view.plan else []
    for gap in found:
        actions = [f.next_action for f in view.failures if _repeats(f.cause, gap)]
        actions += [ORDER for d in waiting if d.reasons[-1] in gap.why]
        yield gap.model_copy(update={"next_action": (actions or [gap.next_action])[0]})


def _repeats(cause: str, gap: Gap) -> bool:
    return len(gap.why) >= _SHORTEST_REASON and gap.why != NO_REASON and gap.why in cause


def _ended_badly(view: CaseView) -> Iterator[Gap]:
    """What has ended, and not as it should: a gap at any time."""
    for item in view.evidence:
        begun = item.outcome in {Outcome.PARTIAL, Outcome.FAILED}
        if item.outcome not in _NOT_BAD and (begun or _wanted(view, item)) and not _came_later(view, item):
            yield _evidence(f"{item.evidence_id} ended {item.outcome.value}", item.reason or NO_REASON)
        if differing_digests(item.digests):
            yield _evidence(f"{item.evidence_id}: {DIFFERENT_DIGESTS}", "one of the copies is not what was acquired")
    result = view.containment
    wanted = view.plan is not None and view.plan.isolate.wanted
    if wanted and result is not None and result.outcome not in {Outcome.DONE, Outcome.PENDING}:
        yield Gap(
            kind=GapKind.CONTAINMENT,
            subject=f"isolation ended {result.outcome.value}",
            why=result.reason or NO_REASON,
            next_action=_RELEASED if view.released else next_action(result),
        )
    for run in view.investigations:
        # What a partial investigation left out is in its results; one that lists nothing is itself the gap.
        if run.outcome == Outcome.FAILED.value or (run.outcome == Outcome.PARTIAL.value and not run.gaps):
            yield _investigation(f"{_activity(run)} ended {run.outcome}", run.reason or NO_REASON)


def _not_there(view: CaseView) -> Iterator[Gap]:
    """What has not ended: pending while steps may still bring it, a gap afterwards."""
    if view.plan is None:
        yield Gap(kind=GapKind.PLAN, subject="response plan", why="triage did not end with one", next_action=_PLAN)
        return
    for item in view.evidence:
        if item.outcome is Outcome.PENDING:
            yield _evidence(f"{item.evidence_id} is {item.outcome.value}", item.reason or "it has no result")
    yield from _nothing_recorded(view, view.plan.memory, EvidenceKind.MEMORY)
    yield from _nothing_recorded(view, view.plan.disk, EvidenceKind.DISK)
    result = view.containment
    if view.plan.isolate.wanted and (result is None or result.outcome is Outcome.PENDING):
        why = (result.reason if result else None) or "it was wanted but has no result"
        yield Gap(kind=GapKind.CONTAINMENT, subject="isolation", why=why, next_action=ISOLATE)
    yield from _requests(view)
    yield from _unread_findings(view)
    yield from _not_examined(view)


def _nothing_recorded(view: CaseView, decision: Decision, kind: EvidenceKind) -> Iterator[Gap]:
    known = {e.evidence_id for e in view.evidence if e.kind is kind}
    if not decision.wanted:
        return
    if not known:
        yield _evidence(kind.value, "it was wanted but nothing was recorded")
    elif kind is EvidenceKind.DISK:
        for volume in view.target.volumes if view.target else ():
            if evidence_id(kind, volume.id) not in known:
                why = "it was attached to the target but nothing was recorded of it"
                yield _evidence(f"volume {volume.id} ({volume.device})", why)
        for disk in view.artifact.disks if view.artifact else ():
            if evidence_id(kind, disk.snapshot_id) not in known:
                yield _evidence(
                    f"snapshot {disk.snapshot_id}", "it belongs to the artifact but nothing was recorded of it"
                )


def _requests(view: CaseView) -> Iterator[Gap]:
    """Requests of people that the plan does not carry out, for instance because they came after it was made."""
    if view.plan is None or view.plan.isolate.wanted or not view.plan.isolate.applies:
        return
    for finding in view.findings:
        asked = finding.action in {CustomAction.ISOLATE, CustomAction.FULL}
        if asked or (finding.requested or {}).get(Action.ISOLATE.value):
            who = finding.requester or finding.source.value
            yield Gap(
                kind=GapKind.REQUEST,
                subject=f"{who} asked for isolation",
                why=f"the plan does not isolate ({finding.title[:80]})",
                next_action="start the DAG forensic_extension for this case, or isolate the instance manually",
            )


def _unread_findings(view: CaseView) -> Iterator[Gap]:
    if most := view.cut.get("findings"):
        yield Gap(
            kind=GapKind.REQUEST,
            subject=f"findings after the first {most}",
            why="so many have joined the case that the others are not read for this list: people may ask for something in them",
            next_action="look in Security Hub for custom actions on the findings of this instance, and for what sends so many",
        )


def _not_examined(view: CaseView) -> Iterator[Gap]:
    # a second opinion examines nothing: the disk that it is about has its own line
    first = [i for i in view.investigations if not i.follows]
    examined = {i.evidence_id for i in first if i.outcome in _ENDED_WELL}
    failed_on = {i.evidence_id for i in first if i.outcome == Outcome.FAILED.value}
    for item in view.evidence:
        acquired = item.kind in _EXAMINED_KINDS and item.outcome is Outcome.ACQUIRED
        if acquired and item.evidence_id not in examined | failed_on:
            yield _investigation(item.evidence_id, "it was acquired but no investigation of it succeeded")
    for run in view.investigations:
        if run.follows and view.case.status is CaseStatus.OPEN:
            continue  # it comes after the report; what has not ended when the instance is removed is marked as failed
        if run.outcome == Outcome.PENDING.value and run.evidence_id in examined | failed_on:
            yield _investigation(_activity(run), "it has no result")


def _wanted(view: CaseView, item: Evidence) -> bool:
    if view.plan is None:
        return False
    if item.kind is EvidenceKind.MEMORY:
        return view.plan.memory.wanted
    return item.kind is EvidenceKind.DISK and view.plan.disk.wanted


def _came_later(view: CaseView, item: Evidence) -> bool:
    """Whether it is a first pass of the live response, and the whole one after it has everything."""
    whole = evidence_id(EvidenceKind.LIVE_RESPONSE, view.case.instance_id)
    return item.evidence_id == first_pass_id(view.case.instance_id) and any(
        e.evidence_id == whole and e.outcome is Outcome.ACQUIRED for e in view.evidence
    )


def _activity(item: Investigation) -> str:
    return f"{item.activity} of {item.evidence_id}"


def _evidence(subject: str, why: str) -> Gap:
    return Gap(kind=GapKind.EVIDENCE, subject=subject, why=why, next_action=_AGAIN)


def _investigation(subject: str, why: str) -> Gap:
    return Gap(kind=GapKind.INVESTIGATION, subject=subject, why=why, next_action=_EXAMINE)


def _unique(found: Iterable[Gap]) -> list[Gap]:
    return list({(gap.subject, gap.why): gap for gap in found}.values())
