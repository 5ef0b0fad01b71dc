"""The shipped Sigma rules on log lines. Add a rule by adding a file to ``sigma/``; fields: ``time host program pid message source``."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from forensic_toolkit.readers.system_logs import Line
from forensic_toolkit.results import Finding, Results
from forensic_toolkit.rules import sigma_engine
from forensic_toolkit.rules.sigma_engine import Record, Rule, Table

# Enough for weeks of a busy server; bounded by memory.
MAX_LINES = 1_000_000
_RESTART = timedelta(minutes=15)
_KERNEL_CLOCK = re.compile(r"^\[\s*\d+\.\d+\] ")
# Interfaces that containers and bridges make: they listen to everything as soon as they exist.
_VIRTUAL = re.compile(r"\b(veth|docker|br-|cni|cali|flannel|virbr|vnet|lxc|tap|cbr|eni|kube|weave)[\w.-]*")
# Modules that cloud images and their agents load from outside the kernel's own tree.
_USUAL_MODULES = re.compile(
    r"\b(ena|efa|nvidia\w*|gve|lustre|lnet|zfs|spl|falcon_lsm_\w+|ds_agent\w*|gsch|redirfs|bmhook|tmhook|wireguard|vboxdrv|xt_\w+|mlx\w+"
    r"|amzn_drivers|openafs|dattobd|veeamsnap|elastio_snap|hsm|sgx|rapl|v4l2loopback)\b: loading out-of-tree"
)


def findings(lines: Iterable[Line], *, results: Results) -> Iterator[Finding]:
    """What the shipped rules find, equal hits folded. Without pySigma there is nothing, and a gap says so."""
    rules = sigma_engine.translated(sigma_engine.shipped("sigma"), results=results)
    if not rules.rules:
        return
    rows = iter(lines)
    table = Table(rules.rules, keys=("host", "program", "pid"))
    started: dict[str, list[datetime]] = {}
    table.fill(_noted(line, started) for line in islice(_without_copies(rows), MAX_LINES))
    if next(rows, None) is not None:
        results.gap("Sigma", f"more than {MAX_LINES} log lines; these rules were not applied to the rest")
    yield from sigma_engine.run(
        rules, table, within=lambda _rule: "1", describe=partial(_described, started=started), results=results
    )
    sigma_engine.account(rules, what="Sigma", results=results)
    table.close()


def _without_copies(lines: Iterable[Line]) -> Iterator[Line]:
    """A journal entry and rsyslog's copy of it count once; the kernel's messages begin with its own clock."""
    seen: set[tuple[int, str, str]] = set()
    for line in lines:
        key = (int(line.time.timestamp()) // 10, line.program, _KERNEL_CLOCK.sub("", line.message)[:400])
        if key not in seen:
            seen.add(key)
            yield line


def _noted(line: Line, started: dict[str, list[datetime]]) -> Record:
    """A line as a record; when systemd started what is kept, to tell a restart from a stop."""
    if line.program == "systemd" and line.message.startswith(("Started ", "Starting ")):
        started.setdefault(_unit(line.message), []).append(line.time)
    return _record(line)


def _unit(message: str) -> str:
    """The unit that systemd's line is about, in the words that "Started" and "Stopped" share."""
    return message.split(" ", 1)[1].rstrip(".… ")


def _record(line: Line) -> Record:
    return {
        "ts": line.time.isoformat(),
        "host": line.host,
        "program": line.program,
        "pid": line.pid,
        "message": line.message,
        "source": line.source,
    }


def _comes_back(message: str, moment: datetime | None, started: dict[str, list[datetime]]) -> bool:
    """Whether what was stopped was started again within minutes, as updates and reboots do."""
    again = started.get(_unit(message), [])
    return moment is not None and any(timedelta(0) <= other - moment <= _RESTART for other in again)


def _described(rule: Rule, row: sqlite3.Row, *, started: dict[str, list[datetime]]) -> Finding:
    program, message = row["program"], str(row["message"])
    severity = rule.severity
    if (rule.technique == "T1040" and _VIRTUAL.search(message)) or (
        message.startswith("Stopped ") and _comes_back(message, sigma_engine.moment_of(row), started)
    ):
        severity = "info"
    elif rule.technique == "T1547.006" and _USUAL_MODULES.search(message):
        severity = "low"
    return Finding(
        title=f"{rule.title} ({program})" if program else rule.title,
        detail=message,
        severity=severity,
        confidence="medium",
        source=str(row["source"]),
        time=sigma_engine.moment_of(row),
        technique=rule.technique,
        data={"rule": rule.id, "program": program, "pid": row["pid"]},
        fold=f"{rule.id} {severity}" if severity == "info" else None,
    )
