"""The case as OCSF 1.3 events, one a line: an Incident Finding, and a Detection Finding for every tool finding.

Classes: https://schema.ocsf.io/1.3.0/classes/incident_finding (2005) and /classes/detection_finding (2004).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from forensics.attack_techniques import TECHNIQUES
from forensics.models.case import CaseStatus, CaseView
from forensics.models.remarks import Remark, Verdict
from forensics.models.results import ResultSeverity, ToolFinding, ToolResults
from forensics.printable import visible
from forensics.report.remarks import VERDICT_WORDS, finding_key, verdicts
from forensics.report.text import cut

Node = dict[str, object]
VERSION = "1.3.0"
FINDINGS_CATEGORY, DETECTION, INCIDENT = 2, 2004, 2005
CREATE, UPDATE, CLOSE = 1, 2, 3
_SEVERITY = {
    ResultSeverity.INFO: (1, "Informational"),
    ResultSeverity.LOW: (2, "Low"),
    ResultSeverity.MEDIUM: (3, "Medium"),
    ResultSeverity.HIGH: (4, "High"),
    ResultSeverity.CRITICAL: (5, "Critical"),
}
_CASE_SEVERITY = {"INFORMATIONAL": (1, "Informational"), "LOW": (2, "Low"), "MEDIUM": (3, "Medium")} | {
    "HIGH": (4, "High"),
    "CRITICAL": (5, "Critical"),
}
_CONFIDENCE = {"low": (1, "Low"), "medium": (2, "Medium"), "high": (3, "High")}
_STATUS = {
    CaseStatus.OPEN: (2, "In Progress"),
    CaseStatus.CLOSED: (5, "Closed"),
    CaseStatus.CLOSED_WITH_GAPS: (5, "Closed"),
    CaseStatus.FAILED: (3, "On Hold"),
}


# What a person's verdict makes of a detection: the class has no verdict of its own (an incident has), its status says what became of it.
_JUDGED = {Verdict.TRUE: (2, "In Progress"), Verdict.FALSE: (3, "Suppressed"), Verdict.BENIGN: (3, "Suppressed")}


def render(view: CaseView) -> str:
    """One event a line, the incident first, ASCII only."""
    return "".join(json.dumps(e, ensure_ascii=True, sort_keys=True) + "\n" for e in _events(view))


def _events(view: CaseView) -> Iterator[Node]:
    rows = [(result, finding) for result in view.results for finding in result.findings]
    yield _incident(view, [_finding_info(view, result, finding) for result, finding in rows])
    judged = verdicts(view)
    yield from (_detection(view, result, finding, judged.get(finding_key(result, finding))) for result, finding in rows)


def _event(view: CaseView, *, class_uid: int, activity: int, at: datetime, severity: tuple[int, str]) -> Node:
    case = view.case
    return {
        "activity_id": activity,
        "category_uid": FINDINGS_CATEGORY,
        "class_uid": class_uid,
        "type_uid": class_uid * 100 + activity,
        "time": _millis(at),
        "severity_id": severity[0],
        "severity": severity[1],
        "metadata": {
            "version": VERSION,
            "profiles": ["cloud"],
            "correlation_uid": case.case_id,
            "product": {"name": "EC2 forensics on Airflow", "vendor_name": "ec2-forensics"},
        },
        "cloud": {"provider": "AWS", "region": case.region, "account": {"uid": case.account_id, "type_id": 10}},
    }


def _incident(view: CaseView, infos: list[Node]) -> Node:
    case = view.case
    severity = _CASE_SEVERITY.get(case.severity.upper(), (0, "Unknown"))
    activity = CREATE if case.status is CaseStatus.OPEN else CLOSE
    status = _STATUS[case.status]
    own = [
        {"uid": _text(f.finding_id, 600), "title": _text(f.title, 500), "types": [_text(t, 200) for t in f.types]}
        for f in view.findings
    ]
    return _event(view, class_uid=INCIDENT, activity=activity, at=view.generated_at, severity=severity) | {
        "status_id": status[0],
        "status": status[1],
        "status_detail": case.status.value,
        **_assigned(view),
        "start_time": _millis(case.opened_at),
        "desc": f"{_text(case.title, 500)}: {case.subject}",
        # The class wants at least one finding: the alert itself, then what the tools found.
        "finding_info_list": [*(own or [{"uid": case.finding_key, "title": _text(case.title, 500)}]), *infos],
    }


def _finding_info(view: CaseView, result: ToolResults, finding: ToolFinding) -> Node:
    info: Node = {
        "uid": f"{view.case.case_id}/{_text(result.evidence_id, 100)}/{_text(finding.id, 200)}",
        "title": _text(finding.title, 500),
        "desc": _text(finding.detail, 4000),
        "data_sources": [_text(finding.source, 1000) or "not recorded"],
        "created_time": _millis(result.ended),
        "analytic": {"name": _text(result.tool, 60), "type_id": 1, "version": _text(result.toolkit_version, 60)},
    }
    if finding.time:
        info["first_seen_time"] = _millis(finding.time)
    if finding.technique:
        known = TECHNIQUES.get(finding.technique)
        info["attacks"] = [{"technique": {"uid": finding.technique} | ({"name": known.name} if known else {})}]
    return info


def _assigned(view: CaseView) -> Node:
    """Who works on the case: the class wants a person or a group."""
    if view.assignment and view.assignment.owner:
        return {"assignee": {"name": _text(view.assignment.owner, 100)}}
    return {"assignee_group": {"name": "not assigned"}}


def _detection(view: CaseView, result: ToolResults, finding: ToolFinding, judged: Remark | None) -> Node:
    confidence = _CONFIDENCE[finding.confidence.value]
    event = _event(
        view,
        class_uid=DETECTION,
        activity=CREATE,
        at=finding.time or result.ended,
        severity=_SEVERITY[finding.severity],
    )
    return event | {
        **_state(judged),
        "confidence_id": confidence[0],
        "confidence": confidence[1],
        "finding_info": _finding_info(view, result, finding),
        "resources": [{"uid": view.case.instance_id, "type": _type_of(view), "region": view.case.region}],
        "evidences": [
            {"data": {"evidence_id": _text(result.evidence_id, 100), "artifact": _text(finding.source, 1000)}}
        ],
    }


def _state(judged: Remark | None) -> Node:
    if judged is None or judged.verdict is None:
        return {"status_id": 1, "status": "New"}
    status_id, status = _JUDGED.get(judged.verdict, (1, "New"))
    words = f"verdict of {_text(judged.by, 100)}: {VERDICT_WORDS[judged.verdict]}"
    note = f"; {_text(judged.note, 1000)}" if judged.note else ""
    return {
        "status_id": status_id,
        "status": status,
        "status_detail": f"verdict: {judged.verdict.value}",
        "comment": words + note,
    }


def _type_of(view: CaseView) -> str:
    """CloudFormation's name for what the case is about."""
    artifact = view.case.artifact
    if artifact is None:
        return "AWS::EC2::Instance"
    return "AWS::EC2::Image" if artifact.is_image else "AWS::EC2::Snapshot"


def _text(text: str, limit: int) -> str:
    return visible(cut(text, limit))


def _millis(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1000)
