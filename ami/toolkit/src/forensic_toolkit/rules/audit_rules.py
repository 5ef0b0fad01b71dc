"""Rules on the audit log: executed commands, accounts, switched-off auditing."""

from __future__ import annotations

from collections.abc import Iterator

from forensic_toolkit.readers.audit_log import AuditEvent
from forensic_toolkit.results import Event, Finding, Severity
from forensic_toolkit.rules.command_rules import matches

# Types of records, what they mean, their technique and severity.
_TYPES: dict[str, tuple[str, str, Severity]] = {
    "ADD_USER": ("Account created", "T1136.001", "medium"),
    "DEL_USER": ("Account removed", "T1531", "medium"),
    "ADD_GROUP": ("Group created", "T1136.001", "low"),
    "USER_CHAUTHTOK": ("Password or account changed", "T1098", "low"),
    "ACCT_LOCK": ("Account locked", "T1531", "low"),
    "ACCT_UNLOCK": ("Account unlocked", "T1078.003", "medium"),
    "GRP_MGMT": ("Group changed", "T1098", "low"),
    "CONFIG_CHANGE": ("Audit rules changed", "T1685.004", "low"),
    "DAEMON_ABORT": ("Audit service aborted", "T1685.004", "high"),
    "DAEMON_END": ("Audit service stopped", "T1685.004", "low"),
    "ANOM_PROMISCUOUS": ("Network interface in promiscuous mode", "T1040", "low"),
    "ANOM_ABEND": ("Program crashed", "T1499.004", "info"),
    "KERN_MODULE": ("Kernel module loaded", "T1547.006", "info"),
    "MAC_STATUS": ("SELinux mode changed", "T1685", "medium"),
    "MAC_CONFIG_CHANGE": ("SELinux policy changed", "T1685", "low"),
    "ANOM_ROOT_TRANS": ("A user became root in an unusual way", "T1548", "high"),
}
_UNSET = ("4294967295", "-1", "unset")


def of_event(event: AuditEvent, *, source: str) -> Iterator[Finding | Event]:
    """Findings on one event, and its timeline entry where it tells of a command or an account."""
    command = event.command
    if command:
        by = event.fields.get("auid", "unset")
        person = by not in _UNSET
        extra = {"auid": by, "uid": event.fields.get("uid"), "exe": event.fields.get("exe")}
        yield Event(event.time, f"Executed: {command}", source, "Audit Time", notable=person, extra=extra)
        for rule in matches(command):
            # Services run commands by the thousand: what a person ran counts, and what is grave.
            if person or rule.severity in ("critical", "high"):
                yield Finding(
                    title=f"{rule.name} (audit log)",
                    detail=f"{command} (log-in user {by}, user {event.fields.get('uid', '?')})",
                    severity=rule.severity,
                    confidence="high" if rule.severity == "critical" else "medium",
                    source=source,
                    time=event.time,
                    technique=rule.technique,
                    data={"rule": rule.name, **extra},
                    fold=f"{rule.name} (audit log)" if rule.severity == "info" else None,
                )
    for kind in dict.fromkeys(event.types):
        known = _TYPES.get(kind)
        if known is None:
            continue
        words, technique, severity = known
        who = (
            event.fields.get("acct") or event.fields.get("id") or event.fields.get("name") or event.fields.get("op", "")
        )
        yield Event(event.time, f"{words}: {who}", source, "Audit Time", notable=True)
        yield Finding(
            title=f"{words}: {who}" if who else words,
            detail=event.lines[event.types.index(kind)],
            severity=severity,
            confidence="medium",
            source=source,
            time=event.time,
            technique=technique,
            data={"type": kind, "auid": event.fields.get("auid")},
            kind=words,
            fold=f"{words}: {who}" if severity in ("low", "info") else None,
        )
