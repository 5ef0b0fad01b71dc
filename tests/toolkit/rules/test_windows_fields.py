"""What texts of events hold: PowerShell's commands in every form, SQL Server's audit, marks from several fields."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from forensic_toolkit.rules import windows_fields, windows_sources

POWERSHELL = "Microsoft-Windows-PowerShell/Operational"
BOUND = (
    'CommandInvocation(Set-MpPreference): "Set-MpPreference"\r\n'
    'ParameterBinding(Set-MpPreference): name="DisableRealtimeMonitoring"; value="True"\r\n'
    'CommandInvocation(Out-Null): "Out-Null"\r\n'
)
TYPED = "Set-MpPreference -DisableRealtimeMonitoring $true"
ENCODED = base64.b64encode(TYPED.encode("utf-16-le")).decode()


@pytest.mark.parametrize(
    "event",
    [
        {"Channel": POWERSHELL, "EventID": 4104, "ScriptBlockText": TYPED},
        {"Channel": POWERSHELL, "EventID": 4103, "Payload": BOUND},
        {"Channel": "Windows PowerShell", "EventID": 800, "Data": f"x\nDetailSequence=1\n{BOUND}", "CommandLine": "f1"},
        {"Channel": "Windows PowerShell", "EventID": 400, "HostApplication": f"powershell.exe {TYPED}"},
        {"Channel": "Windows PowerShell", "EventID": 600, "HostApplication": f"powershell -enc {ENCODED}"},
        {"Channel": windows_sources.SYSMON, "EventID": 1, "CommandLine": f"powershell -nop -EncodedCommand {ENCODED}"},
        {"Channel": windows_sources.SECURITY, "EventID": 4688, "CommandLine": f"cmd /c pwsh.exe -ec {ENCODED}"},
        {"Channel": "System", "EventID": 7045, "ImagePath": f"%COMSPEC% /c powershell -e {ENCODED}"},
        {"Channel": windows_sources.SECURITY, "EventID": 4697, "ServiceFileName": f"powershell {TYPED}"},
    ],
    ids=lambda event: str(event["EventID"]),
)
def test_a_command_reads_the_same_in_every_event_that_logs_it(event: dict[str, Any]) -> None:
    assert TYPED in windows_sources.normalised(event)[windows_fields.COMMAND]
    assert windows_sources.holds("powershell_command", "", channel=event["Channel"], event_id=event["EventID"])


@pytest.mark.parametrize(
    "event",
    [
        {"Channel": windows_sources.SYSMON, "EventID": 1, "CommandLine": "notepad.exe a.txt"},
        {"Channel": "Application", "EventID": 800, "HostApplication": "powershell"},
        {"Channel": POWERSHELL, "EventID": 40961},
    ],
)
def test_other_events_hold_no_command(event: dict[str, Any]) -> None:
    assert windows_fields.COMMAND not in windows_sources.normalised(event)


def test_a_value_may_have_several_lines_and_quotes() -> None:
    details = (
        'CommandInvocation(Add-Content): "Add-Content"\r\n'
        'ParameterBinding(Add-Content): name="Path"; value="C:\\a"\r\n'
        'ParameterBinding(Add-Content): name="Value"; value="one "two"\r\nthree"\r\n'
    )
    assert windows_fields.pipeline(details) == 'Add-Content -Path C:\\a -Value one "two"\r\nthree'


def test_what_is_not_utf_16_is_no_encoded_command() -> None:
    assert windows_fields.decoded("-e " + base64.b64encode(b"plain text, no command").decode()) == ""
    assert windows_fields.decoded("-e =====not-base64") == ""


def test_the_audit_of_sql_server_is_read_and_a_statement_forges_no_field() -> None:
    text = (
        "audit_schema_version:1\nevent_time:2026-11-21 02:00:00.0\naction_id:AL  \nsucceeded:true\nclass_type:SA\n"
        "server_principal_name:CORP\\eve\nobject_name:Watch\n"
        "statement:ALTER SERVER AUDIT SPECIFICATION [Watch]\nWITH (STATE = OFF)\naction_id:LGIS\nadditional_information:\n"
    )
    fields = windows_fields.audit(text)
    assert (fields["action_id"], fields["class_type"], fields["object_name"]) == ("AL", "SA", "Watch")
    assert fields["statement"].endswith("WITH (STATE = OFF)")
    read = windows_sources.normalised({"Channel": "Application", "EventID": 33205, "Data": text})
    assert read["server_principal_name"] == "CORP\\eve"


_EVE = "S-1-5-21-1-2-3-1105"


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"EventID": 4728, "SubjectUserSid": _EVE, "MemberSid": _EVE}, "own membership"),
        ({"EventID": 4728, "SubjectUserSid": _EVE, "MemberSid": "S-1-5-21-1-2-3-1106"}, ""),
        ({"EventID": 4723, "SubjectUserSid": _EVE, "TargetSid": "S-1-5-21-1-2-3-500"}, "password of another"),
        ({"EventID": 4723, "SubjectUserSid": _EVE, "TargetSid": _EVE}, ""),
        ({"EventID": 4723, "SubjectUserSid": "S-1-5-7", "TargetSid": _EVE}, ""),
        (
            {
                "EventID": 4742,
                "SubjectUserName": "ANONYMOUS LOGON",
                "TargetUserName": "DC1$",
                "Computer": "dc1.corp.example",
            },
            "controller by nobody",
        ),
        (
            {
                "EventID": 4742,
                "SubjectUserName": "ANONYMOUS LOGON",
                "TargetUserName": "WS7$",
                "Computer": "dc1.corp.example",
            },
            "",
        ),
        ({"EventID": 4769, "TargetUserName": "eve@corp.example", "ServiceName": "FS$"}, "realm in lower case"),
        ({"EventID": 4769, "TargetUserName": "eve@CORP.EXAMPLE", "ServiceName": "FS$"}, ""),
        ({"EventID": 4769, "TargetUserName": "DC1@CORP.EXAMPLE", "ServiceName": "DC1$"}, "machine without dollar"),
        ({"EventID": 4769, "TargetUserName": "DC1$@CORP.EXAMPLE", "ServiceName": "DC1$"}, ""),
        ({"Channel": "System", "EventID": 7045, "ServiceName": "qWxTbLkRmZpVaNdQ"}, "name of chance"),
        ({"Channel": "System", "EventID": 7009, "param1": "30000", "param2": "JkUrMwqLzTbNxHcv"}, "name of chance"),
    ],
)
def test_marks_say_what_several_fields_say_together(event: dict[str, Any], said: str) -> None:
    assert windows_fields.mark({"Channel": windows_sources.SECURITY, **event}) == said


@pytest.mark.parametrize(
    "name",
    [
        "AmazonSSMAgent",
        "WinHttpAutoProxySvc",
        "MSSQLFDLauncher",
        "RpcEptMapper",
        "NetTcpPortSharing",
        "TrustedInstaller",
        "gupdate",
        "LSM",
        "VMwareTools",
        "MicrosoftEdgeElevationService",
        "CDPUserSvc_3a1b2",
        "SQLTELEMETRY",
        "WdiServiceHost",
        "AppIDSvc",
        "DsSvc",
        "Ec2Launch",
        "PlugPlay",
        "SysmonDrv",
        "SQLSERVERAGENT",
        "MSDTC",
        "ClickToRunSvc",
        "GoogleChromeElevationService",
        "BthAvctpSvc",
        "KtmRm",
        "NgcCtnrSvc",
    ],
)
def test_names_of_windows_services_are_not_taken_for_chance(name: str) -> None:
    assert not windows_fields.by_chance(name)
