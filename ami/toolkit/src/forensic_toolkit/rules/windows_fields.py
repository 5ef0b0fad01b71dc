"""Fields that an event has only inside of a text: the commands of PowerShell in all forms in which they are logged, SQL Server's audit.

Sources: about_Logging_Windows and about_EventLogs (PowerShell: 4103, 4104; 400, 600, 800 of the classic log), the audit record of
SQL Server (sys.fn_get_audit_file) as it is written to the Application or Security log (33205).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

Record = dict[str, Any]
COMMAND, MARK = "PowerShellCommand", "Mark"
_PIPELINE, _SCRIPT, _CLASSIC = 4103, 4104, frozenset({400, 403, 600, 800})
# Events that hold a command line in which PowerShell may be started, and the field that holds it.
_LINES = {1: "CommandLine", 4688: "CommandLine", 7045: "ImagePath", 4697: "ServiceFileName"}
_PIECE = re.compile(r"^(?=(?:CommandInvocation|ParameterBinding)\()", re.MULTILINE)
_CALL = re.compile(r"CommandInvocation\(([^)\n]{1,200})\)")
_GIVEN = re.compile(r'ParameterBinding\([^)\n]{1,200}\):\s*name="([^"\n]{1,200})"; value="(.*?)"?\s*\Z', re.DOTALL)
_ENCODED = re.compile(r"[-/\u2013\u2014\u2015]e(?:c|n[a-z]*)?[\s:\"']+([A-Za-z0-9+/]{12,}={0,2})", re.IGNORECASE)
# How names of real services end.
_OF_WORDS = re.compile(
    r"(svc|service|services|agent|server|driver|drv|host|mgr|manager|client|provider|updater|monitor|helper)$",
    re.IGNORECASE,
)
_TRUTH = {"True": "$true", "False": "$false"}
_AUDIT = re.compile(
    r"^(action_id|class_type|succeeded|server_principal_name|target_server_principal_name|object_name|database_name|statement):"
    r"(.*?)(?=^[a-z_]+:|\Z)",
    re.MULTILINE | re.DOTALL,
)


def with_inner(record: Record) -> Record:
    """A record with what its texts hold as fields of its own."""
    number = record.get("EventID")
    if number == 33205 and "action_id" not in record:
        return {**audit(str(record.get("Data") or "")), **record}
    if text := command(record):
        record = {**record, COMMAND: text}
    if found := mark(record):
        record = {**record, MARK: found}
    return record


def mark(record: Record) -> str:
    """What several fields of an event say together, in words that rules ask for; empty for most events."""
    number, channel = record.get("EventID"), record.get("Channel")
    if channel == "System" or number == 4697:
        name = str(record.get("ServiceName") or record.get("param2" if number == 7009 else "param1") or "")
        return "name of chance" if by_chance(name) else ""
    if channel != "Security":
        return ""
    subject = str(record.get("SubjectUserSid") or "")
    if number in (4728, 4732, 4756) and subject and subject == record.get("MemberSid"):
        return "own membership"
    if number == 4723 and subject.startswith("S-1-5-21-") and subject != record.get("TargetSid"):
        return "" if str(record.get("SubjectUserName")).endswith("$") else "password of another"
    if number == 4742 and record.get("SubjectUserName") == "ANONYMOUS LOGON":
        # Machines change their own passwords so; only the controller's own account is not changed through itself.
        own = str(record.get("Computer") or "").split(".", 1)[0].lower()
        return "controller by nobody" if own and str(record.get("TargetUserName") or "").lower() == f"{own}$" else ""
    if number == 4769:
        user, _, realm = str(record.get("TargetUserName") or "").partition("@")
        if f"{user}$".lower() == str(record.get("ServiceName") or "").lower():
            return "machine without dollar"
        return "realm in lower case" if "." in realm and realm != realm.upper() else ""
    return ""


def by_chance(name: str) -> bool:
    """Whether a name looks drawn by lot, as tools name their services: letters only, capitals and small ones mixed without words."""
    if not re.fullmatch(r"[A-Za-z]{12,32}", name) or _OF_WORDS.search(name):
        return False
    capitals = sum(letter.isupper() for letter in name) / len(name)
    words = max(map(len, re.findall(r"[a-z]+", name)), default=0)
    return 0.3 <= capitals <= 0.8 and words <= 4 and len(re.findall(r"[a-z][A-Z]", name)) >= 3


def command(record: Record) -> str:
    """What PowerShell was told, whichever event says it; empty where none is said. Encoded commands are there in both forms."""
    number, channel = record.get("EventID"), str(record.get("Channel"))
    text = ""
    if number == _SCRIPT:
        text = str(record.get("ScriptBlockText") or "")
    elif number == _PIPELINE:
        text = pipeline(str(record.get("Payload") or ""))
    elif number in _CLASSIC and channel == "Windows PowerShell":
        text = str(record.get("HostApplication") or "")
        if number == 800:
            text = "\n".join((str(record.get("CommandLine") or ""), pipeline(str(record.get("Data") or ""))))
    elif number in _LINES:
        line = str(record.get(_LINES[int(number)]) or "")
        text = line if re.search(r"powershell|pwsh|%comspec%", line, re.IGNORECASE) else ""
    return (text + decoded(text)).strip()


def pipeline(details: str) -> str:
    """The details of a pipeline as one would type them: a line for each command with the parameters that it was given."""
    lines: list[str] = []
    for piece in _PIECE.split(details):
        if call := _CALL.match(piece):
            lines.append(call[1])
        elif (given := _GIVEN.match(piece)) and lines:
            lines[-1] += f" -{given[1]} {_TRUTH.get(given[2], given[2])}"
    return "\n".join(lines)


def decoded(text: str) -> str:
    """The commands that a command line gives encoded (UTF-16 in base64), each on a line of its own."""
    found = ""
    for match in _ENCODED.finditer(text):
        code = match[1].rstrip("=")
        try:
            raw = base64.b64decode(code + "=" * (-len(code) % 4))
        except (binascii.Error, ValueError):
            continue
        if raw[1::2].count(0) * 4 > len(raw):  # what is not UTF-16 is no encoded command
            found += "\n" + raw.decode("utf-16-le", "replace")
    return found


def audit(text: str) -> Record:
    """The fields of an audit record of SQL Server that rules ask for; what a statement pretends to be a field is none."""
    found: Record = {}
    for name, value in _AUDIT.findall(text):
        found.setdefault(name, value.strip())
    return found
