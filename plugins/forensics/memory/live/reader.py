"""Reads a live response's archive in a process of its own (``forensics.confined``): members, host, findings. Pure.

Root on the target writes every byte of it, so limits come before meaning: what is kept of members, how many findings of one
rule, entries of the timeline and processes are passed on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from forensics.confined import Channel
from forensics.memory.live import process_rules, state_rules, windows, windows_rules, windows_state
from forensics.memory.live.host import LiveHost, read
from forensics.memory.live.process_rules import Maker
from forensics.memory.live_archive import LiveArchive
from forensics.models.outside import Outside
from forensics.models.results import ToolFinding, ToolGap, ToolTimelineEntry

FUNCTION = "forensics.memory.live.reader:examine"
# Together less than the 4 MiB that a result may have, whatever alphabet the host writes in.
MOST_OF_A_RULE, MOST_FINDINGS, MOST_EVENTS, MOST_PROCESSES = 40, 200, 200, 20_000
_LONGEST_EVENT = 300
_TOO_LARGE = ("-program", "-memory")  # of single processes: evidence for other tools
# What no Linux host can be without, and what is not known where it is missing.
_NEEDED = {
    "20-process-states": "processes", "21-process-programs": "programs of processes", "10-network-tcp": "connections (IPv4)",
    "24-open-files": "which process has which connection",
}  # fmt: skip
_FIRST_PASS = {"24-open-files"}  # which the first pass does not take
_NEEDED_OF_WINDOWS = {"20-processes": "processes", "10-tcp": "connections", "23-sessions": "sessions"}


class LiveOrder(Outside):
    """What the child is told: the addresses that the case's findings name, whether it is the short first pass, and of which system."""

    peers: tuple[str, ...] = ()
    first: bool = False
    windows: bool = False


class SeenProcess(Outside):
    """One process as the host listed it; ``started`` by its own clock."""

    pid: int
    name: str = Field(max_length=64)
    started: datetime | None = None


class LiveReading(Outside):
    """What an archive holds."""

    findings: tuple[ToolFinding, ...] = ()
    timeline: tuple[ToolTimelineEntry, ...] = ()
    counts: dict[str, int] = Field(default_factory=dict)
    gaps: tuple[ToolGap, ...] = ()
    processes: tuple[SeenProcess, ...] = ()


def examine(order: bytes, channel: Channel) -> LiveReading:
    """The child's work: the archive comes in, what it holds goes out."""
    told = LiveOrder.model_validate_json(order)
    archive = LiveArchive(keep=lambda name: not name.endswith(_TOO_LARGE))
    for chunk in channel.chunks():
        archive.feed(chunk)
    channel.passed()
    members = {name: bytes(body) for name, body in archive.kept.items()}
    make, gaps = Maker(), _gaps(archive, told)
    seen = _windows(members, make, told.peers) if told.windows else _linux(members, make, told.peers)
    for name, rule in seen.rules:
        try:
            rule()
        except (ValueError, KeyError, IndexError, RecursionError) as error:
            gaps.append(ToolGap(what=f"rule {name}", why=f"{type(error).__name__}: {error}"[:300]))
    findings, cut = _bounded(make.made)
    return LiveReading(
        findings=tuple(findings),
        timeline=tuple(_newest(seen.events)),
        counts=seen.counts,
        gaps=tuple(gaps + cut),
        processes=tuple(seen.processes)
        if _whole(archive, seen.list_of) and len(seen.processes) <= MOST_PROCESSES
        else (),
    )


@dataclass(frozen=True)
class _Seen:
    """A host of either system: its rules, events, counts, the processes that it listed and the member that lists them."""

    rules: Iterable[tuple[str, Callable[[], None]]]
    events: list[tuple[datetime, str, str]]
    counts: dict[str, int]
    processes: list[SeenProcess]
    list_of: str


def _linux(members: Mapping[str, bytes], make: Maker, peers: tuple[str, ...]) -> _Seen:
    host = read(members)
    return _Seen(_rules(host, make, peers), _events(host), _counts(host), _listed(host), "20-process-states")


def _windows(members: Mapping[str, bytes], make: Maker, peers: tuple[str, ...]) -> _Seen:
    host, list_of = windows.read(members), "20-processes"
    events = [(time, what, list_of) for time, what in windows_rules.starts(host)]
    events += [(time, what, "23-sessions") for time, what in windows_state.logons(host)]
    if host.booted:
        events.append((host.booted, "System booted", "00-clock"))
    counts = {"processes": len(host.processes), "sockets": len(host.connections)}
    for name, member in (
        ("sessions", "23-sessions"),
        ("services", "41-services"),
        ("tasks", "50-tasks"),
        ("packages", "61-programs"),
    ):
        counts[name] = sum(1 for _ in windows.rows(members.get(member, b"")))
    listed = [SeenProcess(pid=p.pid, name=p.name[:64], started=p.started) for p in host.processes.values()]
    rules = [*windows_rules.rules(host, make, peers), *windows_state.rules(host, make, peers)]
    return _Seen(rules, events, counts, listed, list_of)


def _rules(host: LiveHost, make: Maker, peers: tuple[str, ...]) -> Iterable[tuple[str, Callable[[], None]]]:
    yield from process_rules.rules(host, make, peers)
    for rule in (
        state_rules.preload,
        state_rules.second_opinion,
        state_rules.modules,
        state_rules.sniffers,
        state_rules.settings,
        state_rules.containers,
    ):
        yield rule.__name__, lambda rule=rule: rule(host, make)  # type: ignore[misc]


def _gaps(archive: LiveArchive, told: LiveOrder) -> list[ToolGap]:
    gaps = []
    for name, what in (_NEEDED_OF_WINDOWS if told.windows else _NEEDED).items():
        if told.first and name in _FIRST_PASS:
            continue
        item, body = archive.items.get(name), archive.kept.get(name)
        if not body:
            gaps.append(ToolGap(what=what, why=f"the archive has no {name}" + (f": {item.why}" if item else "")))
        elif item and item.state == "cut":
            gaps.append(ToolGap(what=what, why=f"{name} is cut: {item.why}"))
    return gaps


def _listed(host: LiveHost) -> list[SeenProcess]:
    """The processes that the host listed."""
    return [
        SeenProcess(pid=p.pid, name=p.name.encode("ascii", "replace").decode()[:16], started=p.started)
        for p in host.processes.values()
        if p.pid not in host.hidden
    ]


def _whole(archive: LiveArchive, name: str) -> bool:
    """Whether a list was taken whole: what is not in one that is cut would look hidden."""
    item = archive.items.get(name)
    return item is not None and item.state == "present" and len(archive.kept.get(name, b"")) == item.size


def _bounded(made: list[ToolFinding]) -> tuple[list[ToolFinding], list[ToolGap]]:
    """The gravest of each rule, of every process one before a second of any, and which rules have more."""
    kept: list[ToolFinding] = []
    more: dict[str, int] = {}
    seen: dict[str, int] = {}
    for finding in _by_weight(made):
        rule = finding.id.rsplit("-", 1)[0]
        seen[rule] = seen.get(rule, 0) + 1
        if seen[rule] > MOST_OF_A_RULE or len(kept) >= MOST_FINDINGS:
            more[rule] = more.get(rule, 0) + 1
        else:
            kept.append(finding)
    gaps = [
        ToolGap(what=f"findings {rule}", why=f"{count} more; the archive has what they are made of")
        for rule, count in more.items()
    ]
    return kept, gaps


def _by_weight(made: list[ToolFinding]) -> list[ToolFinding]:
    severities = ["critical", "high", "medium", "low", "info"]
    confidences = ["high", "medium", "low"]
    of_process: Counter[tuple[str, object]] = Counter()
    keys: dict[str, tuple[int, int, int]] = {}
    for finding in made:
        process = finding.id.rsplit("-", 1)[0], finding.data.get("pid", finding.id)
        keys[finding.id] = (
            severities.index(finding.severity.value),
            confidences.index(finding.confidence.value),
            of_process[process],
        )
        of_process[process] += 1
    return sorted(made, key=lambda finding: keys[finding.id])


def _events(host: LiveHost) -> list[tuple[datetime, str, str]]:
    """Process starts, sessions and the boot."""
    found = [(time, what, "20-process-states") for time, what in process_rules.starts(host)]
    found += [
        (s.since, f"Session of {s.user} on {s.line}" + (f" from {s.peer}" if s.peer else ""), "23-utmp")
        for s in host.sessions
    ]
    if host.booted:
        found.append((host.booted, "System booted", "00-clock"))
    return found


def _newest(found: list[tuple[datetime, str, str]]) -> list[ToolTimelineEntry]:
    """The newest events, by time."""
    newest = sorted(found)[-MOST_EVENTS:]
    return [ToolTimelineEntry(time=time, what=what[:_LONGEST_EVENT], source=source) for time, what, source in newest]


def _counts(host: LiveHost) -> dict[str, int]:
    return {
        "processes": len(host.processes),
        "sockets": len(host.sockets),
        "network_namespaces": len({s.namespace for s in host.sockets}),
        "sessions": len(host.sessions),
        "modules": bytes(host.members.get("41-modules", b"")).count(b"\n"),
        "packages": bytes(host.members.get("70-packages", b"")).count(b"Package: "),
    }
