"""Rules on processes, their connections, and commands typed into their shells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from forensic_toolkit.readers.process_tree import PID_TABLE, SOCKETS
from forensic_toolkit.readers.processes import Process, Rows
from forensic_toolkit.results import Finding, Severity
from forensic_toolkit.rules.addresses import is_foreign
from forensic_toolkit.rules.command_rules import first_match
from forensic_toolkit.times import parse_iso

BASH = "linux.bash.Bash"
ENVIRONMENT = "linux.envars.Envars"
MALFIND = "linux.malware.malfind.Malfind"
PROCESS_SOURCE = "linux.malware.process_spoofing"
TRACING = "linux.ptrace.Ptrace"

_LIVE = {"ESTABLISHED", "SYN_SENT", "SYN_RECV", "CLOSE_WAIT"}
# Just-in-time compilers create memory that is writable and executable by design.
_COMPILERS = re.compile(r"^(java|node|nodejs|dotnet|mono|php|php-fpm|chrome|firefox|gnome-shell|polkitd|luajit|beam)")
_AGENTS = re.compile(r"^(amazon-ssm-agen|ssm-agent-worke|ssm-session-wor|amazon-cloudwat|chronyd|snapd)")
_WORD = re.compile(r"^-?([\w.+/-]+)")
Processes = Mapping[int, Process]


def disguised_as_kernel(known: Processes) -> Iterator[Finding]:
    """A user-space process under a kernel thread's name."""
    for process in known.values():
        if process.claims_kernel and not process.is_kernel and process.pid != 1:
            why = f"runs {process.exe}" if process.exe else f"its parent is {process.ppid}, not kthreadd"
            yield Finding(
                title=f"Process {process.pid} poses as a kernel thread",
                detail=f"pid {process.pid} is named {process.args or process.comm}, but {why}"
                + (" (deleted)" if process.deleted else ""),
                severity="critical",
                confidence="high" if process.exe else "medium",
                source=PROCESS_SOURCE,
                time=process.started,
                technique="T1036",
                data=process.facts(),
            )


def deleted_executables(known: Processes) -> Iterator[Finding]:
    """A process whose executable is gone; after an update of a package this is harmless."""
    for process in known.values():
        if not process.deleted or process.exe is None:
            continue
        in_memory = process.exe.startswith(("/memfd:", "memfd:"))
        odd = in_memory or process.in_unusual_place
        yield Finding(
            title=f"Process {process.pid} runs a deleted executable",
            detail=f"pid {process.pid} ({process.comm}) runs {process.exe}, which no longer exists"
            + ("" if odd else "; a package update has the same effect"),
            severity="critical" if odd else "low",
            confidence="high" if odd else "low",
            source=PROCESS_SOURCE,
            time=process.started,
            technique="T1620" if in_memory else "T1070.004",
            data=process.facts(),
        )


def odd_places(known: Processes) -> Iterator[Finding]:
    """A process whose executable is in a temporary or hidden place."""
    for process in known.values():
        if process.in_unusual_place and not process.deleted:
            yield Finding(
                title=f"Process {process.pid} runs from a temporary or hidden place",
                detail=f"pid {process.pid} ({process.comm}) runs {process.exe}",
                severity="high",
                confidence="medium",
                source=PROCESS_SOURCE,
                time=process.started,
                technique="T1564.001" if "/." in (process.exe or "") else "T1036.005",
                data=process.facts(),
            )


def false_names(known: Processes) -> Iterator[Finding]:
    """A shell or interpreter whose first argument names another program."""
    services = {process.exe_name for process in known.values() if process.exe and not process.is_interpreter}
    for process in known.values():
        if not process.is_interpreter or process.exe is None or process.claims_kernel:
            continue
        match = _WORD.match(process.args)
        claimed = match[1].rsplit("/", 1)[-1] if match else ""
        # "sshd: ..." by bash is a false name; "-bash", "sh" for dash and names of scripts are not.
        if claimed and claimed != process.exe_name and (claimed in services or process.args.startswith(f"{claimed}: ")):
            yield Finding(
                title=f"Process {process.pid} runs under a false name",
                detail=f"pid {process.pid} presents itself as '{process.args}', but runs {process.exe}",
                severity="high",
                confidence="high",
                source=PROCESS_SOURCE,
                time=process.started,
                technique="T1036",
                data=process.facts(),
            )


def connections(rows: Rows, *, known: Processes) -> Iterator[Finding]:
    """Live connections with foreign addresses, and every network socket of a shell."""
    sockets = [row for row in rows.get(SOCKETS, ()) if str(row.get("Family")).startswith("AF_INET")]
    listening = {str(row.get("Source Port")) for row in sockets if row.get("State") == "LISTEN"}
    seen: set[tuple[Any, ...]] = set()
    for row in sockets:
        process = known.get(row["PID"]) or _unlisted(row)
        peer = (row.get("Destination Addr"), str(row.get("Destination Port")))
        own = (row.get("Source Addr"), str(row.get("Source Port")))
        key = (process.pid, own, peer)
        foreign = is_foreign(peer[0])
        if row.get("State") not in _LIVE or key in seen or not (foreign or process.is_shell):
            continue
        seen.add(key)
        inbound = own[1] in listening
        severity, note, technique = _weigh(process, inbound=inbound)
        yield Finding(
            title=f"{note}: {process.comm} ({process.pid}) with {peer[0]} port {peer[1]}",
            detail=f"{row.get('Proto')} {own[0]}:{own[1]} {'from' if inbound else 'to'} {peer[0]}:{peer[1]}, "
            f"{row.get('State')}, owned by pid {process.pid} {process.args or process.comm}",
            severity=severity,
            confidence="high" if severity in ("critical", "high") else "medium",
            source="linux.sockstat",
            time=process.started,
            technique=technique,
            data={
                **process.facts(),
                "local": ":".join(map(str, own)),
                "remote": ":".join(map(str, peer)),
                "state": row.get("State"),
                "inbound": inbound,
            },
        )


def _unlisted(row: Mapping[str, Any]) -> Process:
    return Process(row["PID"], 0, row.get("Process Name") or "?", None, None, "", None, False)


def _weigh(process: Process, *, inbound: bool) -> tuple[Severity, str, str | None]:
    """Severity, title and technique of a connection by its owner."""
    if process.claims_kernel or process.deleted or process.in_unusual_place:
        return "critical", "Connection of a disguised or deleted program", "T1071"
    if process.is_shell:
        return "critical", "Shell on the network", "T1059.004"
    if inbound:
        name = process.exe_name or process.comm
        return "medium", "Session from outside", "T1021.004" if name.startswith("sshd") else None
    if process.is_interpreter:
        return "high", "Outbound connection of an interpreter", "T1071"
    if _AGENTS.match(process.comm):
        return "info", "Connection of a system agent", None
    return "low", "Connection outwards", None


def typed_commands(rows: Rows, *, known: Processes) -> Iterator[Finding]:
    """Suspicious lines of shell histories that are still in memory."""
    for row in rows.get(BASH, ()):
        command = row.get("Command") or ""
        rule = first_match(command)
        if rule is None or rule.severity == "info":
            continue
        process = known.get(row["PID"])
        yield Finding(
            title=f"{rule.name} (typed in shell {row['PID']})",
            detail=command,
            severity=rule.severity,
            confidence="medium",
            source="linux.bash",
            time=parse_iso(row.get("CommandTime") or ""),
            technique=rule.technique,
            data={"pid": row["PID"], "uid": process.uid if process else None, "rule": rule.name},
        )


def injected_code(rows: Rows, *, known: Processes) -> Iterator[Finding]:
    """Memory that is writable and executable at once."""
    for row in rows.get(MALFIND, ()):
        name = row.get("Process") or "?"
        expected = bool(_COMPILERS.match(name))
        process = known.get(row["PID"])
        start, end = int(row.get("Start") or 0), int(row.get("End") or 0)
        yield Finding(
            title=f"Executable and writable memory in {name} ({row['PID']})",
            detail=f"{row.get('Protection')} region {start:#x}-{end:#x} ({row.get('Path')})"
            + ("; normal for just-in-time compilers" if expected else ""),
            severity="low" if expected else "high",
            confidence="low" if expected else "medium",
            source="linux.malware.malfind",
            time=process.started if process else None,
            technique="T1055",
            data={"pid": row["PID"], "start": hex(start), "end": hex(end), "bytes": row.get("Hexdump")},
        )


def environments(rows: Rows, *, known: Processes) -> Iterator[Finding]:
    """Environment variables that redirect libraries or silence the shell history."""
    for row in rows.get(ENVIRONMENT, ()):
        key, value = row.get("KEY"), row.get("VALUE") or ""
        if key == "LD_PRELOAD" and value:
            what, severity, technique = "preloads a library", "high", "T1574.006"
        elif key == "HISTFILE" and value in ("", "/dev/null"):
            what, severity, technique = "keeps no shell history", "medium", "T1690"
        else:
            continue
        process = known.get(row["PID"])
        yield Finding(
            title=f"Process {row['PID']} ({row.get('COMM')}) {what}",
            detail=f"{key}={value}",
            severity=severity,  # type: ignore[arg-type]  # one of the two literals above
            confidence="medium",
            source="linux.envars",
            time=process.started if process else None,
            technique=technique,
            data={"pid": row["PID"]},
        )


def tracers(rows: Rows, *, known: Processes) -> Iterator[Finding]:
    """Processes that trace others: debuggers and code injectors."""
    for row in rows.get(TRACING, ()):
        tracees = row.get("Tracee PIDs") or row.get("Tracing PIDs")
        tracer = row.get("Tracer TID") or row.get("Tracer PID")
        if tracees or tracer:
            process = known.get(row.get("PID") or -1)
            yield Finding(
                title=f"Process {row.get('PID')} traces or is traced",
                detail=f"{row.get('Process')}: tracer {tracer or '-'}, tracees {tracees or '-'}",
                severity="medium",
                confidence="medium",
                source="linux.ptrace",
                time=process.started if process else None,
                technique="T1055.008",
                data={"pid": row.get("PID")},
            )


def unlisted(rows: Rows, *, known: Processes) -> Iterator[Finding]:
    """Processes in the pid table that are missing from the task list."""
    for row in rows.get(PID_TABLE, ()):
        if known and row["PID"] == row.get("TID") and row["PID"] not in known:
            yield Finding(
                title=f"Process {row['PID']} is in the pid table but not in the list of processes",
                detail=f"{row.get('COMM')}, parent {row.get('PPID')}; "
                "processes that began or ended during the capture look the same",
                severity="low",
                confidence="low",
                source="linux.pidhashtable",
                technique="T1014",
                data={"pid": row["PID"], "ppid": row.get("PPID"), "comm": row.get("COMM")},
            )
