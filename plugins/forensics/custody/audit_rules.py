"""What an audit compares: the evidence as it is now with what the ledger and the case say of it. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from forensics.custody import signatures
from forensics.custody.audit_plan import Coverage
from forensics.custody.chain import stated_digests
from forensics.models.base import Model, Utc
from forensics.models.custody import AuditedSnapshot, SignedHead, SigningKey


class Difference(Model):
    """One thing that is not as it was recorded: where, and what."""

    part: str
    what: str

    def __str__(self) -> str:
        return f"{self.part}: {self.what}"


class AuditedObject(Model):
    """One object of the evidence store as S3 shows it now; when it was not ``read``, its digest and lock are not known."""

    uri: str
    key: str
    versions: int
    size_bytes: int
    sha256: str = ""
    mode: str | None = None
    until: Utc | None = None
    legal_hold: bool = False
    hidden: bool = False
    read: bool = True


class AuditReport(Model):
    """The outcome of one audit of one case."""

    case_id: str
    at: Utc
    events: int
    heads: int
    objects: int
    size_bytes: int
    snapshots: int
    differences: tuple[Difference, ...] = ()
    run_id: str = ""
    read: int = 0
    read_bytes: int = 0
    requests: int = 0
    coverage: Coverage = Coverage()


def object_differences(
    found: Sequence[AuditedObject],
    *,
    events: Sequence[Mapping[str, object]],
    now: datetime,
    legal_hold: bool,
    kept_until: datetime | None = None,
) -> list[Difference]:
    """Objects that changed, are gone, were replaced or hidden, or have lost their protection.

    ``kept_until`` is the end of a closed case's retention; what ends earlier was shortened, after it nothing need be locked.
    """
    stated = {uri: (sha256, str(event["seq"])) for event in events for uri, sha256 in stated_digests(dict(event))}
    wrong = []
    for item in found:
        wrong += [Difference(part=item.uri, what=what) for what in _object(item, stated, hold=legal_hold)]
        wrong += [Difference(part=item.uri, what=what) for what in _lock(item, now=now, kept_until=kept_until)]
    there = {item.uri for item in found}
    wrong += [
        Difference(part=uri, what=f"is gone; ledger event {seq} says that it was stored with SHA-256 {sha256}")
        for uri, (sha256, seq) in sorted(stated.items())
        if uri not in there
    ]
    return wrong


def _object(item: AuditedObject, stated: dict[str, tuple[str, str]], *, hold: bool) -> list[str]:
    wrong = []
    if item.read and item.uri in stated and stated[item.uri][0] != item.sha256:
        sha256, seq = stated[item.uri]
        wrong.append(f"has SHA-256 {item.sha256}; ledger event {seq} says {sha256}")
    if item.versions > 1:
        wrong.append(f"has {item.versions} versions: somebody wrote over evidence (the first version is still there)")
    if item.hidden:
        wrong.append("is hidden by a delete marker: somebody deleted evidence (its version is still there)")
    if item.read and hold and not item.legal_hold:
        wrong.append("has no legal hold: it was removed, or the object was stored without one")
    return wrong


def _lock(item: AuditedObject, *, now: datetime, kept_until: datetime | None) -> list[str]:
    if not item.read or (kept_until is not None and kept_until <= now):
        return []
    if item.mode not in {"GOVERNANCE", "COMPLIANCE"} or item.until is None or item.until <= now:
        return [f"is not locked (mode {item.mode}, until {item.until})"]
    if kept_until is not None and item.until < kept_until:
        return [
            f"is locked until {item.until.isoformat()}, not until {kept_until.isoformat()} as the case's retention says"
        ]
    return []


def head_differences(heads: Sequence[SignedHead], *, key: SigningKey, stored: Collection[str]) -> list[Difference]:
    """Signed heads whose signature is wrong, or whose locked object is not among the ``stored`` URIs."""
    wrong = []
    for head in heads:
        part = f"signed head {head.seq} ({head.phase})"
        der = base64.b64decode(head.public_key_der)
        if head.key_arn == key.arn and der != key.der:
            wrong.append(Difference(part=part, what=f"was not signed with the key {key.arn}"))
        elif not signatures.fits(head.statement.encode(), signature=head.signature, public_key_der=der):
            wrong.append(Difference(part=part, what="its signature does not fit its statement"))
        statement = json.loads(head.statement)
        if (statement.get("seq"), statement.get("head")) != (head.seq, head.head):
            wrong.append(Difference(part=part, what="its statement names another head"))
        if head.uri not in stored:
            wrong.append(Difference(part=part, what=f"its locked object {head.uri} is gone"))
    return wrong


def snapshot_differences(
    found: Sequence[AuditedSnapshot],
    *,
    recorded: Mapping[str, str],
    now: datetime,
    kept_until: datetime | None = None,
    keys: Mapping[str, str] | None = None,
) -> list[Difference]:
    """Snapshots that are gone, unlocked, public, or whose lock ends earlier than recorded (``recorded``: id → ISO time).

    ``keys``: id → KMS key that EC2 named when the snapshot was recorded. Who holds another key could read it, or withhold it.

    After ``kept_until`` the retention of the case has ended: they may be unlocked, and deleted.
    """
    wrong = []
    over = kept_until is not None and kept_until <= now
    for item in found:
        part = f"snapshot {item.snapshot_id} in account {item.account_id}"
        if over and item.state is None:
            continue
        if item.state is None:
            wrong.append(Difference(part=part, what="is gone"))
            continue
        if item.state == "error":
            wrong.append(Difference(part=part, what="is in state error"))
        if item.public:
            wrong.append(Difference(part=part, what="is public: everybody can read it"))
        if (key := (keys or {}).get(item.snapshot_id)) and item.key_id != key:
            now_under = item.key_id or "no key"
            wrong.append(Difference(part=part, what=f"is encrypted under {now_under}, not under {key} as was recorded"))
        if over:
            continue
        if item.lock_state is None or item.until is None or item.until <= now:
            wrong.append(Difference(part=part, what=f"is not locked (state {item.lock_state}, until {item.until})"))
        elif (before := _moment(recorded.get(item.snapshot_id))) and (before - item.until).total_seconds() > 1:
            what = f"its lock ends {item.until.isoformat()}, earlier than the {before.isoformat()} that was recorded"
            wrong.append(Difference(part=part, what=what))
    return wrong


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
