"""What is wrong with the processes and connections of a Windows host's live response. Pure.

The host itself says all of it: a rule that finds nothing proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime

from forensics.memory.live.process_rules import Maker
from forensics.memory.live.sockets import LIVE
from forensics.memory.live.windows import Connection, Program, WindowsHost
from forensics.models.results import Confidence, ResultSeverity

CRITICAL, HIGH, MEDIUM, LOW, INFO = (ResultSeverity(name) for name in ("critical", "high", "medium", "low", "info"))
PROCESSES, TCP = "20-processes", "10-tcp"
# Where any user may write and no installer of a whole machine puts programs.
ODD_PLACE = re.compile(
    r"(?i)(\\(windows\\(temp|tasks|tracing|debug|fonts|help|media)|users\\public|users\\[^\\]+\\(downloads|music|pictures|videos|appdata\\local\\temp)"
    r"|perflogs|\$recycle\.bin|temp)\\(.*\\)?|\\(programdata|intel|recovery)\\)[^\\\s]+\.(exe|com|scr|pif|dll|bat|cmd|ps1|vbs|js|hta)\b"
)
_ANY_PLACE = re.compile(r"(?i)\\appdata\\(roaming|local)\\")
# Vendors' own folders below ProgramData hold services (Defender's platform, agents of Amazon).
_VENDORS = re.compile(r"(?i)\\programdata\\(microsoft|amazon|package cache|chocolatey|docker|ssh)\\")
_SYSTEM = {
    "svchost.exe", "lsass.exe", "csrss.exe", "smss.exe", "wininit.exe", "winlogon.exe", "services.exe", "spoolsv.exe", "taskhostw.exe",
    "dllhost.exe", "conhost.exe", "lsm.exe", "dwm.exe", "sihost.exe", "fontdrvhost.exe", "runtimebroker.exe", "taskhost.exe", "wuauclt.exe",
    "explorer.exe",
}  # fmt: skip
_AT_HOME = re.compile(
    r"(?i)^([a-z]:\\windows|\\windows|\\systemroot|%systemroot%)\\(system32|syswow64|winsxs|systemapps)\\|^[a-z]:\\windows\\explorer\.exe$"
)
_AGENT = re.compile(r"(?i)\\amazon\\ssm\\(update\\|[^\\]+\\)?ssm-(document-worker|agent-worker|session-worker)\.exe$")
_ONCE = {"lsass.exe", "services.exe", "wininit.exe"}  # of each a healthy Windows has one
_PARENTS = {
    "svchost.exe": {"services.exe", "msmpeng.exe"},
    "lsass.exe": {"wininit.exe"},
    "services.exe": {"wininit.exe"},
}
_SHELL = re.compile(
    r"(?i)^(cmd|powershell|pwsh|wscript|cscript|mshta|rundll32|regsvr32|certutil|bitsadmin|installutil|msbuild|regasm|wmic)\.exe$"
)
_SERVER = re.compile(
    r"(?i)^(w3wp|httpd|nginx|tomcat\d*|java|php-cgi|php|sqlservr|mysqld|postgres|umworkerprocess|node|coldfusion)\.exe$"
)
_OFFICE = re.compile(r"(?i)^(winword|excel|powerpnt|outlook|onenote|mspub|acrord32)\.exe$")
# The order counts: the first that fits is what a command is called.
COMMANDS: tuple[tuple[str, re.Pattern[str], ResultSeverity, str], ...] = (
    (
        "Credentials taken from memory",
        re.compile(
            r"(?i)comsvcs(\.dll)?\W+.{0,12}(minidump|#\+?24)|procdump\w*(\.exe)?\b.*\blsass|mimikatz|sekurlsa|lsadump|nanodump|\blsass\.(exe|dmp)\b.*\b(dump|\.dmp)"
        ),
        CRITICAL, "T1003.001",
    ),
    (
        "Copy of account databases",
        re.compile(r"(?i)ntdsutil\b.*\bifm\b|\breg(\.exe)?\W+save\b.*\b(hklm|hkey_local_machine)\\(sam|system|security)\b|\bntds\.dit\b"),
        CRITICAL, "T1003.003",
    ),
    (
        "Backups and shadow copies deleted",
        re.compile(
            r"(?i)vssadmin\b.*\b(delete|resize)\b|wmic\b.*shadowcopy.*delete|wbadmin\b.*delete|win32_shadowcopy.*(delete|remove)|bcdedit\b.*recoveryenabled\s+no"
        ),
        CRITICAL, "T1490",
    ),
    (
        "Mining software",
        re.compile(r"(?i)\b(xmrig|nbminer|phoenixminer|lolminer)\b|stratum\+(tcp|ssl)://|--donate-level\b|--(coin|algo)[= ](monero|rx/0|randomx|cn/)"),
        CRITICAL, "T1496",
    ),
    (
        "Script fetched and run",
        re.compile(
            r"(?i)(iex|invoke-expression)\b.*(downloadstring|webclient|invoke-webrequest|\biwr\b|invoke-restmethod|\birm\b)"
            r"|(downloadstring|\biwr\b|\birm\b|invoke-webrequest|invoke-restmethod).*\|\s*(iex|invoke-expression)"
            r"|mshta(\.exe)?\W+(https?:|vbscript:|javascript:)|regsvr32\b.*/i:\s*https?:|rundll32\b.*(javascript:|,\s*https?:)"
        ),
        CRITICAL, "T1059.001",
    ),
    (
        "Hidden or encoded PowerShell",
        re.compile(
            r"(?i)\b(powershell|pwsh)(\.exe)?\b.*(\s[-/\u2013]e(n|nc|nco|ncod|ncode|ncoded|ncodedc\w*|c)?\s+[\"']?[a-z0-9+/]{24,}|frombase64string|-w\w*\s+(hidden|1)\b.*(-nop|bypass|-enc))"
        ),
        HIGH, "T1059.001",
    ),
    (
        "Download by a program of Windows",
        re.compile(r"(?i)certutil\b.*(urlcache|verifyctl|\bhttps?:)|bitsadmin\b.*/(transfer|addfile)|\b(curl|wget)(\.exe)?\b.*\s(-o|--output|-outfile)\b.*\.(exe|dll|ps1|bat|zip)\b"),
        HIGH, "T1105",
    ),
    (
        "Event logs cleared",
        re.compile(r"(?i)wevtutil\b.*\s(cl|clear-log)\b|\b(clear|remove)-eventlog\b"),
        HIGH, "T1685.005",
    ),
    (
        "Defender is being switched off",
        re.compile(r"(?i)set-mppreference\b.*-disable\w+\s+(\$true|1)|add-mppreference\b.*-exclusion|\bsc(\.exe)?\W+(stop|delete|config)\W+(windefend|sense)\b|disableantispyware"),
        HIGH, "T1685",
    ),
    (
        "Account made or raised by a command",
        re.compile(r"(?i)\bnet1?(\.exe)?\W+(user\b.*\s/add\b|localgroup\W+\"?(administrators|remote desktop users)\b.*\s/add\b)|\b(new-localuser|add-localgroupmember)\b"),
        HIGH, "T1136.001",
    ),
    (
        "Remote execution",
        re.compile(r"(?i)\bpsexe(c|svc)\w*(\.exe)?\b|\bpaexec\b|wmic\b.*/node:.*process\s+call\s+create|invoke-command\b.*-computername|\bwinrs\b.*-r:|\bwmiexec|\bsmbexec"),
        HIGH, "T1569.002",
    ),
    (
        "Tunnel to another host",
        re.compile(r"(?i)\b(chisel|frpc|ligolo\S*|ngrok|gost|revsocks|plink)(\.exe)?\b|\bssh(\.exe)?\b.*\s-\w*R\s*\S*\d+:|netsh\b.*portproxy\s+add"),
        HIGH, "T1572",
    ),
    ("Scan of other hosts", re.compile(r"(?i)\b(nmap|masscan|advanced_(ip|port)_scanner|netscan|sharphound|adfind|pingcastle)(\.exe)?\b"), HIGH, "T1046"),
)  # fmt: skip
JUDGED = 500  # characters of a command that are judged
_LONGEST, _SHOWN = 800, 300  # characters of a detail, of a command among a finding's data
Known = Collection[str]


def facts(process: Program) -> dict[str, object]:
    """A process's fields, for the data of a finding."""
    return {
        "pid": process.pid,
        "ppid": process.ppid,
        "comm": process.name,
        "exe": process.path,
        "args": process.command[:_SHOWN],
    }


def odd_place(text: str) -> bool:
    """Whether a path or command names a program in a place where any user may write."""
    return bool(ODD_PLACE.search(text)) and not _VENDORS.search(text)


def programs(host: WindowsHost, make: Maker) -> None:
    """Programs in odd places, and those that have the name of a part of Windows and are elsewhere, twice, or another's child."""
    counted = {name: [p for p in host.processes.values() if p.name.lower() == name] for name in _ONCE}
    for process in host.processes.values():
        name = process.name.lower()
        if _poses(process):
            _add(
                make,
                "system-name",
                f"Process {process.pid} has the name of a part of Windows and is not it",
                CRITICAL,
                "T1036.005",
                process,
                sure=True,
            )
        elif odd_place(process.path):
            _add(
                make,
                "odd-place",
                f"Process {process.pid} runs from a place where any user may write",
                HIGH,
                "T1036.005",
                process,
            )
        parent = host.processes.get(process.ppid)
        known = _PARENTS.get(name)
        if known and parent and _older(parent, process) and parent.name.lower() not in known:
            _add(
                make, "odd-parent", f"{process.name} ({process.pid}) was started by {parent.name}", HIGH, "T1036.009", process,
                more=f"; Windows starts it from {' or '.join(sorted(known))}",
            )  # fmt: skip
    for name, found in counted.items():
        for process in found[1:]:
            _add(make, "second", f"There is more than one {name}: process {process.pid}", HIGH, "T1036.005", process)


def children(host: WindowsHost, make: Maker) -> None:
    """Shells whose parent is a server or an office program: a web shell, an injection, a document with a macro."""
    for process in host.processes.values():
        parent = host.processes.get(process.ppid)
        if parent is None or not _SHELL.match(process.name) or not _older(parent, process):
            continue
        who = f"{process.name} ({process.pid}) was started by {parent.name} ({parent.pid})"
        if _SERVER.match(parent.name):
            grave = parent.name.lower() not in {"java.exe", "node.exe"}  # which build servers and agents are, too
            _add(make, "server-child", who, CRITICAL if grave else MEDIUM, "T1505.003", process)
        elif _OFFICE.match(parent.name):
            _add(make, "office-child", who, CRITICAL, "T1204.002", process)


def connections(host: WindowsHost, make: Maker, peers: Known) -> None:
    """Connections of shells and disguised programs, and all with an address that the case's findings name."""
    for found in host.connections:
        if found.state not in LIVE or not (found.foreign or found.peer in peers):
            continue
        process = host.processes.get(found.pid)
        disguised = process is not None and (odd_place(process.path) or _poses(process))
        shell = process is not None and bool(_SHELL.match(process.name))
        if found.peer in peers:
            severity, title = (
                CRITICAL if shell or disguised else HIGH,
                f"Connection with {found.peer}, which the finding names",
            )
        elif process is not None and shell and found.peer_port == 443 and _of_the_agent(host, process):
            severity, title = INFO, "Connection of a script of Systems Manager, as this one is"
        elif shell:
            severity, title = CRITICAL, "Shell or script host on the network"
        elif disguised:
            severity, title = CRITICAL, "Connection of a disguised program"
        elif process is not None and _ANY_PLACE.search(process.path):
            severity, title = LOW, "Connection of a program in a user's folder"  # or a browser, a chat
        else:
            continue
        _connection(make, found, process, severity, title, sure=severity is CRITICAL)


def _of_the_agent(host: WindowsHost, process: Program) -> bool:
    """Whether the parent is a worker of the SSM agent in the agent's own folder: what sends this archive is such a script."""
    parent = host.processes.get(process.ppid)
    return parent is not None and _older(parent, process) and bool(_AGENT.search(parent.path))


def _connection(
    make: Maker, found: Connection, process: Program | None, severity: ResultSeverity, title: str, *, sure: bool
) -> None:
    owner = f"{process.name} ({process.pid})" if process else f"process {found.pid}, which is not listed"
    make.add(
        "connection", f"{title}: {owner} with {found.peer} port {found.peer_port}", severity=severity,
        confidence=Confidence.HIGH if sure else Confidence.MEDIUM, technique="T1071", source=TCP,
        detail=f"{found.ends}, {found.state}: {process.command if process else ''}"[:_LONGEST],
        time=process.started if process else None,
        data={**(facts(process) if process else {"pid": found.pid}), "remote": found.peer, "remote_port": found.peer_port},
    )  # fmt: skip


def commands(host: WindowsHost, make: Maker, peers: Known) -> None:
    """Running command lines of intruders' kinds, and those that name an address of the finding."""
    for process in host.processes.values():
        command = process.command[:4_000]
        found = judged(command)
        named = next((peer for peer in peers if peer in command), None)
        if found is None and named is None:
            continue
        title, severity, technique = found or (f"A command names {named}, an address of the finding", HIGH, "T1071")
        _add(make, "command", f"{title} (running as process {process.pid})", severity, technique, process, sure=True)


def judged(command: str) -> tuple[str, ResultSeverity, str] | None:
    """What a command line is called, how grave it is, its technique; None for one that no rule knows.

    Its beginning is looked at, gaps in it closed: the host chooses the text, and what a search costs grows with its square.
    """
    looked_at = " ".join(command.split())[:JUDGED]
    return next(((rule[0], rule[2], rule[3]) for rule in COMMANDS if rule[1].search(looked_at)), None)


def _add(
    make: Maker,
    rule: str,
    title: str,
    severity: ResultSeverity,
    technique: str,
    process: Program,
    *,
    sure: bool = False,
    more: str = "",
) -> None:
    make.add(
        rule, title, severity=severity, confidence=Confidence.HIGH if sure else Confidence.MEDIUM, technique=technique, source=PROCESSES,
        detail=f"pid {process.pid}, parent {process.ppid}, {process.path or process.name}: {process.command}{more}"[:_LONGEST],
        time=process.started, data=facts(process),
    )  # fmt: skip


def _poses(process: Program) -> bool:
    """Whether it has the name of a part of Windows and lies elsewhere."""
    return process.name.lower() in _SYSTEM and bool(process.path) and not _AT_HOME.search(process.path)


def _older(parent: Program, process: Program) -> bool:
    """A parent's number may belong to a later process: then it says nothing."""
    return parent.started is None or process.started is None or parent.started <= process.started


def rules(host: WindowsHost, make: Maker, peers: Known) -> Iterable[tuple[str, Callable[[], None]]]:
    """All rules of this file by name, bound to a host."""
    yield "programs", lambda: programs(host, make)
    yield "children", lambda: children(host, make)
    yield "connections", lambda: connections(host, make, peers)
    yield "commands", lambda: commands(host, make, peers)


def starts(host: WindowsHost) -> Iterator[tuple[datetime, str]]:
    """When each process began."""
    for process in host.processes.values():
        if process.started is not None:
            what = process.command[:500] or process.path or process.name
            yield process.started, f"Process {process.pid} started: {what} (parent {process.ppid})"
