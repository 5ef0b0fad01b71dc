"""One audit of one case: everything is looked at, every difference is collected, none ends it early."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.custody.audit import CaseAudit
from forensics.custody.audit_rules import AuditReport
from forensics.errors import ResourceGoneError
from forensics.models.custody import AuditedSnapshot, CustodyAction
from forensics.models.evidence import DiskEvidence, DiskOrigin, Outcome
from tests.unit.builders import CASE_ID, NOW
from tests.unit.custody.archive import ArchiveInMemory
from tests.unit.recorders import LedgerInMemory, StoreInMemory
from tests.unit.signing import signing_key

DISK = DiskEvidence(
    evidence_id="disk-vol-1",
    outcome=Outcome.ACQUIRED,
    origin=DiskOrigin(
        snapshot_id="snap-1", copy_id="snap-2", copy_region="eu-west-1", key_ids={"copy": "key-eu-west-1"}
    ),
    lock={"copy": {"until": (NOW + timedelta(days=36_500)).isoformat()}},
)


class Snapshots:
    """EC2 of one account."""

    def __init__(self, account: str, region: str, *, key: str = "") -> None:
        self.where = (account, region)
        self.key = key or f"key-{region}"

    def audited(self, snapshot_id: str) -> AuditedSnapshot:
        """A locked snapshot."""
        return AuditedSnapshot(
            snapshot_id=snapshot_id, account_id=f"{self.where[0]} {self.where[1]}", state="completed",
            lock_state="compliance", until=NOW + timedelta(days=36_500), key_id=self.key,
        )  # fmt: skip


class Case:
    """A case with one stored object that its ledger speaks of."""

    def __init__(self) -> None:
        self.store = StoreInMemory()
        self.ledger = LedgerInMemory(self.store)
        self.ledger.key = signing_key()
        self.archive = ArchiveInMemory()
        self.progress: list[str] = []
        self.accounts: list[tuple[str, str]] = []
        self.key = ""
        self.uri = self.archive.put(f"cases/{CASE_ID}/evidence/a", b"abc")
        self.ledger.append(
            CASE_ID,
            CustodyAction.EVIDENCE_ACQUIRED,
            detail={"uri": self.uri, "sha256": hashlib.sha256(b"abc").hexdigest()},
        )
        self.store.put_once(CASE_ID, case_keys.LEDGER_HEAD, {"seq": 1, "digest": self.ledger.head(CASE_ID)[1]})

    def audit(self, *, only: set[str] | None = None) -> AuditReport:
        """Audit it now."""

        def account(name: str, region: str) -> Any:
            self.accounts.append((name, region))
            return Snapshots(name, region, key=self.key)

        return CaseAudit(
            CASE_ID, ledger=self.ledger, archive=self.archive, accounts=account, legal_hold=True,
            only=only, progress=self.progress.append,
        ).run([DISK])  # fmt: skip


def test_a_case_that_is_as_it_was_has_no_difference() -> None:
    case = Case()
    report = case.audit()
    assert report.differences == ()
    assert (report.events, report.objects, report.size_bytes, report.snapshots, report.heads) == (1, 1, 3, 2, 0)
    assert case.accounts == [("target", ""), ("forensic", "eu-west-1")], "each snapshot is asked for where it lies"
    assert case.progress == [f"object 1 of 1: {case.uri}, 3 bytes", "snapshot snap-1", "snapshot snap-2"]


def test_a_copy_under_another_key_is_found() -> None:
    case = Case()
    case.key = "key-of-somebody-else"
    (found,) = case.audit().differences
    assert "snap-2" in found.part and "not under key-eu-west-1 as was recorded" in found.what


def test_only_what_is_asked_for_is_read_and_everything_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    key = f"cases/{CASE_ID}/evidence/b"
    case.archive.put(key, b"changed, and not read today")
    case.archive.hidden.add(key)
    monkeypatch.setattr(case.archive, "sha256", lambda version, **_: pytest.fail(f"{version.uri} was read"))
    report = case.audit(only=set())
    assert (report.objects, report.read, report.read_bytes) == (2, 0, 0)
    assert [d.what.split(":")[0] for d in report.differences] == ["is hidden by a delete marker"]


def test_all_differences_are_collected() -> None:
    case = Case()
    case.archive.put(f"cases/{CASE_ID}/evidence/a", b"other")
    case.archive.unlocked.add(f"cases/{CASE_ID}/evidence/a")
    case.archive.hidden.add(f"cases/{CASE_ID}/evidence/a")
    key = f"{case_keys.CUSTODY_EVENT}{1:08d}"
    case.store.held[CASE_ID, key] = {**case.store.held[CASE_ID, key], "actor": "somebody else"}
    found = [str(d) for d in case.audit().differences]
    assert any("event 1 was changed after it was written" in f for f in found)
    for words in ("has 2 versions", "is hidden by a delete marker", "is not locked", "has no legal hold"):
        assert any(words in f for f in found), words


def test_what_aws_does_not_answer_ends_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()

    def gone(prefix: str) -> None:
        raise ResourceGoneError("the bucket is gone")

    monkeypatch.setattr(case.archive, "versions", gone)
    with pytest.raises(ResourceGoneError):
        case.audit()
