"""What logs, histories and web servers say; every file is accounted for in the coverage."""

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
# A scanner leaves thousands of lines of one kind; the first ones say it all.
MAX_OF_A_KIND = 20


def log_ins(tree: Tree, *, logs: SystemLogs, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """Guessed passwords, further log-ins, and everything else about accounts that logs hold."""
    text, journal = [*logs.lines[AUTH], *logs.lines[SYSTEM]], logs.lines[JOURNAL]
    logins = login_logs.without_twins(login_logs.attempts(text), login_logs.attempts(journal))
    # Where rsyslog copies the journal, its copy is enough.
    results.events.extend(login_logs.other_events(logs.lines[AUTH] or journal))
    if results.counts["system_volume"] and not logs.lines[AUTH] and not journal:
        results.gap("log-ins", "neither auth.log nor secure nor the journal holds anything")
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
    """What the Sigma rules find in all logs, and the messages that belong on the timeline."""
    yield from sigma_rules.findings(logs.all(), results=results)
    seen: set[tuple[int, str, str]] = set()
    for line in logs.all():
        # systemd says what started; rsyslog's copy of the journal says it again.
        key = (int(line.time.timestamp()), line.program, line.message)
        if line.program in ("systemd", "kernel", "CRON", "crond", "systemd-logind") and key not in seen:
            seen.add(key)
            what = f"{line.program}: {line.message}"
            results.events.append(Event(line.time, what, line.source, "Log Time", extra={"program": line.program}))


def histories(tree: Tree, *, coverage: Coverage, results: Results) -> list[Finding]:
    """Suspicious commands; all commands with a time go on the timeline."""
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
