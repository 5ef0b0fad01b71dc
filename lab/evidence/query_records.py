"""Route 53 Resolver query log files as AWS writes them, of questions that a story tells.

Shapes: Route 53 developer guide, *Route 53 VPC Resolver query log example* and *Values that appear in VPC Resolver query logs*.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.evidence.trail_records import made_id, stamp


@dataclass(frozen=True)
class Asked:
    """One question and its answers; none is NXDOMAIN."""

    at: datetime
    name: str
    answers: tuple[str, ...] = ()
    kind: str = "A"
    firewall: str = ""

    def record(self, *, account: str, region: str, vpc: str, address: str, instance: str) -> dict[str, Any]:
        """The record; without ``instance`` it names none, as for machines behind an endpoint."""
        made: dict[str, Any] = {
            "version": "1.100000", "account_id": account, "region": region, "vpc_id": vpc, "query_timestamp": stamp(self.at),
            "query_name": f"{self.name}.", "query_type": self.kind, "query_class": "IN", "rcode": "NOERROR" if self.answers else "NXDOMAIN",
            "answers": [{"Rdata": a, "Type": self.kind, "Class": "IN"} for a in self.answers], "srcaddr": address, "srcport": "40213",
            "transport": "UDP", "srcids": {"instance": instance} if instance else {},
        }  # fmt: skip
        if self.firewall:
            made |= {"firewall_rule_action": self.firewall, "firewall_rule_group_id": "rslvr-frg-01234567890abcdef"}
        return made


def lines(asked: Iterable[Asked], *, account: str, region: str, vpc: str, address: str, instance: str) -> list[str]:
    """One record a line."""
    return [
        json.dumps(
            a.record(account=account, region=region, vpc=vpc, address=address, instance=instance), separators=(",", ":")
        )
        for a in asked
    ]


def log_key(account: str, vpc: str, at: datetime, *, prefix: str = "") -> str:
    """The key of a file that was written at ``at``."""
    at = at.astimezone(UTC)
    root = f"{prefix.strip('/')}/" if prefix else ""
    where = f"{root}AWSLogs/{account}/vpcdnsquerylogs/{vpc}/{at:%Y/%m/%d}"
    return f"{where}/{vpc}_vpcdnsquerylogs_{account}_{at:%Y%m%dT%H%MZ}_{made_id(vpc, at)[:8]}.log.gz"


def files(
    asked: Iterable[Asked], *, account: str, region: str, vpc: str, address: str, instance: str, prefix: str = ""
) -> dict[str, bytes]:
    """Questions in the files of their five minutes, gzip, by key."""
    slots: dict[datetime, list[Asked]] = {}
    for one in asked:
        slot = one.at.replace(minute=one.at.minute // 5 * 5, second=0, microsecond=0) + timedelta(minutes=5)
        slots.setdefault(slot, []).append(one)
    return {
        log_key(account, vpc, slot, prefix=prefix): gzip.compress(
            ("\n".join(lines(found, account=account, region=region, vpc=vpc, address=address, instance=instance)) + "\n").encode(), mtime=0
        )
        for slot, found in slots.items()
    }  # fmt: skip
