"""Which events make a series, by whom, and how many in what time are more than a day's work.

Sources: the events' own pages (Microsoft: Advanced security audit policy settings), [MS-ERREF] for the codes, SQL Server's errors 18456 and
18453, sshd's messages. Numbers are above what an administrator or an application with an old password does by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from forensic_toolkit.results import Severity
from forensic_toolkit.rules import windows_fields
from forensic_toolkit.rules.windows_sources import SECURITY, SERVICES, SYSMON

Record = dict[str, Any]
_MINUTES = timedelta(minutes=10)


class Part(NamedTuple):
    """One event of a series: by whom it is counted, what it concerns, and whether it is the success after failures."""

    who: str
    what: str = ""
    succeeded: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """A kind of series; ``distinct`` counts different things instead of events, ``order`` wants one thing followed by another."""

    title: str
    kind: str
    technique: str
    severity: Severity
    source: str
    events: tuple[int, ...]
    of: Callable[[Record], Part | None]
    least: int = 5
    window: timedelta = _MINUTES
    distinct: bool = False
    order: tuple[str, str] | None = None


def _text(record: Record, name: str) -> str:
    return str(record.get(name) or "").strip()


def _address(record: Record, name: str = "IpAddress") -> str:
    """An address, without the port and IPv6's prefix for IPv4; empty for a dash, a name or this host."""
    text = _text(record, name).removeprefix("::ffff:")
    if match := re.fullmatch(
        r"\[?([0-9A-Fa-f:.]+?)\]?(?::\d+)?", text if text.count(":") <= 1 or "[" in text else f"[{text}]"
    ):
        return "" if match[1] in ("::1", "127.0.0.1") else match[1]
    return ""


def _person(record: Record, name: str = "SubjectUserName") -> str:
    """A name that is not a computer's; those are the system's own work."""
    text = _text(record, name)
    return "" if text.split("@", 1)[0].endswith("$") or text in ("-", "SYSTEM", "ANONYMOUS LOGON") else text


def _security(record: Record) -> bool:
    return record.get("Channel") == SECURITY


def _logons(record: Record) -> Part | None:
    if not (address := _text(record, "IpAddress")) or not re.search(r"[0-9a-fA-F]", address):
        return None
    return Part(address, _text(record, "TargetUserName"), record.get("EventID") == 4624)


def _names_tried(record: Record) -> Part | None:
    """Failed log-ons, by the address or the work station that they came from."""
    number, status = record.get("EventID"), _text(record, "Status").lower()
    wanted = {4771: ("0x18",), 4768: ("0x6",)}.get(int(number or 0))
    if not _security(record) or (number == 4776 and status == "0x0") or (wanted and status not in wanted):
        return None
    who = _address(record) or _text(record, "WorkstationName") or _text(record, "Workstation")
    name = _text(record, "TargetUserName").lower()
    return Part(who, name) if who.strip("-") and name and not name.endswith("$") else None


def _kerberos_guesses(record: Record) -> Part | None:
    who = _address(record)
    failed = record.get("EventID") == 4771 and _text(record, "Status").lower() == "0x18"
    return Part(who, _text(record, "TargetUserName")) if _security(record) and who and failed else None


def _ntlm_guesses(record: Record) -> Part | None:
    who, status = _text(record, "Workstation"), _text(record, "Status").lower()
    wanted = status in ("0xc000006a", "0xc0000064", "0xc0000234")
    return Part(who, _text(record, "TargetUserName")) if _security(record) and who and wanted else None


def _unknown_names(record: Record) -> Part | None:
    who, unknown = _address(record), _text(record, "Status").lower() == "0x6"
    return Part(who, _text(record, "TargetUserName").lower()) if _security(record) and who and unknown else None


def _sql(record: Record) -> Part | None:
    number, data = record.get("EventID"), _text(record, "Data")
    if not _text(record, "Provider_Name").startswith("MSSQL"):
        return None
    if number == 33205:
        fields = windows_fields.audit(data)
        if fields.get("action_id") not in ("LGIF", "LGIS"):
            return None
        match = re.search(r"<address>([^<]{2,60})</address>", data)
        name, succeeded = fields.get("server_principal_name") or "", fields.get("action_id") == "LGIS"
    else:
        match, name, succeeded = re.search(r"\[CLIENT: ([^\]]{2,60})\]", data), data.split("\n", 1)[0], number != 18456
    who = match[1] if match else "an unknown address"
    return Part("this host" if "local machine" in who else who, name, succeeded)


_SSH = re.compile(
    r"^(?P<how>Failed|Accepted) \w+ for (?:invalid user )?(?P<name>.{0,100}) from (?P<who>[0-9A-Fa-f:.]+) port \d+",
    re.DOTALL,
)


def _ssh(record: Record) -> Part | None:
    match = _SSH.match(_text(record, "payload")) if record.get("Channel") in SERVICES["openssh"] else None
    return Part(match["who"], match["name"], match["how"] == "Accepted") if match else None


def _remote_desktop(record: Record) -> Part | None:
    if record.get("Channel") not in SERVICES["rdpcorets"]:
        return None
    who = _address(record, "ClientIP") or _address(record, "IPString")
    return Part(who) if who else None


def _tickets(hosts: bool) -> Callable[[Record], Part | None]:
    def of(record: Record) -> Part | None:
        who, service = _person(record, "TargetUserName"), _text(record, "ServiceName").lower()
        if not _security(record) or not who or not service or service == "krbtgt" or service.endswith("$") != hosts:
            return None
        return Part(who, service) if _text(record, "Status").lower() in ("", "0x0") else None

    return of


def _directory_reads(schema_class: str) -> Callable[[Record], Part | None]:
    def of(record: Record) -> Part | None:
        who = _person(record) if schema_class in _text(record, "ObjectType") else ""
        return Part(who, _text(record, "ObjectName")) if _security(record) and who else None

    return of


def _by_person(*names: str) -> Callable[[Record], Part | None]:
    """A change that somebody made, and to what."""

    def of(record: Record) -> Part | None:
        who = _person(record) if _security(record) else ""
        return Part(who, " ".join(_text(record, name) for name in names)) if who else None

    return of


def _secrets(record: Record) -> Part | None:
    who = f"{_text(record, 'SubjectUserName')}, process {_text(record, 'ClientProcessId')}"
    return Part(who, _text(record, "TargetName")) if _security(record) else None


def _shares(record: Record) -> Part | None:
    who, share = _address(record), _text(record, "ShareName").lower()
    return Part(who, share) if _security(record) and who and not share.endswith("\\ipc$") else None


def _names_of_sid(record: Record) -> Part | None:
    """Names under which one account of a domain logged on by Kerberos; the directory has one name for one SID."""
    sid, name = _text(record, "TargetUserSid"), _text(record, "TargetUserName").split("@", 1)[0].lower()
    if (
        not _security(record)
        or _text(record, "AuthenticationPackageName") != "Kerberos"
        or not sid.startswith("S-1-5-21-")
    ):
        return None
    return Part(sid, name) if name else None


def _locked(record: Record) -> Part | None:
    return Part(_text(record, "TargetDomainName") or "an unknown host", _text(record, "TargetUserName"))


# Programs that tell about the host, its users and the network.
_LOOKS = frozenset(
    {
        "whoami",
        "hostname",
        "systeminfo",
        "tasklist",
        "ipconfig",
        "arp",
        "route",
        "netstat",
        "nltest",
        "quser",
        "qwinsta",
        "net",
        "net1",
        "nbtstat",
        "dsquery",
        "gpresult",
        "klist",
        "cmdkey",
        "driverquery",
        "nslookup",
        "qprocess",
        "query",
        "tracert",
        "setspn",
        "csvde",
        "ldifde",
        "adfind",
    }
)


_STOP = re.compile(
    r"\b(?:net1?|sc)(?:\.exe)?\"?\s+stop\s+(?P<what>\"[^\"]{1,80}\"|\S{1,80})|taskkill(?:\.exe)?\"?\s.{0,40}/im\s+(?P<program>\S{1,80})",
    re.IGNORECASE,
)


def _looks(record: Record) -> Part | None:
    if record.get("Channel") not in (SECURITY, SYSMON):
        return None
    image = _text(record, "NewProcessName" if _security(record) else "Image").replace("/", "\\")
    program = image.rsplit("\\", 1)[-1].lower().removesuffix(".exe")
    who = _person(record) if _security(record) else _text(record, "User")
    if program not in _LOOKS or not who or who.upper().startswith("NT AUTHORITY"):
        return None
    return Part(who, "net" if program == "net1" else program)


def _stopped(record: Record) -> Part | None:
    """Services and programs that commands stop, by who gives them."""
    if record.get("Channel") not in (SECURITY, SYSMON):
        return None
    match = _STOP.search(_text(record, "CommandLine"))
    who = _text(record, "SubjectUserName") if _security(record) else _text(record, "User")
    return Part(who, (match["what"] or match["program"]).strip('"').lower()) if match and who else None


def _made_and_removed(made: int, *names: str) -> Callable[[Record], Part | None]:
    def of(record: Record) -> Part | None:
        who = " ".join(_text(record, name) for name in names)
        if not _security(record) or not who.strip() or who.startswith("\\Microsoft\\"):
            return None
        return Part(who, "made" if record.get("EventID") == made else "removed")

    return of


def _pair(title: str, technique: str, made: int, removed: int, *names: str, hours: float = 1) -> Series:
    return Series(f"{title}: {{}}", title, technique, "medium", SECURITY, (made, removed), _made_and_removed(made, *names),
                  window=timedelta(hours=hours), order=("made", "removed"))  # fmt: skip


_RDP = SERVICES["rdpcorets"][0]
SERIES: tuple[Series, ...] = (
    Series("Passwords guessed from {}", "Passwords guessed", "T1110", "medium", SECURITY, (4624, 4625), _logons),
    Series("Many accounts tried from {}", "Passwords sprayed", "T1110.003", "medium", SECURITY, (4625, 4768, 4771, 4776), _names_tried,
           distinct=True),
    Series("Passwords guessed at the controller from {}", "Passwords guessed (Kerberos)", "T1110.001", "medium", SECURITY, (4771,),
           _kerberos_guesses),
    Series("Passwords guessed at the controller by {}", "Passwords guessed (NTLM)", "T1110.001", "medium", SECURITY, (4776,),
           _ntlm_guesses),
    Series("Names of accounts tried at the controller from {}", "Account names tried", "T1087.002", "medium", SECURITY, (4768,),
           _unknown_names, distinct=True),
    Series("Passwords of SQL Server guessed from {}", "Passwords guessed (SQL Server)", "T1110.001", "medium", "Application",
           (18453, 18454, 18456, 33205), _sql),
    Series("Passwords of the SSH server guessed from {}", "Passwords guessed (SSH)", "T1110.001", "medium", SERVICES["openssh"][0], (4,),
           _ssh),
    Series("Remote desktop opened again and again from {}", "Remote desktop tried in series", "T1110", "medium", _RDP, (131,),
           _remote_desktop, least=10),
    Series("Passwords guessed over remote desktop from {}", "Passwords guessed (remote desktop)", "T1110", "medium", _RDP, (140,),
           _remote_desktop),
    Series("Accounts locked out in series ({})", "Accounts locked out in series", "T1110.003", "medium", SECURITY, (4740,), _locked,
           distinct=True),
    Series("Tickets for many services asked for by {}", "Tickets for many services", "T1558.003", "medium", SECURITY, (4769,),
           _tickets(hosts=False), distinct=True, window=timedelta(minutes=5)),
    Series("Tickets for many hosts asked for by {}", "Tickets for many hosts", "T1018", "low", SECURITY, (4769,), _tickets(hosts=True),
           least=8, distinct=True, window=timedelta(minutes=5)),
    # Classes of the directory's schema by their schemaIDGUID: group, user, computer.
    Series("Many groups of the directory read by {}", "Groups read in series", "T1069.002", "low", SECURITY, (4662,),
           _directory_reads("bf967a9c-0de6-11d0-a285-00aa003049e2"), least=10, distinct=True),
    Series("Many accounts of the directory read by {}", "Accounts read in series", "T1087.002", "low", SECURITY, (4662,),
           _directory_reads("bf967aba-0de6-11d0-a285-00aa003049e2"), least=10, distinct=True),
    Series("Many computers of the directory read by {}", "Computers read in series", "T1018", "low", SECURITY, (4662,),
           _directory_reads("bf967a86-0de6-11d0-a285-00aa003049e2"), least=10, distinct=True),
    Series("Members of groups changed in series by {}", "Groups changed in series", "T1098.007", "low", SECURITY,
           (4728, 4729, 4732, 4733, 4756, 4757), _by_person("TargetUserName", "MemberSid"), distinct=True),
    Series("Passwords of many accounts set by {}", "Passwords set in series", "T1531", "medium", SECURITY, (4724,),
           _by_person("TargetUserName"), distinct=True),
    Series("Many accounts deleted or switched off by {}", "Accounts deleted in series", "T1531", "medium", SECURITY, (4725, 4726),
           _by_person("TargetUserName"), distinct=True),
    Series("Stored log-ins read in series by {}", "Stored log-ins read in series", "T1555.004", "low", SECURITY, (5379,), _secrets,
           least=8, distinct=True, window=timedelta(minutes=1)),
    Series("Many shares opened from {}", "Shares opened in series", "T1135", "low", SECURITY, (5140, 5145), _shares, least=6,
           distinct=True, window=timedelta(minutes=2)),
    Series("Host and network explored by commands: {}", "Explored by commands", "T1082", "medium", SECURITY, (1, 4688), _looks, least=6,
           distinct=True),
    Series("Services and programs stopped in series by {}", "Services stopped in series", "T1489", "high", SECURITY, (1, 4688), _stopped,
           least=8, distinct=True, window=timedelta(minutes=5)),
    Series("One account logged on under several names (forged ticket): {}", "Account under several names", "T1558.001", "high", SECURITY,
           (4624,), _names_of_sid, least=2, distinct=True, window=timedelta(hours=12)),
    _pair("Account made and soon deleted", "T1136", 4720, 4726, "TargetUserName", hours=24),
    _pair("Computer account made and soon deleted", "T1136.002", 4741, 4743, "TargetUserName"),
    _pair("Scheduled task made and soon removed", "T1053.005", 4698, 4699, "TaskName", hours=0.25),
    _pair("Member put into a group and soon taken out", "T1098.007", 4732, 4733, "TargetUserName", "MemberSid"),
    _pair("Member put into a global group and soon taken out", "T1098.007", 4728, 4729, "TargetUserName", "MemberSid"),
    _pair("Member put into a universal group and soon taken out", "T1098.007", 4756, 4757, "TargetUserName", "MemberSid"),
)  # fmt: skip
BY_EVENT: dict[int, tuple[int, ...]] = {
    event: tuple(number for number, series in enumerate(SERIES) if event in series.events)
    for event in {event for series in SERIES for event in series.events}
}
