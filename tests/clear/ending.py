"""How a case has ended, without what differs from run to run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from forensics.aws.hook import ForensicsHook
from forensics.models.case import CaseView
from forensics.report.document import build, to_json
from tests.crash.picture import plain
from tests.gateways import case_gateways

Ending = dict[str, str]


def ending(case_id: str, states: Mapping[str, str | None]) -> Ending:
    """Each fact that people see of an ended case, by its name."""
    found = {f"task {name}": str(state) for name, state in states.items()}
    view = case_gateways(case_id).view(case_id) if case_id else None
    found |= _of_view(view) if view else {"case": "there is none"}
    return {name: plain(value) for name, value in found.items()}


def differences(good: Ending, other: Ending) -> list[str]:
    """What is not as in the undisturbed case."""
    return [
        f"{name}: {other.get(name, 'nothing')!r}, undisturbed {good.get(name, 'nothing')!r}"
        for name in sorted(good | other)
        if good.get(name) != other.get(name)
    ]


def _of_view(view: CaseView) -> Ending:
    return {
        "failures": "; ".join(sorted(f"{f.step}: {f.cause}" for f in view.failures)),
        "containment": f"{view.containment.outcome} {view.containment.state}" if view.containment else "none",
        "evidence": "; ".join(sorted(f"{e.kind.value} {e.outcome.value}" for e in view.evidence)),
        "examined": "; ".join(sorted(f"{i.activity} {i.outcome.value} {i.findings}" for i in view.investigations)),
        "milestones": " ".join(sorted(view.milestones)),
        **{f"page, {name}": value for name, value in _told(to_json(build(view))).items()},
        **{f"stored report, {name}": value for name, value in _stored(view.case.case_id).items()},
    }


def _told(document: Any) -> Ending:
    """What the case's page, or a stored report, says of the state of things. The report is written before the case is closed."""
    gaps = "; ".join(sorted(f"{gap['subject']}: {gap['why']}" for gap in document["gaps"]))
    told = {name: str(value) for name, value in document["summary"].items() if name not in ("status_in_words", "phase")}
    answers = " ".join(sorted(f"{answer['question']} {answer['state']}" for answer in document["answers"]))
    steps = "; ".join(sorted(json.dumps(step, sort_keys=True) for step in document["next_steps"]))
    return {
        **told,
        "gaps": gaps,
        "next steps": steps,
        "answers": answers,
        "completeness": str(document["completeness"]),
    }


def _stored(case_id: str) -> Ending:
    """The newest report in the evidence store."""
    hook = ForensicsHook()
    bucket = hook.settings.evidence_bucket
    s3: Any = hook.forensic(case_id, "custodian").client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"cases/{case_id}/report/")
    reports = [o for page in pages for o in page.get("Contents", []) if o["Key"].endswith("/report.json")]
    if not reports:
        return {"gaps": "there is no report"}
    newest = max(reports, key=lambda o: (o["LastModified"], o["Key"]))["Key"]
    return _told(json.loads(s3.get_object(Bucket=bucket, Key=newest)["Body"].read()))


def gone(good: Ending, other: Ending) -> list[str]:
    """What is wrong with a case whose target was isolated before the cleared step: it must be contained, and say what it lacks."""
    kept = [name for name in ("containment", "page, contained") if good[name] != other.get(name)]
    said = other.get("evidence") == good["evidence"] or "FAILED" in other.get("evidence", "")
    listed = other.get("evidence") == good["evidence"] or other.get("page, gap_count", "0") > good["page, gap_count"]
    return [
        *(f"{name}: {other.get(name)!r}, undisturbed {good[name]!r}" for name in kept),
        *([] if said and listed else [f"evidence is missing, and nothing says so: {other.get('evidence')!r}"]),
    ]
