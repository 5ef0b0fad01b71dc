"""CloudWatch's alarms and metric filters as its user guides describe them, enough to see whether an alarm would ring.

Sources: Amazon CloudWatch user guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data"; Amazon CloudWatch Logs user
guide, "Filter pattern syntax for metric filters" (terms; ``?`` for any of several; matching is case-sensitive). Metric math: ``FILL`` and ``+`` only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# a metric by its namespace, name and dimensions
Key = tuple[str, str, frozenset[tuple[str, str]]]
Data = Mapping[Key, Sequence[float | None]]

_COMPARE = {
    "GreaterThanThreshold": lambda value, limit: value > limit,
    "GreaterThanOrEqualToThreshold": lambda value, limit: value >= limit,
    "LessThanThreshold": lambda value, limit: value < limit,
}


def key_of(metric: Mapping[str, Any]) -> Key:
    """The metric that an alarm, or a query of one, reads."""
    dimensions = frozenset((d["Name"], json.dumps(d["Value"])) for d in metric.get("Dimensions", []))
    return metric["Namespace"], metric["MetricName"], dimensions


def keys_of(alarm: Mapping[str, Any]) -> list[Key]:
    """Every metric that the alarm reads."""
    if "Metrics" not in alarm:
        return [key_of(alarm)]
    return [key_of(query["MetricStat"]["Metric"]) for query in alarm["Metrics"] if "MetricStat" in query]


def state(alarm: Mapping[str, Any], data: Data, *, before: str = "OK") -> str:
    """The alarm's state after these periods, the newest last. A metric that has no data at all is missing in every period."""
    wanted = int(alarm["EvaluationPeriods"])
    series = [list(data.get(key, ()))[-wanted:] for key in keys_of(alarm)]
    padded = [[None] * (wanted - len(points)) + points for points in series]
    if "Metrics" in alarm:
        # FILL(a, 0) + FILL(b, 0): no period is missing once one of them has ever had data
        (whole,) = [q for q in alarm["Metrics"] if "Expression" in q]
        ids = [q["Id"] for q in alarm["Metrics"] if "MetricStat" in q]
        assert whole["Expression"] == " + ".join(f"FILL({i}, 0)" for i in ids), whole
        # AWS::CloudWatch::Alarm MetricDataQuery: nothing else is a member
        assert all(
            set(q) <= {"Id", "Expression", "MetricStat", "ReturnData", "Label", "Period"} for q in alarm["Metrics"]
        )
        periods: list[float | None] = [sum(p or 0.0 for p in column) for column in zip(*padded, strict=True)]
    else:
        (periods,) = padded
    treat = alarm["TreatMissingData"]
    if treat == "ignore" and all(p is None for p in periods):
        return before
    compare = _COMPARE[alarm["ComparisonOperator"]]
    breaching = [treat == "breaching" if p is None else compare(p, alarm["Threshold"]) for p in periods]
    return "ALARM" if sum(breaching) >= int(alarm.get("DatapointsToAlarm", wanted)) else "OK"


def counted(pattern: str, lines: Sequence[str]) -> int:
    """How many log events a metric filter counts."""
    terms = pattern.split()
    if all(term.startswith("?") for term in terms):
        return sum(any(term[1:] in line for term in terms) for line in lines)
    return sum(all(term in line for term in terms) for line in lines)
