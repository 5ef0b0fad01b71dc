"""Where the logs of the target's load balancers lie, for the case's window, and what reads them. Pure.

The files are not collected: a busy balancer writes gigabytes a day, of which few lines are about one target.
"""

from __future__ import annotations

from datetime import timedelta
from shlex import quote

from forensics.cloud_evidence.record_window import RecordWindow
from forensics.models.target_facts import AccessLog

MOST_DAYS = 3  # that get a folder each; a longer window gets its months

ON = {
    "application": "access_logs.s3.enabled",
    "network": "access_logs.s3.enabled, which only TLS listeners write",
    "classic": "AccessLog.Enabled",
}


def folders(window: RecordWindow) -> list[str]:
    """The folders of a window: by day, or by month where it has more days (ELB user guides, *Access logs*: yyyy/mm/dd of the end)."""
    days, day = [], window.begin
    while day.date() <= window.end.date():
        days.append(f"{day:%Y/%m/%d}")
        day += timedelta(days=1)
    return days if len(days) <= MOST_DAYS else [*dict.fromkeys(day[:7] for day in days)]


def pointer(log: AccessLog, *, account_id: str, region: str, window: RecordWindow) -> dict[str, object]:
    """What is recorded of a balancer's log: location, prefixes of the window and commands, or what to switch on."""
    about: dict[str, object] = {"balancer": log.balancer, "kind": log.kind, "log": log.what}
    if not log.bucket:
        switch = ON.get(log.kind)
        return about | {
            "outcome": "NOT_APPLICABLE",
            "switch_on": switch or f"{log.kind} load balancers write no access logs",
        }
    root = "/".join(
        part for part in (log.prefix.strip("/"), f"AWSLogs/{account_id}/elasticloadbalancing/{region}") if part
    )
    prefixes = [f"{root}/{folder}/" for folder in folders(window)]
    named = quote(f"*_elasticloadbalancing_{region}_{log.file_id}_*")
    return about | {
        "location": f"s3://{log.bucket}/{root}/",
        "prefixes": prefixes,
        "commands": [
            f"aws s3 cp --recursive {quote(f's3://{log.bucket}/{prefix}')} . --exclude '*' --include {named}"
            for prefix in prefixes
        ],
    }


def _name(balancer: str) -> str:
    """app/<name>/<id> of an ARN; a classic balancer is its name."""
    return balancer.partition(":loadbalancer/")[2] or balancer


def note(found: dict[str, object]) -> str:
    """The same for people."""
    who = f"{found['kind']} load balancer {_name(str(found['balancer']))}"
    if "location" not in found:
        return (
            f"{who} writes no {found['log']} log: switch on {found['switch_on']}"
            if found["kind"] in ON
            else f"{who}: {found['switch_on']}"
        )
    commands = found["commands"]
    first = commands[0] if isinstance(commands, list) and commands else ""
    return f"the {found['log']} log of {who} lies in {found['location']}: {first}"


def waf_pointer(balancer: str) -> str:
    """WAF is not asked: the command that says whether a web ACL is before an application load balancer, and where it logs."""
    return (
        f"whether WAF logs what reached {_name(balancer)} is not looked up: aws wafv2 get-web-acl-for-resource --resource-arn {balancer},"
        " then aws wafv2 get-logging-configuration --resource-arn with the ARN of the web ACL"
    )
