"""A Windows server on which nothing else happened, with plants, as the contents of an NTFS volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from lab.tools.windows import server
from lab.tools.windows.evtx import Event, log
from lab.tools.windows.prefetch import scca
from lab.tools.windows.regf import Key
from tests.toolkit.techniques import windows
from tests.toolkit.techniques.plants import Plant
from tests.toolkit.techniques.windows import POWERSHELL, SECURITY, SYSMON, SYSTEM

_LOGS = "windows/system32/winevt/logs"
_PROVIDERS = {SECURITY: "Microsoft-Windows-Security-Auditing", SYSTEM: "Service Control Manager"}
_SYS = "C:\\Windows\\System32\\"


def contents(plants: Iterable[Plant]) -> tuple[dict[str, bytes], dict[str, datetime]]:
    """The files by path, and the creation times of those that an intruder made."""
    events = _routine()
    run, run_written = {"SecurityHealth": r"%windir%\system32\SecurityHealthSystray.exe"}, Key().written
    services = {
        "AmazonSSMAgent": Key(
            {"ImagePath": '"C:\\Program Files\\Amazon\\SSM\\amazon-ssm-agent.exe"', "Start": 2, "Type": 16}
        )
    }
    listed: dict[str, datetime] = {"C:\\Program Files\\Amazon\\SSM\\amazon-ssm-agent.exe": Key().written}
    files: dict[str, bytes] = {"windows/system32/ntdll.dll": b"MZ" + bytes(510)}
    created: dict[str, datetime] = {}
    for plant in plants:
        for trace in plant.technique.traces:
            fill, moment = plant.filled, plant.moment
            if isinstance(trace, windows.Recorded):
                events.append(_event(trace, plant))
            elif isinstance(trace, windows.Autorun):
                run, run_written = {**run, fill(trace.name): fill(trace.command)}, moment
            elif isinstance(trace, windows.Service):
                services[fill(trace.name)] = Key(
                    {"ImagePath": fill(trace.command), "Start": 2, "Type": 16}, written=moment
                )
            elif isinstance(trace, windows.Listed):
                listed[fill(trace.path)] = moment
            elif isinstance(trace, windows.Ran):
                files |= _prefetch(fill(trace.path), moment)
            elif isinstance(trace, windows.Stored):
                files[fill(trace.path)], created[fill(trace.path)] = fill(trace.content).encode(), moment
    ordinary = {
        f"C:\\Windows\\System32\\{name}.exe": Key().written for name in ("svchost", "mmc", "taskhostw", "notepad")
    }
    files |= server.hives(run=Key(run, written=run_written), services=services, files=listed, cached=ordinary)
    by_channel: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.time):
        by_channel[event.channel].append(event)
    files |= {f"{_LOGS}/{channel.replace('/', '%4')}.evtx": log(said) for channel, said in by_channel.items()}
    return files, created


def _event(trace: windows.Recorded, plant: Plant) -> Event:
    moment = plant.moment + timedelta(seconds=trace.after)
    data = {name: plant.filled(text).replace("{{", "{").replace("}}", "}") for name, text in trace.data.items()}
    if "UtcTime" in data:
        data["UtcTime"] = f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    provider = _PROVIDERS.get(trace.channel, trace.channel.rsplit("/", 1)[0])
    if trace.channel == SECURITY and trace.id == 1102:
        provider = "Microsoft-Windows-Eventlog"
    return Event(trace.id, trace.channel, provider, moment, data)


def _prefetch(path: str, moment: datetime) -> dict[str, bytes]:
    name = path.rsplit("\\", 1)[-1].upper()
    loaded = ["\\DEVICE\\HARDDISKVOLUME1" + path[2:].upper(), r"\DEVICE\HARDDISKVOLUME1\WINDOWS\SYSTEM32\NTDLL.DLL"]
    return {f"windows/prefetch/{name}-1A2B3C4D.pf": scca(name, run=moment, count=2, files=loaded)}


def _routine() -> list[Event]:
    """What a server logs on a quiet day: services, log-ons of the system and of its administrator, updates, management agents."""
    day, found = datetime(2026, 11, 20, 3, 0, tzinfo=UTC), []

    def said(channel: str, number: int, minute: int, **data: str) -> None:
        provider = _PROVIDERS.get(channel, channel.rsplit("/", 1)[0])
        found.append(Event(number, channel, provider, day + timedelta(minutes=minute), data))

    for hour in range(8):
        at = 60 * hour
        said(SECURITY, 4624, at, TargetUserName="SYSTEM", LogonType="5", IpAddress="-", LogonProcessName="Advapi")
        said(SECURITY, 4672, at, SubjectUserName="SYSTEM", PrivilegeList="SeSecurityPrivilege")
        said(SECURITY, 4688, at + 1, SubjectUserName="EC2AMAZ-LAB01$", NewProcessName=_SYS + "svchost.exe",
             CommandLine=_SYS + "svchost.exe -k netsvcs -p -s Schedule", ParentProcessName=_SYS + "services.exe")  # fmt: skip
        said(
            SYSMON,
            1,
            at + 2,
            Image=_SYS + "taskhostw.exe",
            CommandLine="taskhostw.exe",
            ParentImage=_SYS + "svchost.exe",
            User="NT AUTHORITY\\SYSTEM",
        )
        said(SYSMON, 1, at + 3, Image="C:\\Program Files\\Amazon\\SSM\\ssm-agent-worker.exe", CommandLine='"C:\\Program Files\\Amazon\\SSM\\ssm-agent-worker.exe"',
             ParentImage="C:\\Program Files\\Amazon\\SSM\\amazon-ssm-agent.exe", User="NT AUTHORITY\\SYSTEM")  # fmt: skip
        said(
            SYSMON,
            3,
            at + 4,
            Image="C:\\Program Files\\Amazon\\SSM\\ssm-agent-worker.exe",
            DestinationIp="10.0.0.12",
            DestinationPort="443",
            Initiated="true",
        )
        said(
            SYSMON,
            11,
            at + 5,
            Image=_SYS + "svchost.exe",
            TargetFilename="C:\\Windows\\SoftwareDistribution\\DataStore\\Logs\\edb.log",
        )
        said(
            SYSMON,
            13,
            at + 6,
            EventType="SetValue",
            Image=_SYS + "svchost.exe",
            TargetObject="HKLM\\System\\CurrentControlSet\\Services\\W32Time\\Config\\LastKnownGoodTime",
            Details="QWORD",
        )
        said(SYSTEM, 7036, at + 7, param1="Windows Update", param2="running")
        said(
            POWERSHELL,
            4104,
            at + 8,
            ScriptBlockText="Get-Service -Name AmazonSSMAgent | Select-Object Status, StartType",
        )
    said(
        SECURITY,
        4624,
        70,
        TargetUserName="Administrator",
        LogonType="10",
        IpAddress="10.0.0.9",
        AuthenticationPackageName="Negotiate",
    )
    said(
        SYSTEM,
        7045,
        75,
        ServiceName="AmazonSSMAgent",
        ImagePath='"C:\\Program Files\\Amazon\\SSM\\amazon-ssm-agent.exe"',
        StartType="auto start",
        AccountName="LocalSystem",
    )
    said(
        SYSMON,
        1,
        80,
        Image=_SYS + "mmc.exe",
        CommandLine='"C:\\Windows\\system32\\mmc.exe" eventvwr.msc',
        ParentImage="C:\\Windows\\explorer.exe",
        User="EC2AMAZ-LAB01\\Administrator",
    )
    said(
        SYSMON,
        1,
        90,
        Image=_SYS + "ipconfig.exe",
        CommandLine="ipconfig",
        ParentImage=_SYS + "cmd.exe",
        User="EC2AMAZ-LAB01\\Administrator",
    )
    return found
