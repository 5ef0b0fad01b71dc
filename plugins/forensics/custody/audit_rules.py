"""What an audit compares: the evidence as it is now with what the ledger and the case say of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from forensics.custody.chain import stated_digests
from forensics.models.base import Model, Utc
from forensics.models.custody import AuditedSnapshot


class Difference(Model):
    """Something that is not as it was: where, and what."""

    part: str
    what: str

    def __str__(self) -> str:
        return f"{self.part}: {self.what}"


class AuditedObject(Model):
    """One object of the evidence store as S3 shows it now."""

    uri: str
    key: str
    versions: int
    sha256: str
    size_bytes: int
    mode: str | None
    until: Utc | None
    legal_hold: bool
    hidden: bool = False


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


def object_differences(
    found: Sequence[AuditedObject], *, events: Sequence[Mapping[str, Any]], now: datetime, legal_hold: bool
) -> list[Difference]:
    """Objects that changed, are gone, were replaced or hidden, or have lost their protection."""
    stated = {uri: (sha256, event["seq"]) for event in events for uri, sha256 in stated_digests(dict(event))}
    wrong = []
    for item in found:
        wrong += [Difference(part=item.uri, what=what) for what in _object(item, stated, now=now, hold=legal_hold)]
    there = {item.uri for item in found}
    wrong += [
        Difference(part=uri, what=f"is gone; ledger event {seq} says that it was stored with SHA-256 {sha256}")
        for uri, (sha256, seq) in sorted(stated.items())
        if uri not in there
    ]
    return wrong


def _object(item: AuditedObject, stated: dict[str, tuple[str, int]], *, now: datetime, hold: bool) -> list[str]:
    wrong = []
    if item.uri in stated and stated[item.uri][0] != item.sha256:
        sha256, seq = stated[item.uri]
        wrong.append(f"has SHA-256 {item.sha256}; ledger event {seq} says {sha256}")
    if item.versions > 1:
        wrong.append(f"has {item.versions} versions: somebody wrote over evidence (the first version is still there)")
    if item.hidden:
        wrong.append("is hidden by a delete marker: somebody deleted evidence (its version is still there)")
    if item.mode not in {"GOVERNANCE", "COMPLIANCE"} or item.until is None or item.until <= now:
        wrong.append(f"is not locked (mode {item.mode}, until {item.until})")
    if hold and not item.legal_hold:
        wrong.append("has no legal hold: it was taken away, or the object was stored without one")
    return wrong


def snapshot_differences(
    found: Sequence[AuditedSnapshot], *, recorded: Mapping[str, str], now: datetime
) -> list[Difference]:
    """Snapshots that are gone, unlocked, public, or whose lock ends earlier than recorded (``recorded``: id → ISO time)."""
    wrong = []
    for item in found:
        part = f"snapshot {item.snapshot_id} in account {item.account_id}"
        if item.state is None:
            wrong.append(Difference(part=part, what="is gone"))
            continue
        if item.state == "error":
            wrong.append(Difference(part=part, what="is in state error"))
        if item.public:
            wrong.append(Difference(part=part, what="is public: everybody can read it"))
        if item.lock_state is None or item.until is None or item.until <= now:
            wrong.append(Difference(part=part, what=f"is not locked (state {item.lock_state}, until {item.until})"))
        elif (before := _moment(recorded.get(item.snapshot_id))) and (before - item.until).total_seconds() > 1:
            what = f"its lock ends {item.until.isoformat()}, earlier than the {before.isoformat()} that was recorded"
            wrong.append(Difference(part=part, what=what))
    return wrong


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
