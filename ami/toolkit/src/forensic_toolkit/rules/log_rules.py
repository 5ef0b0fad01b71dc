"""Findings and timeline entries from logs, histories and web logs, with the coverage of every file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import login_logs
from forensic_toolkit.readers.compressed_logs import content_of
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.readers.system_logs import AUTH, JOURNAL, SYSTEM, SystemLogs
from forensic_toolkit.results import Event, Finding, Results
from forensic_toolkit.rules import login_rules, shell_histories, sigma_rules, web_rules

SESSIONS = r"/var/log/(wtmp|btmp)([.-][^/]*)?"
RECORDS = "log-in records"
FAILED_RECORDS = "records of failed log-ins"
WEB_LOG = "web log"
# A scanner leaves thousands of similar lines; the first ones suffice.
MAX_OF_A_KIND = 20


def log_ins(tree: Tree, *, logs: SystemLogs, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """Guessed passwords, further log-ins, and account changes."""
    text, journal = [*logs.lines[AUTH], *logs.lines[SYSTEM]], logs.lines[JOURNAL]
    logins = login_logs.without_copies(login_logs.attempts(text), login_logs.attempts(journal))
    # Where rsyslog copies the journal, its copy suffices.
    results.events.extend(login_logs.other_events(logs.lines[AUTH] or journal))
    if results.counts["system_volume"] and not logs.lines[AUTH] and not journal:
        results.gap("log-ins", "auth.log, secure and the journal are all missing or empty")
    guessed = list(login_rules.guessing(logins))
    yield from guessed
    yield from login_rules.accepted(logins, guessers={str(item.data["address"]) for item in guessed})
    results.events.extend(login_logs.login_events(logins))
    for entry in tree.files(SESSIONS):
        failed = "/btmp" in entry.path
        content = content_of(entry)
        kind = FAILED_RECORDS if failed else RECORDS
        artifact = coverage.add(Artifact(kind, entry.path, entry.size, problems=list(content.problems)))
        artifact.lines, cut = login_logs.records_in(content.data)
        artifact.problems.extend([cut] if cut else [])
        found = list(login_logs.sessions(content.data))
        for session in found:
            artifact.understood(session.time)
        results.events.extend(login_logs.session_events(found, source=entry.path, failed=failed))
    succeeded = sum(login.accepted for login in logins)
    results.counts |= {"logins": succeeded, "failed_logins": len(logins) - succeeded}


def system_messages(logs: SystemLogs, *, results: Results) -> Iterator[Finding]:
    """Sigma rule matches in all logs; system messages become timeline entries."""
    yield from sigma_rules.findings(logs.all(), results=results)
    seen: set[tuple[int, str, str]] = set()
    for line in logs.all():
        # rsyslog's copy of the journal repeats the journal's own entry.
        key = (int(line.time.timestamp()), line.program, line.message)
        if line.program in ("systemd", "kernel", "CRON", "crond", "systemd-logind") and key not in seen:
            seen.add(key)
            what = f"{line.program}: {line.message}"
            results.events.append(Event(line.time, what, line.source, "Log Time", extra={"program": line.program}))


def histories(tree: Tree, *, coverage: Coverage, results: Results) -> list[Finding]:
    """Suspicious commands; every command with a time becomes a timeline entry."""
    findings, events = shell_histories.examine(tree, coverage=coverage)
    results.events.extend(events)
    return findings


def web(tree: Tree, *, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """Web shells, requests to them, and attacks in web logs."""
    shells = web_rules.web_shells(tree)
    yield from shells.values()
    urls = web_rules.urls_of(list(shells), served=web_rules.roots(tree))
    per_title: dict[str, list[Finding]] = defaultdict(list)
    for entry in tree.files(web_rules.LOGS):
        content = content_of(entry)
        artifact = Artifact(WEB_LOG, entry.path, entry.size, modified=entry.modified(), problems=list(content.problems))
        coverage.add(artifact)
        for item in web_rules.requests(content.text, artifact=artifact, shells=urls):
            if isinstance(item, Event):
                results.events.append(item)
            else:
                per_title[item.title].append(item)
    for items in per_title.values():
        yield from items[:MAX_OF_A_KIND]
