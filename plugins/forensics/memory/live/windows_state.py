"""What starts by itself, is loaded, switched off or cached on a Windows host, by its live response. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime

from forensics.memory.live.process_rules import Maker
from forensics.memory.live.windows import LOGONS, Row, WindowsHost, moment, number, rows, texts, word
from forensics.memory.live.windows_rules import CRITICAL, HIGH, INFO, LOW, MEDIUM, judged, odd_place
from forensics.models.results import Confidence

Known = Collection[str]
_LONGEST = 800
_WINLOGON = {
    "shell": re.compile(r"(?i)^explorer\.exe$"),
    "userinit": re.compile(r"(?i)^[a-z]:\\windows\\system32\\userinit\.exe,?$"),
}
_RUN = re.compile(r"(HKLM:\S+(?: NT)?\\\S+) (.{0,200}?) = (.*)\Z")
# Pipes whose names are fixed in tools of intruders by default (Cobalt Strike's postex and SMB beacons, PsExec, Meterpreter's elevation).
_PIPES = re.compile(
    r"(?i)\\(msagent_|postex_|msse-|status_[0-9a-f]{2}$|psexesvc|remcom_|csexecsvc|winexesvc|paexec|mypipe-|dserv_?pipe|fullduplex_)"
)
_PLAIN_CONSUMERS = {"SCM Event Log Consumer"}  # Windows' own
_SAID_NAMES = ("Name", "CommandLineTemplate", "ExecutablePath", "ScriptText", "ScriptFileName")


def services(host: WindowsHost, make: Maker) -> None:
    """Services and drivers whose program lies where any user may write, or is a command of an intruder's kind."""
    for member, what, technique in (("41-services", "Service", "T1543.003"), ("40-drivers", "Driver", "T1014")):
        for row in _rows(host, member):
            path, name = word(row.get("PathName")), word(row.get("Name"))[:100]
            known = judged(path)
            shell = bool(re.search(r"(?i)\b(cmd|powershell|pwsh)(\.exe)?\b.*\s[-/](c|e|k)", path))
            if odd_place(path) or known or shell:
                make.add(
                    "service", f"{what} {name} starts {known[0].lower() if known else 'a program from an odd place' if odd_place(path) else 'a shell'}",
                    severity=CRITICAL if known else HIGH, technique=technique, source=member,
                    detail=f"{path}; {word(row.get('State'))}, {word(row.get('StartMode'))}, as {word(row.get('StartName')) or 'not said'}"[:_LONGEST],
                    data={"service": name, "pid": number(row.get("ProcessId")) or 0},
                )  # fmt: skip


def tasks(host: WindowsHost, make: Maker) -> None:
    """Scheduled tasks that run a command of an intruder's kind or a program from an odd place."""
    for row in _rows(host, "50-tasks"):
        runs, name = word(row.get("runs")), f"{word(row.get('path'))}{word(row.get('name'))}"[:200]
        known = judged(runs)
        if known or odd_place(runs):
            make.add(
                "task", f"Scheduled task {name} runs {known[0].lower() if known else 'a program from an odd place'}",
                severity=known[1] if known else HIGH, technique="T1053.005", source="50-tasks", detail=runs[:_LONGEST], data={"task": name},
            )  # fmt: skip


def subscriptions(host: WindowsHost, make: Maker) -> None:
    """WMI consumers that run something: hardly any installation has one."""
    for row in _rows(host, "51-wmi-consumers"):
        name = word(row.get("Name"))[:100]
        said = "; ".join(f"{field} {word(row.get(field))}" for field in _SAID_NAMES[1:] if row.get(field))
        if said and name not in _PLAIN_CONSUMERS:
            make.add(
                "wmi", f"A WMI event consumer runs something: {name}", severity=HIGH, confidence=Confidence.HIGH, technique="T1546.003",
                source="51-wmi-consumers", detail=said[:_LONGEST], data={"consumer": name},
            )  # fmt: skip


def run_keys(host: WindowsHost, make: Maker) -> None:
    """What starts when somebody logs on, where it is of an intruder's kind; a shell or userinit that is not Windows'."""
    for line in texts(host.members.get("53-run-keys", b"")):
        match = _RUN.match(line)
        if match is None:
            continue
        key, name, value = match[1], match[2].strip(), match[3].strip()
        usual = _WINLOGON.get(name.lower()) if key.endswith("Winlogon") else None
        if usual is not None:
            if value and not usual.match(value):
                make.add(
                    "winlogon", f"Winlogon's {name} is not that of Windows", severity=HIGH, technique="T1547.004", source="53-run-keys",
                    detail=f"{key} {name} = {value}"[:_LONGEST],
                )  # fmt: skip
        elif not key.endswith("Winlogon") and (judged(value) or odd_place(value)):
            make.add(
                "run-key", f"{name or 'An entry'} starts something odd at each log-on", severity=HIGH, technique="T1547.001",
                source="53-run-keys", detail=f"{key} {name} = {value}"[:_LONGEST],
            )  # fmt: skip


def defender(host: WindowsHost, make: Maker) -> None:
    """Defender switched off, made blind by exclusions, and what it has found."""
    for row in _rows(host, "46-defender"):
        if row.get("RealTimeProtectionEnabled") is False:
            make.add(
                "defender-off", "Defender's real-time protection is off", severity=MEDIUM, technique="T1685", source="46-defender",
                detail="another antivirus program switches it off too; so does whoever does not want to be seen",
            )  # fmt: skip
    for row in _rows(host, "46-defender-exclusions"):
        listed = [word(row.get(name)) for name in ("ExclusionPath", "ExclusionProcess", "ExclusionExtension")]
        said = "; ".join(filter(None, listed))
        wide = re.search(
            r"(?i)(^|\s)[a-z]:\\?(\s|$)|\\(temp|public|programdata|windows)\\?(\s|$)|(^|\s)\.?(exe|dll|ps1)(\s|$)", said
        )
        if said and "must be an administrator" not in said.lower():
            make.add(
                "exclusions", "Defender does not look everywhere", severity=HIGH if wide else LOW, technique="T1685",
                source="46-defender-exclusions", detail=said[:_LONGEST],
            )  # fmt: skip
    for row in _rows(host, "46-defender-threats"):
        make.add(
            "threat", f"Defender has found something: threat {word(row.get('ThreatID'))}", severity=HIGH, technique="T1204.002",
            source="46-defender-threats", time=moment(row.get("InitialDetectionTime")),
            detail=f"{word(row.get('Resources'))}; by {word(row.get('ProcessName'))}; handled: {row.get('ActionSuccess')}"[:_LONGEST],
        )  # fmt: skip


def pipes(host: WindowsHost, make: Maker) -> None:
    """Named pipes of known tools."""
    for line in texts(host.members.get("25-pipes", b"")):
        if _PIPES.search(line):
            make.add(
                "pipe",
                f"A named pipe of an intruder's tool: {line[:120]}",
                severity=HIGH,
                technique="T1570",
                source="25-pipes",
                detail=line[:_LONGEST],
            )


def names(host: WindowsHost, make: Maker, peers: Known) -> None:
    """Names that the host looked up for an address of the findings, and names of updates and services that ``hosts`` leads nowhere."""
    for row in _rows(host, "13-dns"):
        if word(row.get("Data")) in peers:
            make.add(
                "dns", f"The host looked up {word(row.get('Entry'))[:200]}: {word(row.get('Data'))}, which the finding names", severity=HIGH,
                confidence=Confidence.HIGH, technique="T1071", source="13-dns", data={"name": word(row.get("Entry"))[:253]},
            )  # fmt: skip
    for line in texts(host.members.get("45-hosts", b"")):
        fields = line.split("#")[0].split()
        if len(fields) > 1 and _nowhere(fields[0]) and re.search(r"(?i)(windowsupdate|microsoft|amazonaws)\.com", line):
            make.add(
                "hosts",
                "Names of Microsoft or AWS lead nowhere (hosts)",
                severity=MEDIUM,
                technique="T1685",
                source="45-hosts",
                detail=line[:_LONGEST],
            )


def transfers(host: WindowsHost, make: Maker) -> None:
    """BITS jobs: they survive restarts, and fetch what their owner names."""
    for row in _rows(host, "52-bits"):
        said = word(row.get("FileList")) or str(row.get("FileList") or "")[:_LONGEST]
        make.add(
            "bits", f"BITS job of {word(row.get('OwnerAccount')) or 'somebody'}: {word(row.get('DisplayName'))}"[:300],
            severity=LOW if re.search(r"(?i)(microsoft|windowsupdate|google|mozilla)", f"{said}{row.get('DisplayName')}") else MEDIUM,
            technique="T1197", source="52-bits", time=moment(row.get("CreationTime")), detail=said[:_LONGEST],
        )  # fmt: skip


def environment(host: WindowsHost, make: Maker) -> None:
    """Credentials in the machine's environment; their names only."""
    given = dict(line.partition("=")[::2] for line in texts(host.members.get("25-environment", b"")))
    if "AWS_SECRET_ACCESS_KEY" in given:
        make.add(
            "credentials", "AWS credentials are in the machine's environment", severity=LOW, technique="T1552.007", source="25-environment",
            detail=f"access key {given.get('AWS_ACCESS_KEY_ID', 'not said')[:20]}: everything on this host may have read them; rotate them",
        )  # fmt: skip


def sessions(host: WindowsHost, make: Maker) -> None:
    """Who is logged on from elsewhere, as the host says."""
    for row in _rows(host, "26-smb-sessions"):
        who, where = word(row.get("ClientUserName")), word(row.get("ClientComputerName"))
        make.add(
            "smb", f"File sharing session of {who} from {where}"[:300], severity=INFO, technique="T1021.002", source="26-smb-sessions",
            data={"user": who[:200], "remote": where[:200]},
        )  # fmt: skip


def rules(host: WindowsHost, make: Maker, peers: Known) -> Iterable[tuple[str, Callable[[], None]]]:
    """All rules of this file by name, bound to a host."""
    for rule in (services, tasks, subscriptions, run_keys, defender, pipes, transfers, environment, sessions):
        yield rule.__name__, lambda rule=rule: rule(host, make)  # type: ignore[misc]
    yield "names", lambda: names(host, make, peers)


def logons(host: WindowsHost) -> Iterator[tuple[datetime, str]]:
    """When the sessions of people began; those of services and batches are left out."""
    for row in _rows(host, "23-sessions"):
        kind, since = number(row.get("LogonType")), moment(row.get("StartTime"))
        if since is not None and kind in {2, 3, 7, 8, 10}:
            yield (
                since,
                f"Session {word(row.get('LogonId'))[:30]} began ({LOGONS[kind]}, {word(row.get('AuthenticationPackage'))[:30]})",
            )


def _rows(host: WindowsHost, member: str) -> Iterator[Row]:
    return rows(host.members.get(member, b""))


def _nowhere(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
