"""What a storm of cases asks of AWS's APIs, against the quotas that AWS publishes.

Requests of a case: ``infra/requests_of_a_case.json``, counted in the lab (``python -m tests.crash.counted``). Quotas: ``infra/api_quotas.yaml``.
A quota is a token bucket for each action, account and Region: what exceeds it at once comes through later. How much later the last
case is served, when all ask at the same moment, is what counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from infra.deployment import templates

REQUESTS = templates.ROOT / "infra" / "requests_of_a_case.json"
QUOTAS = templates.ROOT / "infra" / "api_quotas.yaml"
_READING = ("Describe", "List", "Search", "Get", "Query", "Scan", "BatchGet", "GET", "HEAD")


@dataclass(frozen=True)
class Use:
    """One action in one account: how often a storm asks, at which quota; ``bucket`` None: AWS publishes none."""

    account: str
    service: str
    action: str
    requests: int
    bucket: float | None
    refill: float
    source: str

    @property
    def delay(self) -> float | None:
        """Seconds until the last request is served when all come at once; None without a published quota."""
        if self.bucket is None:
            return None
        return max(0.0, (self.requests - self.bucket) / self.refill)


def counted() -> dict[str, dict[str, dict[str, int]]]:
    """Account → service → action → requests of one case."""
    return dict(json.loads(REQUESTS.read_text("utf-8")))


def quotas() -> dict[str, Any]:
    """The published quotas."""
    return dict(yaml.safe_load(QUOTAS.read_text("utf-8")))


def storm(
    cases: int, requests: Mapping[str, Mapping[str, Mapping[str, int]]], table: Mapping[str, Any]
) -> Iterator[Use]:
    """What so many cases of one member account and Region ask, each action of each account."""
    for account, services in requests.items():
        for service, actions in services.items():
            for action, number in actions.items():
                bucket, refill, source = _quota(service, action, table)
                yield Use(account, service, action, number * cases, bucket, refill, source)


def _quota(service: str, action: str, table: Mapping[str, Any]) -> tuple[float | None, float, str]:
    known = table.get(service)
    if known is None or "unlimited" in known:
        return None, 0.0, str((known or {}).get("source", "none published"))
    row = known.get("actions", {}).get(action)
    row = row or known.get("reading" if action.startswith(_READING) else "changing")
    if row is None:
        return None, 0.0, "none published"
    return float(row["bucket"]), float(row["refill"]), str(known["source"])


def text(cases: int, uses: list[Use], *, least: float = 1.0) -> str:
    """The actions whose quota delays the last case by ``least`` seconds or more, the longest first; then what has no published quota."""
    late = sorted((u for u in uses if (u.delay or 0) >= least), key=lambda u: -(u.delay or 0))
    lines = [
        f"A storm of {cases} cases at the same moment in one account and Region; delay of the last request by the quota:"
    ]
    lines += [
        f"  {u.account:9s} {u.service + ':' + u.action:42s}{u.requests:>8d} requests, {u.bucket:>6.0f} at once, {u.refill:>6.0f}/s{u.delay:>8.0f} s"
        for u in late
    ]
    if not late:
        lines.append("  none")
    busiest = sorted((u for u in uses if u.delay is None), key=lambda u: -u.requests)[:8]
    lines.append("Without a published quota, the most requests:")
    lines += [f"  {u.account:9s} {u.service + ':' + u.action:42s}{u.requests:>8d} requests" for u in busiest]
    return "\n".join(lines)
