"""Findings and timeline entries from logs, histories and web logs, with the coverage of every file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.folding import Fold
from forensic_toolkit.readers import audit_log, login_databases, login_logs
from forensic_toolkit.readers.audit_logins import AuditLogins
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.readers.log_stream import LogFile, text_lines
from forensic_toolkit.readers.system_logs import AUTH, JOURNAL, SYSTEM, SystemLogs
from forensic_toolkit.results import Event, Finding, Results
from forensic_toolkit.rules import audit_rules, login_rules, shell_histories, sigma_rules, web_rules
from forensic_toolkit.time_limits import OutOfTimeError

SESSIONS = r"/var/log/(wtmp|btmp)([.-](?!db$)[^/]*)?|(/var)?/run/utmp"
RECORDS = "log-in records"
FAILED_RECORDS = "records of failed log-ins"
WEB_LOG = "web log"
MAX_ENTRIES = 200_000  # of one log in the timeline: some 200 MB of memory


def log_ins(tree: Tree, *, logs: SystemLogs, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """Guessed passwords, further log-ins, and account changes."""
    text, journal = [*logs.lines[AUTH], *logs.lines[SYSTEM]], logs.lines[JOURNAL]
    logins = login_logs.without_copies(login_logs.attempts(text), login_logs.attempts(journal))
    # Where rsyslog copies the journal, its copy suffices.
    results.events.extend(login_logs.other_events(logs.lines[AUTH] or journal))
    audited = list(_audited(tree, coverage=coverage, results=results))
    logins = login_logs.without_copies(logins, (item for item in audited if isinstance(item, login_logs.Login)))
    yield from (item for item in audited if isinstance(item, Finding))
    if results.counts["system_volume"] and not logs.lines[AUTH] and not journal and not logins:
        results.gap("log-ins", "auth.log, secure, the journal and the audit log are all missing or empty")
    guessed = list(login_rules.guessing(logins))
    yield from guessed
    yield from login_rules.accepted(logins, guessers=login_rules.guessers(guessed))
    results.events.extend(login_logs.login_events(logins))
    for path, records in login_databases.sessions(tree, coverage=coverage):
        results.events.extend(login_logs.session_events(records, source=path, failed=False))
    for entry in tree.files(SESSIONS):
        failed = "/btmp" in entry.path
        kind = FAILED_RECORDS if failed else RECORDS
        artifact = coverage.add(Artifact(kind, entry.path, entry.size))
        kept = _Kept(entry.path, results)
        with closing(LogFile(entry)) as log:
            artifact.problems = log.problems
            artifact.bytes = 0 if log.is_empty else artifact.bytes
            for count, found in login_logs.records(log):
                artifact.lines += count
                for session in found:
                    artifact.understood(session.time)
                for event in login_logs.session_events(reversed(found), source=entry.path, failed=failed):
                    kept.add(event)
        kept.report()
    succeeded = sum(login.accepted for login in logins)
    results.counts |= {"logins": succeeded, "failed_logins": len(logins) - succeeded}


def _audited(tree: Tree, *, coverage: Coverage, results: Results) -> Iterator[Finding | login_logs.Login]:
    """Findings and log-ins of the audit log; its commands and changes of accounts become timeline entries."""
    names = {
        fields[2]: fields[0] for line in tree.text("/etc/passwd").split("\n") if len(fields := line.split(":")) > 3
    }
    for entry in tree.files(audit_log.FILES):
        artifact = coverage.add(Artifact(audit_log.KIND, entry.path, entry.size))
        kept, logins = _Kept(entry.path, results), AuditLogins(source=entry.path, names=names)
        with closing(LogFile(entry)) as log:
            artifact.problems = log.problems
            artifact.bytes = 0 if log.is_empty else artifact.bytes
            for event in audit_log.streamed(log, artifact=artifact):
                logins.add(event)
                for item in audit_rules.of_event(event, source=entry.path):
                    if isinstance(item, Event):
                        kept.add(item)
                    else:
                        yield item
        kept.report()
        if logins.dropped:
            why = f"{logins.dropped} older records of log-ins were only counted, because there are so many"
            results.gap(f"log-ins of {entry.path}", why)
        yield from logins.found()


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


def web(tree: Tree, *, coverage: Coverage, results: Results) -> Iterator[tuple[str, Callable[[], Iterable[Finding]]]]:
    """(name, rule) for web shells, then for each web log, to be run one after the other: each has its own limit on time."""
    urls: dict[str, str] = {}
    yield "web shells", lambda: _web_shells(tree, urls)
    for entry in tree.files(web_rules.LOGS):
        yield f"log {entry.path}", partial(_web_log, entry, urls=urls, coverage=coverage, results=results)


def _web_shells(tree: Tree, urls: dict[str, str]) -> Iterator[Finding]:
    """Web shells; ``urls`` gets the paths under which servers answer with them."""
    shells = web_rules.web_shells(tree)
    urls.update(
        web_rules.urls_of(
            [path for path, found in shells.items() if found.severity != "info"], served=web_rules.roots(tree)
        )
    )
    yield from shells.values()
    yield from web_rules.too_large(tree)


def _web_log(entry: Entry, *, urls: dict[str, str], coverage: Coverage, results: Results) -> Iterator[Finding]:
    """Requests to web shells and attacks in one log, its newest part first; what was found until the time ended stays."""
    fold = Fold()
    artifact = coverage.add(Artifact(WEB_LOG, entry.path, entry.size, modified=entry.modified()))
    kept = _Kept(entry.path, results)
    try:
        with closing(LogFile(entry)) as log:
            artifact.problems = log.problems
            artifact.bytes = 0 if log.is_empty else artifact.bytes
            for item in web_rules.requests(text_lines(log), artifact=artifact, shells=urls, most=MAX_ENTRIES):
                if isinstance(item, Event):
                    kept.add(item)
                else:
                    fold.add(item)
    except OutOfTimeError:
        yield from fold.folded()
        raise
    kept.report(artifact.parsed)
    yield from fold.folded()


class _Kept:
    """The timeline entries of one log: of an endless one the newest, and every notable one."""

    def __init__(self, path: str, results: Results) -> None:
        self._path, self._results = path, results
        self._count = 0

    def add(self, event: Event) -> None:
        """Keep it, unless there are too many already; newer ones come first."""
        self._count += 1
        if self._count <= MAX_ENTRIES or event.notable:
            self._results.events.append(event)

    def report(self, count: int = 0) -> None:
        """Say what was left out; ``count`` is how many entries there were, where not all were added."""
        self._count = max(self._count, count)
        if self._count > MAX_ENTRIES:
            why = (
                f"{self._count} entries; the timeline has the newest {MAX_ENTRIES} and every notable one, rules saw all"
            )
            self._results.note(f"timeline of {self._path}", why)
