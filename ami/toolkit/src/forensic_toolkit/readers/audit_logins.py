"""Log-ins over the network in the kernel's audit log: sshd and PAM write several records about one attempt.

Sources: Linux-PAM's ``pam_audit.c`` (``op=PAM:authentication``, ``op=PAM:session_open``); OpenSSH's ``audit-linux.c`` (``USER_LOGIN``);
and the audit patch of Fedora, RHEL and Amazon Linux (``op=password``, ``op=pubkey_auth``, ``op=success``), which names nobody in the
``USER_LOGIN`` of a log-in that succeeded, but their number, and repeats it for each channel.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from forensic_toolkit.readers.audit_log import AuditEvent
from forensic_toolkit.readers.login_logs import UNKNOWN_USER, Login

_KINDS = frozenset(["USER_AUTH", "USER_LOGIN", "USER_START"])
_ADDRESS = re.compile(r"[0-9a-fA-F.:]*[.:][0-9a-fA-F.:]*")
_ENRICHED_ID = re.compile(r"\x1d.*?\bID=\"([^\"]+)\"")
# What stands where the client's user does not exist.
_NOBODY = frozenset(["", "?", "(unknown user)", "(invalid user)", "(unknown)", "(invalid)"])
_KEYS = frozenset(["pubkey", "pubkey_auth", "key", "hostbased", "hostbased_auth", "gssapi", "none"])
_NO_SESSION = frozenset(["", "-1", "4294967295"])
# Records of one password come at once; those of one connection before sshd gives up, which it does after two minutes.
_ONE_PASSWORD, _ONE_CONNECTION = timedelta(seconds=3), timedelta(minutes=10)
# So long after the last record of a session its number may be that of a session after another boot.
_SAME_SESSION = timedelta(days=1)
# So many records of each outcome are kept, some 50 MB each: auditd's own limit for all its logs is 40 MB unless it is told otherwise.
KEPT, _LINE = 100_000, 400


@dataclass(frozen=True, slots=True)
class _Record:
    time: datetime
    kind: str
    op: str
    user: str
    address: str
    session: str
    good: bool
    line: str


class AuditLogins:
    """Gathers the records of log-ins, in any order; ``names`` are the users of /etc/passwd by number.

    Of very many the first that come are kept; ``dropped`` counts the rest.
    """

    def __init__(self, *, source: str, names: Mapping[str, str]) -> None:
        self._source, self._names = source, names
        self._count = {True: 0, False: 0}
        self.dropped = 0
        self._by_process: dict[str, list[_Record]] = defaultdict(list)

    def add(self, event: AuditEvent) -> None:
        """Keep what an event says about a log-in through sshd."""
        kind = next((kind for kind in event.types if kind in _KINDS), None)
        fields = event.fields
        if kind is None or "sshd" not in fields.get("exe", "sshd"):
            return
        address = next((fields[name] for name in ("addr", "hostname") if _ADDRESS.fullmatch(fields.get(name, ""))), "")
        if not address or address in ("127.0.0.1", "::1"):
            return
        op = fields.get("op", "")
        if kind == "USER_START" and not (event.succeeded and op == "PAM:session_open"):
            return
        self._count[event.succeeded] += 1
        if self._count[event.succeeded] > KEPT:
            self.dropped += 1
            return
        record = _Record(
            event.time,
            kind,
            op,
            self._user(event),
            address,
            fields.get("ses", ""),
            event.succeeded,
            event.lines[0][:_LINE],
        )
        self._by_process[fields.get("pid", "")].append(record)

    def found(self) -> Iterator[Login]:
        """The attempts, failed and accepted, each once."""
        accepted: list[tuple[_Record, str]] = []
        for records in self._by_process.values():
            records.sort(key=lambda record: record.time)
            for connection in _connections(records):
                yield from (self._login(record, how="audit", accepted=False) for record in _failures(connection))
                if (success := _success(connection)) is not None:
                    accepted.append(success)
        yield from (self._login(record, how=how, accepted=True) for record, how in _once_a_session(accepted))

    def _login(self, record: _Record, *, how: str, accepted: bool) -> Login:
        return Login(record.time, accepted, record.user, record.address, how, self._source, record.line)

    def _user(self, event: AuditEvent) -> str:
        named = event.fields.get("acct", "")
        if named not in _NOBODY:
            return named
        number = event.fields.get("id", "")
        if not number.isdigit():
            return UNKNOWN_USER
        enriched = _ENRICHED_ID.search(event.lines[0])
        return enriched[1] if enriched else self._names.get(number, f"user {number}")


def _connections(records: list[_Record]) -> Iterator[list[_Record]]:
    """The records of one process number, those of each connection by themselves."""
    start = 0
    for end in range(1, len(records) + 1):
        if end == len(records) or records[end].time - records[end - 1].time > _ONE_CONNECTION:
            yield records[start:end]
            start = end


def _failures(connection: list[_Record]) -> Iterator[_Record]:
    """A record for each password that was refused; of a connection without one that ended before a log-in, one."""
    failed = [record for record in connection if not record.good]
    named = next((record.user for record in failed if record.user != UNKNOWN_USER), UNKNOWN_USER)
    passwords: list[list[_Record]] = []
    for record in failed:
        if record.kind != "USER_AUTH" or record.op in _KEYS:
            continue
        last = passwords[-1] if passwords else None
        if last is None or record.time - last[0].time > _ONE_PASSWORD or record.op in {item.op for item in last}:
            passwords.append([record])
        else:
            last.append(record)
    # A key that is refused is followed by the next one, or by a password.
    if not passwords and failed and not any(record.good for record in connection):
        passwords.append(failed)
    for same in passwords:
        user = next((record.user for record in same if record.user != UNKNOWN_USER), named)
        yield replace(same[-1], user=user)


def _success(connection: list[_Record]) -> tuple[_Record, str] | None:
    """The record of a log-in that was accepted, at the time when sshd accepted it, and how."""
    good = [record for record in connection if record.good]
    proof = [record for record in good if record.kind != "USER_AUTH" or record.op == "success"]
    if not proof:
        return None
    proven = [record for record in good if record.kind == "USER_AUTH" and record.op != "success"]
    how = "audit"
    if proven:
        how = "publickey" if proven[-1].op in _KEYS else "password"
    user = next((record.user for record in good if not record.user.startswith("user ")), proof[0].user)
    session = next((record.session for record in proof if record.session not in _NO_SESSION), "")
    return replace(proof[0], user=user, session=session), how


def _once_a_session(accepted: list[tuple[_Record, str]]) -> Iterator[tuple[_Record, str]]:
    """Log-ins without what sshd's children say about further channels of the same session."""
    accepted.sort(key=lambda pair: (pair[0].time, pair[1] == "audit"))
    last: dict[tuple[str, str], datetime] = {}
    for record, how in accepted:
        key = record.session, record.address
        known = record.session not in _NO_SESSION and key in last and record.time - last[key] <= _SAME_SESSION
        last[key] = record.time
        if not (known and how == "audit"):
            yield record, how
