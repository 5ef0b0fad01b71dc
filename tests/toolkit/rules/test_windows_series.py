"""Series of events on Windows: each kind fires on its series, and not on what is spread out, by computers, or too little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensic_toolkit.results import Finding, Results
from forensic_toolkit.rules import windows_series, windows_sources
from forensic_toolkit.rules.windows_series_kinds import SERIES

Record = dict[str, Any]
START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
SECURITY, SYSMON = windows_sources.SECURITY, windows_sources.SYSMON
RDP, SSH = windows_sources.SERVICES["rdpcorets"][0], windows_sources.SERVICES["openssh"][0]
BAD = "203.0.113.66"


def security(number: int, **fields: Any) -> Record:
    """An event of the Security log."""
    return {"Channel": SECURITY, "EventID": number, **fields}


def sql(name: str, action: str = "LGIF") -> Record:
    """A record of SQL Server's audit about a log-in."""
    said = f"action_id:{action}\nserver_principal_name:{name}\nadditional_information:<address>{BAD}</address>\n"
    return {"Channel": "Application", "EventID": 33205, "Provider_Name": "MSSQLSERVER", "Data": said}


def ssh(payload: str) -> Record:
    """What the SSH server said."""
    return {"Channel": SSH, "EventID": 4, "process": "sshd", "payload": payload}


def found(records: list[Record], *, seconds: float = 5) -> list[Finding]:
    """The findings of records that are so many seconds apart, read the newest first as logs are."""
    watch = windows_series.Watch()
    for number, record in reversed(list(enumerate(records))):
        watch.seen({"ts": (START + timedelta(seconds=number * seconds)).isoformat(), **record})
    return list(watch.findings())


NAMES = [f"user{number}" for number in range(12)]
KINDS: dict[str, list[Record]] = {
    "Passwords guessed": [security(4625, IpAddress=BAD, TargetUserName="a")] * 5,
    "Passwords sprayed": [
        security(4625, IpAddress=BAD, Status="0xc000006d", TargetUserName=name) for name in NAMES[:5]
    ],
    "Passwords guessed (Kerberos)": [security(4771, IpAddress=f"::ffff:{BAD}", Status="0x18", TargetUserName="a")] * 5,
    "Passwords guessed (NTLM)": [security(4776, Workstation="WS7", Status="0xc000006a", TargetUserName="a")] * 5,
    "Account names tried": [security(4768, IpAddress=BAD, Status="0x6", TargetUserName=name) for name in NAMES[:5]],
    "Passwords guessed (SQL Server)": [sql("sa")] * 5,
    "Passwords guessed (SSH)": [ssh(f"Failed password for invalid user oracle from {BAD} port 50000 ssh2")] * 5,
    "Remote desktop tried in series": [{"Channel": RDP, "EventID": 131, "ClientIP": f"{BAD}:50000"}] * 10,
    "Passwords guessed (remote desktop)": [{"Channel": RDP, "EventID": 140, "IPString": BAD}] * 5,
    "Accounts locked out in series": [
        security(4740, TargetDomainName="WS7", TargetUserName=name) for name in NAMES[:5]
    ],
    "Tickets for many services": [
        security(4769, TargetUserName="eve@CORP.EXAMPLE", ServiceName=f"svc-{name}", Status="0x0") for name in NAMES[:5]
    ],
    "Tickets for many hosts": [
        security(4769, TargetUserName="eve@CORP.EXAMPLE", ServiceName=f"{name}$", Status="0x0") for name in NAMES[:8]
    ],
    "Groups read in series": [
        security(4662, SubjectUserName="eve", ObjectType="%{bf967a9c-0de6-11d0-a285-00aa003049e2}", ObjectName=name)
        for name in NAMES
    ],
    "Accounts read in series": [
        security(4662, SubjectUserName="eve", ObjectType="%{bf967aba-0de6-11d0-a285-00aa003049e2}", ObjectName=name)
        for name in NAMES
    ],
    "Computers read in series": [
        security(4662, SubjectUserName="eve", ObjectType="%{bf967a86-0de6-11d0-a285-00aa003049e2}", ObjectName=name)
        for name in NAMES
    ],
    "Groups changed in series": [security(4728, SubjectUserName="eve", TargetUserName=name) for name in NAMES[:5]],
    "Passwords set in series": [security(4724, SubjectUserName="eve", TargetUserName=name) for name in NAMES[:5]],
    "Accounts deleted in series": [security(4726, SubjectUserName="eve", TargetUserName=name) for name in NAMES[:5]],
    "Stored log-ins read in series": [
        security(5379, SubjectUserName="eve", ClientProcessId="7", TargetName=name) for name in NAMES[:8]
    ],
    "Shares opened in series": [security(5140, IpAddress=BAD, ShareName=f"\\\\*\\{name}") for name in NAMES[:6]],
    "Explored by commands": [
        {"Channel": SYSMON, "EventID": 1, "User": "CORP\\eve", "Image": f"C:\\Windows\\System32\\{name}.exe"}
        for name in ("whoami", "ipconfig", "net", "tasklist", "systeminfo", "nltest")
    ],
    "Services stopped in series": [
        security(4688, SubjectUserName="eve", CommandLine=f"net stop {name}") for name in NAMES[:8]
    ],
    "Account under several names": [
        security(4624, AuthenticationPackageName="Kerberos", TargetUserSid="S-1-5-21-1-2-3-500", TargetUserName=name)
        for name in ("Administrator", "ghost")
    ],
    "Account made and soon deleted": [security(4720, TargetUserName="h"), security(4726, TargetUserName="h")],
    "Computer account made and soon deleted": [
        security(4741, TargetUserName="H$"),
        security(4743, TargetUserName="H$"),
    ],
    "Scheduled task made and soon removed": [security(4698, TaskName="\\qWx"), security(4699, TaskName="\\qWx")],
    "Member put into a group and soon taken out": [
        security(4732, TargetUserName="Administrators", MemberSid="S-1-5-21-1-2-3-1105"),
        security(4733, TargetUserName="Administrators", MemberSid="S-1-5-21-1-2-3-1105"),
    ],
    "Member put into a global group and soon taken out": [
        security(4728, TargetUserName="Printers", MemberSid="S-1-5-21-1-2-3-1105"),
        security(4729, TargetUserName="Printers", MemberSid="S-1-5-21-1-2-3-1105"),
    ],
    "Member put into a universal group and soon taken out": [
        security(4756, TargetUserName="News", MemberSid="S-1-5-21-1-2-3-1105"),
        security(4757, TargetUserName="News", MemberSid="S-1-5-21-1-2-3-1105"),
    ],
}


def test_there_is_an_example_of_every_kind() -> None:
    assert set(KINDS) == {series.kind for series in SERIES}


@pytest.mark.parametrize("kind", KINDS)
def test_a_series_is_found_with_its_technique_and_first_time(kind: str) -> None:
    wanted = next(series for series in SERIES if series.kind == kind)
    said = [item for item in found(KINDS[kind]) if item.kind == kind]
    assert [(item.technique, item.severity, item.time) for item in said] == [(wanted.technique, wanted.severity, START)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_spread_over_days_is_no_series(kind: str) -> None:
    assert [item.kind for item in found(KINDS[kind], seconds=90_000)] == []


@pytest.mark.parametrize("kind", [series.kind for series in SERIES if series.order])
def test_what_is_removed_and_made_again_is_no_pair(kind: str) -> None:
    assert [item.kind for item in found(KINDS[kind][::-1]) if item.kind == kind] == []


@pytest.mark.parametrize("kind", [series.kind for series in SERIES if not series.order])
def test_one_less_is_no_series(kind: str) -> None:
    assert [item.kind for item in found(KINDS[kind][: next(s for s in SERIES if s.kind == kind).least - 1])] == []


def test_the_same_again_is_not_many_different_ones() -> None:
    again = [security(4728, SubjectUserName="eve", TargetUserName="Printers", MemberSid="S-1-5-21-1-2-3-7")] * 9
    assert found(again) == []


def test_computers_and_this_host_are_no_sources() -> None:
    assert found([security(4769, TargetUserName="SCCM1$@CORP", ServiceName=f"svc-{name}") for name in NAMES]) == []
    assert found([security(4771, IpAddress="::1", Status="0x18", TargetUserName="a")] * 9) == []
    assert found([security(4625, IpAddress="-", TargetUserName="a", Status="0xc000006d")] * 9) == []
    scheduled = [security(4698, TaskName="\\Microsoft\\Windows\\U"), security(4699, TaskName="\\Microsoft\\Windows\\U")]
    assert found(scheduled) == []


def test_a_success_after_failures_is_critical_and_one_before_them_is_not() -> None:
    failed, worked = (
        [security(4625, IpAddress=BAD, TargetUserName="a")] * 5,
        security(4624, IpAddress=BAD, TargetUserName="a"),
    )
    assert [(item.title, item.severity) for item in found([*failed, worked])] == [
        (f"Passwords guessed from {BAD}, and one succeeded", "critical")
    ]
    assert [item.severity for item in found([worked, *failed])] == ["medium"]
    accepted = ssh(f"Accepted password for a from {BAD} port 50001 ssh2")
    assert [item.severity for item in found([*KINDS["Passwords guessed (SSH)"], accepted])] == ["critical"]
    assert [item.severity for item in found([*KINDS["Passwords guessed (SQL Server)"], sql("sa", "LGIS")])] == [
        "critical"
    ]


def test_a_user_name_accuses_nobody_else() -> None:
    forged = ssh(f"Failed password for invalid user x from 192.0.2.9 port 22 ssh2 from {BAD} port 50000 ssh2")
    assert [item.data["source"] for item in found([forged] * 5)] == [BAD]


def test_what_is_left_out_of_a_very_long_series_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_series, "MAX_KEPT", 6)
    results, watch = Results("fc-20260101-0123456789", "disk-1", "disk", started=START), windows_series.Watch()
    for number in range(10):
        watch.seen(
            security(4625, IpAddress=BAD, TargetUserName="a", ts=(START + timedelta(seconds=number)).isoformat())
        )
    assert [item.data["events"] for item in watch.findings(results=results)] == [6]
    assert [what for what, _ in results.gaps] == ["series of events"]
