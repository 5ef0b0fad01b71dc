"""Records of a Linux system for Sigma rules of a pack: log lines, executed commands, audit records, web requests.

``kind`` says which log source a record belongs to; fields have the names of Sigma's taxonomy (``CommandLine``, ``cs-uri-query`` …).
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import audit_log, system_logs, web_logs
from forensic_toolkit.readers.compressed_logs import content_of
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.readers.log_stream import LogFile, text_lines
from forensic_toolkit.results import Finding, Results
from forensic_toolkit.rules import rule_packs, shell_histories, sigma_engine, web_rules
from forensic_toolkit.rules.sigma_engine import Rule, Table
from forensic_toolkit.times import now

Record = dict[str, Any]
MAX_RECORDS = 1_500_000
_CATEGORIES = {"process_creation": "kind = 'process'", "webserver": "kind = 'web'"}
_LOG_SERVICES = frozenset(
    ["auth", "sshd", "sudo", "su", "cron", "syslog", "clamav", "vsftpd", "guacamole", "rshell", "systemd", "login"]
)


def findings(tree: Tree, packs: rule_packs.Packs, *, results: Results) -> Iterator[Finding]:
    """What the rules of the packs find on a Linux system."""
    rules = rule_packs.sigma(packs, product="linux", results=results)
    table = Table(
        rules.rules,
        keys=("kind", "program", "host"),
        place=lambda record: record["kind"],
        applies=lambda rule, kind: within(rule) == f"kind = '{kind}'",
    )
    given = records(tree, results=results)
    table.fill(islice(given, MAX_RECORDS))
    if next(given, None) is not None:
        results.gap("rule packs", f"more than {MAX_RECORDS} records; the packs' rules were not applied to the rest")
    table.index("kind")
    yield from sigma_engine.run(rules, table, within=within, describe=_described, results=results)
    rule_packs.account(rules, unplaced=[rule for rule in rules.rules if within(rule) is None], results=results)
    table.close()


def within(rule: Rule) -> str | None:
    """The SQL condition of a rule's log source; None when nothing on a disk holds it."""
    if rule.category:
        return _CATEGORIES.get(rule.category)
    if rule.service == "auditd":
        return "kind = 'audit'"
    if rule.service in _LOG_SERVICES or (not rule.service and rule.product == "linux"):
        return "kind = 'log'"
    return "kind = 'web'" if rule.service in ("apache", "nginx") else None


def records(tree: Tree, *, results: Results) -> Iterator[Record]:
    """All records of a system."""
    scratch = Results(results.case_id, results.evidence_id, "disk", started=now())
    for line in system_logs.read(tree, coverage=Coverage(), results=scratch).all():
        yield {
            "kind": "log",
            "ts": line.time.isoformat(),
            "source": line.source,
            "message": line.text,
            "program": line.program,
            "host": line.host,
        }
    for entry in tree.files(audit_log.FILES):
        artifact = Artifact(audit_log.KIND, entry.path, entry.size)
        with closing(LogFile(entry)) as log:
            for event in audit_log.streamed(log, artifact=artifact):
                yield from _of_audit(event, source=entry.path)
    for entry in tree.files(shell_histories.FILES):
        for moment, command in shell_histories.commands(content_of(entry, limit=8 << 20).text):
            yield _process(command, ts=moment.isoformat() if moment else "", source=entry.path)
    for entry in tree.files(web_rules.LOGS):
        with closing(LogFile(entry)) as log:
            yield from _of_web(text_lines(log), source=entry.path)


def _of_audit(event: audit_log.AuditEvent, *, source: str) -> Iterator[Record]:
    ts, message = event.time.isoformat(), "\n".join(event.lines)
    arguments = {f"a{number}": text for (number, part), text in event.arguments.items() if part == 0}
    for kind in dict.fromkeys(event.types):
        yield {
            "kind": "audit",
            "ts": ts,
            "source": source,
            "message": message,
            "type": kind,
            **event.fields,
            **arguments,
        }
    if event.command:
        more = {
            "Image": event.fields.get("exe"),
            "User": event.fields.get("uid"),
            "CurrentDirectory": event.fields.get("cwd"),
        }
        yield {**_process(event.command, ts=ts, source=source), **{key: value for key, value in more.items() if value}}


def _process(command: str, *, ts: str, source: str) -> Record:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    program = next((word for word in words if word not in ("sudo", "nohup", "exec") and "=" not in word), "")
    image = program if program.startswith("/") else f"/usr/bin/{program}"
    return {"kind": "process", "ts": ts, "source": source, "message": command, "CommandLine": command, "Image": image}


def _of_web(lines: Iterable[str], *, source: str) -> Iterator[Record]:
    for line in lines:
        request = web_logs.parse(line)
        if request is None:
            continue
        stem, _, query = request.target.partition("?")
        yield {
            "kind": "web",
            "ts": request.time.isoformat(),
            "source": source,
            "message": line,
            "cs-method": request.method,
            "cs-uri": request.target,
            "cs-uri-stem": stem,
            # Rules of the field look for paths in the query as well.
            "cs-uri-query": request.target if query else stem,
            "sc-status": request.status,
            "c-ip": request.address,
            "cs-username": request.user,
            "cs-referer": request.referer,
            "cs-user-agent": request.agent,
            "c-useragent": request.agent,
        }


def _described(rule: Rule, row: sqlite3.Row) -> Finding:
    return Finding(
        title=f"{rule.title} ({row['kind']})",
        detail=str(row["message"]),
        severity=rule.severity,
        confidence="medium",
        source=str(row["source"]),
        time=sigma_engine.moment_of(row),
        technique=rule.technique,
        data={"rule": rule.id, "pack": rule.pack, "file": rule.name},
        kind=rule.title,
    )
