"""Whether a second tool has read what the first one examined, and what that gave: one sentence for each disk. Pure."""

from __future__ import annotations

from forensics.document_registry import released
from forensics.models.case import CaseStatus, CaseView
from forensics.models.evidence import Outcome
from forensics.models.results import Investigation
from forensics.printable import count

# The step of a case that has the second tools run (forensics.flows).
STEP = "investigation.compare_disk"
# Names of the toolkit (commands/comparison.py): whether it compared, its own counts, the other tool's, the other tool.
_COMPARED, _OURS, _THEIRS, _TOOL = "compared", "toolkit_", "dissect_", "dissect.target"


def second_opinions(view: CaseView) -> tuple[str, ...]:
    """A sentence for each examined item that the registry has a second tool for."""
    followed = {d.follows for d in released().values() if d.follows and d.enabled}
    return tuple(
        f"{item.evidence_id}: {_said(view, item)}"
        for item in view.investigations
        if item.succeeded and (item.activity in followed or _given(view, item))
    )


def _given(view: CaseView, item: Investigation) -> Investigation | None:
    found = (i for i in view.investigations if i.follows == item.activity and i.evidence_id == item.evidence_id)
    return next(found, None)


def _said(view: CaseView, item: Investigation) -> str:
    given = _given(view, item)
    if given is not None and given.succeeded:
        return _compared(view, given)
    if given is not None and given.outcome is Outcome.FAILED:
        return f"NOT compared with a second tool: {given.reason or 'no reason is recorded'}"
    failure = next((f for f in view.failures if f.step == STEP), None)
    if failure is not None:
        return f"NOT compared with a second tool: {failure.cause}"
    if view.case.status is CaseStatus.OPEN:
        return "the comparison with a second tool is not there yet; it follows the report and delays nothing"
    return "no second tool has read it; what is found stands on one tool"


def _compared(view: CaseView, given: Investigation) -> str:
    results = next((r for r in view.results if r.evidence_id == given.evidence_id and _COMPARED in r.counts), None)
    if results is None:
        return "compared with a second tool; its results could not be read"
    if not results.counts[_COMPARED]:
        why = next(
            (f"{n.what}: {n.why}" for n in (*results.gaps, *results.notes) if n.what != "analysis"), given.reason
        )
        return f"not compared with a second tool: {why or 'no reason is recorded'}"
    parts = [
        f"{name.removeprefix(_OURS)} {results.counts.get(_THEIRS + name.removeprefix(_OURS), 0)} of {number}"
        for name, number in results.counts.items()
        if name.startswith(_OURS) and number
    ]
    version = next((run.version for run in results.provenance if run.tool == _TOOL), "")
    short = f"; {count(len(results.gaps), 'gap')}" if results.gaps else "; no count is far too small"
    return f"read by {f'{_TOOL} {version}'.strip()} as well, its records of those that the toolkit counted: {', '.join(parts)}{short}"
