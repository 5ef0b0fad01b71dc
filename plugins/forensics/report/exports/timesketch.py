"""The merged timeline as Timesketch JSONL: ``message``, ``datetime`` and ``timestamp_desc`` are what it requires.

Format: https://timesketch.org/guides/user/import-from-json-csv/
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from forensics.models.case import CaseView, TimelineKind
from forensics.printable import visible
from forensics.report.chronology import TOOL_KIND, Moment, merged

# OpenSearch does not index longer keywords; Timesketch's guide names the limit.
MAX_BYTES = 32_766
_DESCRIPTIONS = {
    TOOL_KIND: "Time in the evidence",
    TimelineKind.FINDING.value: "Finding time",
    TimelineKind.CUSTODY.value: "Custody event time",
    TimelineKind.CONTAINMENT.value: "Containment time",
    TimelineKind.FAILURE.value: "Failure time",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def render(view: CaseView) -> str:
    """One JSON object a line, oldest first, ASCII only."""
    return "".join(json.dumps(_line(view, m), ensure_ascii=True, sort_keys=True) + "\n" for m in merged(view))


def _line(view: CaseView, moment: Moment) -> dict[str, object]:
    case = view.case
    since = moment.time - _EPOCH
    return {
        "message": _bounded(visible(moment.what)),
        "datetime": moment.time.astimezone(UTC).isoformat(timespec="microseconds"),
        "timestamp": (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds,
        "timestamp_desc": _DESCRIPTIONS.get(moment.kind, "Case event time"),
        "data_type": f"forensics:{moment.kind}",
        "source": _bounded(visible(moment.source)),
        "case_id": case.case_id,
        "evidence_id": visible(moment.evidence_id or ""),
        "account_id": case.account_id,
        "region": case.region,
        "instance_id": case.instance_id,
        "tag": [f"forensics-{moment.kind}"],
    }


def _bounded(text: str) -> str:
    raw = text.encode("utf-8", "backslashreplace")
    return text if len(raw) <= MAX_BYTES else raw[: MAX_BYTES - 20].decode("utf-8", "ignore") + " […cut]"
