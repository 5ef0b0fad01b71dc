"""Compares the processes of the memory image with those that the running host listed just before.

The host's own word against the bytes of its memory: a process that the image has, that had begun before the first pass of the live
response and that the first pass did not list, was hidden from whoever asked the host. Both sides are the host's own clock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pydantic import Field, ValidationError

from forensics import case_keys
from forensics.case.own_results import store_results
from forensics.case.recorder import CaseRecorder
from forensics.errors import AwsError, DigestMismatchError, ForensicsError
from forensics.memory.live_findings import ACTIVITY as READ
from forensics.models.case import TimelineKind
from forensics.models.evidence import EvidenceKind, LiveResponseEvidence, Outcome
from forensics.models.outside import Outside
from forensics.models.results import (
    RESULTS_BYTES,
    Confidence,
    Investigation,
    ResultSeverity,
    ToolFinding,
    ToolGap,
    ToolResults,
    ToolRun,
)
from forensics.naming import first_pass_id

ACTIVITY, TOOL = "compare_live_and_memory", "comparison"
# Both lists give starts by ticks of the kernel; boot times are rounded to seconds on either side.
SLACK = timedelta(seconds=5)
_MOST_PROCESSES, _SHOWN = 32_768, 60
# More than this share unlisted is no rootkit but another list: the agent in a container sees that container alone.
_OTHER_LIST = 0.5


class _Process(Outside):
    pid: int
    name: str = Field(default="", max_length=64)
    started: datetime | None = None


class _Listed(Outside):
    processes: tuple[_Process, ...] = Field(default=(), max_length=_MOST_PROCESSES)


def compare_all(recorder: CaseRecorder) -> None:
    """Compare every image that was examined; safe to repeat. What cannot be compared is a gap and spoils no result."""
    records = [
        Investigation.stored(data) for _, data in recorder.gateways.store.items(recorder.case_id, case_keys.RESULT)
    ]
    for memory in (r for r in records if r.tool == EvidenceKind.MEMORY.value and r.succeeded):
        step = f"compare:{memory.evidence_id}"
        try:
            hidden = compare(recorder, memory)
        except ForensicsError as error:
            if isinstance(error, AwsError) and error.retryable:
                raise
            recorder.mark_failed(step, error)
            continue
        recorder.clear_failed(step)
        if hidden:
            recorder.announce(
                f"hidden_in_{memory.evidence_id}",
                f"ALERT: {hidden} processes were hidden from the host's own list",
                lines=[
                    f"{memory.evidence_id} has them, the first pass of the live response does not: expect a rootkit"
                ],
            )


def compare(recorder: CaseRecorder, memory: Investigation) -> int:
    """Compare once the image was examined; returns the number of findings. Without both lists nothing is compared."""
    first = recorder.get(case_keys.result(READ, first_pass_id(recorder.case.instance_id)), Investigation)
    if first is None or not memory.artifacts:
        return 0
    listed, seen = _processes(recorder, first), _processes(recorder, memory)
    key = case_keys.result(ACTIVITY, memory.evidence_id)
    known = recorder.get(key, Investigation)
    run = memory.artifacts["results"].sha256[:16]
    if known and known.document.landing_prefix == run and known.succeeded:
        return known.findings
    started = datetime.now(UTC)
    findings, gaps = unlisted(listed, seen) if listed and seen else ([], [_not_compared(listed=bool(listed))])
    # An agent in a container is no news; a list that a busy host's first pass cuts is none of what the plan asks for.
    told = _of_a_container(recorder) or not (listed and seen)
    results = ToolResults(
        schema="forensics.results/1",
        case_id=recorder.case_id,
        evidence_id=memory.evidence_id,
        tool=TOOL,
        started=started,
        ended=datetime.now(UTC),
        provenance=(ToolRun(tool="live and memory compared", exit=0, rows=len(seen)),),
        findings=tuple(findings),
        counts={"listed": len(listed), "in_memory": len(seen)},
        gaps=() if told else tuple(gaps),
        notes=tuple(gaps) if told else (),
    )
    stored = store_results(recorder, results, run=run)
    if not gaps:
        what = f"{len(seen)} processes of the memory image compared with {len(listed)} that the host listed: {len(findings)} were hidden"
    else:
        what = f"{memory.evidence_id} was not compared with the live response: {gaps[0].why}"
    recorder.note(what, kind=TimelineKind.INVESTIGATION, evidence_id=memory.evidence_id)
    record = {
        "activity": ACTIVITY, "tool": TOOL, "evidence_id": memory.evidence_id, "outcome": Outcome.DONE,
        "artifacts": {"results": stored}, "started_at": started, "ended_at": results.ended, "findings": len(findings),
        "gaps": len(results.gaps), "document": {"landing_prefix": run},
    }  # fmt: skip
    recorder.put(key, Investigation.model_validate(record))
    return len(findings)


def _not_compared(*, listed: bool) -> ToolGap:
    missing = "the results of the memory tools have" if listed else "the first pass of the live response has"
    return ToolGap(what="hidden processes", why=f"{missing} no whole list of processes to compare")


def _of_a_container(recorder: CaseRecorder) -> bool:
    """Whether the first pass itself said that its agent runs in a PID namespace of its own."""
    first = recorder.evidence_item(first_pass_id(recorder.case.instance_id))
    claims = first.origin.claims if isinstance(first, LiveResponseEvidence) else None
    return claims is not None and "PID namespace" in claims.reason


def unlisted(listed: Sequence[_Process], seen: Sequence[_Process]) -> tuple[list[ToolFinding], list[ToolGap]]:
    """Processes of memory that had begun before the list was made and are not in it."""
    starts = [p.started for p in listed if p.started is not None]
    if not starts:
        return [], [ToolGap(what="hidden processes", why="the first pass of the live response gives no times")]
    made, pids = max(starts), {p.pid for p in listed}
    before = [p for p in seen if p.started is not None and p.started < made - SLACK]
    missing = [p for p in before if p.pid not in pids]
    if len(missing) > max(3, len(before) * _OTHER_LIST):
        why = f"{len(missing)} of {len(before)} processes are not in the host's list: it is of another PID namespace, or forged as a whole"
        return [], [ToolGap(what="hidden processes", why=why)]
    return [_finding(process, made) for process in missing[:_SHOWN]], []


def _finding(process: _Process, made: datetime) -> ToolFinding:
    return ToolFinding(
        id=f"comparison-hidden-{process.pid}",
        title=f"Process {process.pid} ({process.name}) is in memory and was hidden from the running host's own list",
        detail=f"it began {process.started}, before the first pass of the live response ({made}), which did not list it",
        severity=ResultSeverity.CRITICAL,
        confidence=Confidence.HIGH,
        technique="T1014",
        time=process.started,
        source="linux.pslist, 20-process-states",
        data={"pid": process.pid, "comm": process.name},
    )


def _processes(recorder: CaseRecorder, item: Investigation | None) -> tuple[_Process, ...]:
    stored = item.artifacts.get("results") if item else None
    if stored is None or stored.bytes > RESULTS_BYTES:
        return ()
    gateway = recorder.gateways.evidence
    body = b"".join(gateway.stream(stored.uri.removeprefix(f"s3://{gateway.bucket}/")))
    if hashlib.sha256(body).hexdigest() != stored.sha256:
        msg = f"the results of {item.activity if item else ''} are not what was stored"
        raise DigestMismatchError(msg)
    try:
        found = json.loads(body).get("processes", [])
        return _Listed(processes=found).processes
    except (ValueError, ValidationError, AttributeError, RecursionError):
        return ()  # that nothing was compared is said
