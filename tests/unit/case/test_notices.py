"""One message when a case opens, then digests; what was told is in the case store (moto), so that a retry tells nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.aws import insistence
from forensics.aws.case_store import CaseStore
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.case.notices import SHOWN_LINES, CaseNotices
from forensics.custody.ledger import CustodyLedger
from forensics.errors import ForensicsError, ThrottledError
from forensics.intake.admission import CaseAdmission
from forensics.intake.notice_operators import send_digests
from forensics.models.case import CaseStatus
from forensics.models.finding import CustomAction, Finding, FindingSource, Severity
from forensics.models.notices import CaseLabel
from forensics.naming import NOTICES
from tests.unit.accounts import settings
from tests.unit.builders import CASE_ID, NOW, case, finding, said, target
from tests.unit.moto_store import TABLE
from tests.unit.recorders import FakeRecorder, Mailbox


class Broken(Mailbox):
    """A topic that refuses the next messages."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0

    def publish(self, **message: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ThrottledError("SNS is busy")
        super().publish(**message)


@pytest.fixture
def mailbox() -> Broken:
    return Broken()


def notices(store: CaseStore, mailbox: Broken, *, minutes: int = 60) -> CaseNotices:
    return CaseNotices(store, mailbox, digest_minutes=minutes)


def admission(dynamodb: Any, mailbox: Broken, *, minutes: int = 60) -> CaseAdmission:
    store = CaseStore(dynamodb, table=TABLE)
    key = SigningKeyGateway(None, key_id="none")  # type: ignore[arg-type]
    ledger = CustodyLedger(dynamodb, key=key, store=store, actor="test")
    return CaseAdmission(store=store, ledger=ledger, notifier=mailbox, settings=settings(digest_minutes=minutes))


def opened(store: CaseStore) -> None:
    store.open_case(case(), finding=finding())


def joining(number: int, **changes: Any) -> Finding:
    return finding(
        **{"key": f"finding-{number:016}", "title": f"Port scan {number}", "severity": Severity.MEDIUM, **changes}
    )


def events(mailbox: Broken) -> list[str]:
    return [mail.event for mail in mailbox.mail]


def test_twenty_findings_in_an_hour_are_one_message_and_one_digest(
    store: CaseStore, dynamodb: Any, mailbox: Broken
) -> None:
    door = admission(dynamodb, mailbox)
    admitted = door.admit(finding(), received_at=NOW)
    told = notices(store, mailbox)
    told.tell(admitted.case, "case_opened", "Case opened: C2 traffic")
    for number in range(19):
        for _ in range(2):  # SQS delivers at least once
            assert door.admit(joining(number), received_at=NOW).case.case_id == admitted.case.case_id
    began = datetime.now(UTC)
    for minutes in (0, 5, 55):
        assert send_digests(told, now=began + timedelta(minutes=minutes), failed=[]) == []
    assert events(mailbox) == ["case_opened"]
    assert send_digests(told, now=began + timedelta(minutes=61), failed=[]) == [admitted.case.case_id]
    for minutes in (61, 66, 200):
        assert send_digests(told, now=began + timedelta(minutes=minutes), failed=[]) == []
    assert events(mailbox) == ["case_opened", "digest"]
    digest = mailbox.mail[-1]
    assert "19 findings joined" in digest.subject
    assert sum("Another finding joined: Port scan" in line for line in digest.lines) == 19
    assert (digest.facts["digest"], digest.facts["findings_joined"]) == (["finding_joined"], 19)
    # delivered again after the digest: it was told
    door.admit(joining(3), received_at=NOW)
    assert told.held(admitted.case.case_id) == [] and list(store.items(NOTICES)) == []


def test_forty_posture_findings_of_a_case_that_a_person_opened_are_one_digest(
    store: CaseStore, dynamodb: Any, mailbox: Broken
) -> None:
    """Without a setting the reader opens no case for them (tests/unit/intake/readers); joined to one they are lines."""
    door = admission(dynamodb, mailbox)
    door.admit(finding(), received_at=NOW)
    for number in range(40):
        door.admit(joining(number, posture=True, severity=Severity.HIGH), received_at=NOW)
    assert send_digests(notices(store, mailbox), now=datetime.now(UTC) + timedelta(hours=2), failed=[])
    assert events(mailbox) == ["digest"] and "40 findings joined" in mailbox.mail[0].subject


def test_a_new_height_of_severity_and_a_persons_order_are_told_at_once(dynamodb: Any, mailbox: Broken) -> None:
    door = admission(dynamodb, mailbox)
    door.admit(finding(severity=Severity.MEDIUM), received_at=NOW)
    door.admit(joining(1, severity=Severity.LOW), received_at=NOW)
    for number in range(2, 6):
        door.admit(joining(number, severity=Severity.HIGH), received_at=NOW)
    for number in range(6, 9):
        door.admit(joining(number, severity=Severity.CRITICAL), received_at=NOW)
    order = {"source": FindingSource.SECURITY_HUB_ACTION, "action": CustomAction.FULL, "press": "p1"}
    door.admit(joining(9, **order), received_at=NOW)
    assert events(mailbox) == ["severity_raised", "severity_raised", "finding_joined"]
    assert mailbox.mail[0].subject.startswith("HIGH ") and mailbox.mail[1].subject.startswith("CRITICAL ")
    assert "Severity is CRITICAL now: Port scan 6" in mailbox.mail[1].lines


def test_with_zero_minutes_each_finding_is_a_message(dynamodb: Any, mailbox: Broken) -> None:
    door = admission(dynamodb, mailbox, minutes=0)
    door.admit(finding(), received_at=NOW)
    for number in (1, 2, 2):
        door.admit(joining(number), received_at=NOW)
    assert events(mailbox) == ["finding_joined", "finding_joined"]


def test_a_digest_that_was_not_sent_is_sent_once_by_the_retry(store: CaseStore, mailbox: Broken) -> None:
    opened(store)
    told = notices(store, mailbox)
    told.hold(case(), "memory_acquired", "Memory acquired")
    later = datetime.now(UTC) + timedelta(hours=1, minutes=1)
    mailbox.refusals, failed = 1, list[ForensicsError]()
    assert send_digests(told, now=later, failed=failed) == [] and [str(e) for e in failed] == ["SNS is busy"]
    assert send_digests(told, now=later, failed=failed) == [CASE_ID]
    assert send_digests(told, now=later, failed=failed) == []
    assert events(mailbox) == ["digest"] and mailbox.mail[0].subject == said("1 step done")


def test_what_a_retried_step_holds_again_is_told_once(store: CaseStore, mailbox: Broken) -> None:
    opened(store)
    told = notices(store, mailbox)
    later = datetime.now(UTC) + timedelta(hours=2)
    for _ in range(2):
        assert told.hold(case(), "disks_acquired", "Disks acquired: 2 volumes")
    for number in range(2):
        assert told.hold(case(), "report", f"Report written, with {number} gaps", once=False)
    assert send_digests(told, now=later, failed=[]) == [CASE_ID]
    assert told.hold(case(), "disks_acquired", "Disks acquired: 2 volumes")
    assert send_digests(told, now=later, failed=[]) == []
    (digest,) = mailbox.mail
    said_lines = [line.partition(" ")[2] for line in digest.lines if line[:2].isdigit()]
    assert said_lines == ["Disks acquired: 2 volumes", "Report written, with 1 gaps"]


def test_a_line_that_comes_while_the_digest_is_sent_waits_for_the_next(store: CaseStore, mailbox: Broken) -> None:
    opened(store)
    told = notices(store, mailbox)
    told.hold(case(), "finding_joined:1", "first", finding=True)

    class Meanwhile(Broken):
        def publish(self, **message: Any) -> None:
            told.hold(case(), "finding_joined:2", "second", finding=True)
            mailbox.publish(**message)

    later = datetime.now(UTC) + timedelta(hours=2)
    assert send_digests(notices(store, Meanwhile()), now=later, failed=[]) == [CASE_ID]
    assert [line.line for line in told.held(CASE_ID)] == ["second"]
    assert send_digests(told, now=later + timedelta(hours=1), failed=[]) == [CASE_ID]
    assert ["1 finding joined" in mail.subject for mail in mailbox.mail] == [True, True]


def test_the_message_of_the_end_takes_along_what_waits_and_no_digest_follows(store: CaseStore, mailbox: Broken) -> None:
    opened(store)
    told = notices(store, mailbox)
    told.hold(case(), "report", "Report written")
    told.tell(case(), "case_closed", "Case closed: complete", lines=["Everything was done."], with_held=True)
    store.end_case(CASE_ID, status=CaseStatus.CLOSED, closed_at=NOW)
    assert send_digests(told, now=datetime.now(UTC) + timedelta(hours=2), failed=[]) == []
    (mail,) = mailbox.mail
    assert "Since the last message:" in mail.lines and mail.lines[-1].endswith("Report written")
    assert mail.facts["digest"] == ["report"]


def test_what_comes_after_the_end_does_not_wait(store: CaseStore, mailbox: Broken) -> None:
    opened(store)
    told = notices(store, mailbox)
    told.hold(case(), "finding_joined:1", "late", finding=True)
    store.end_case(CASE_ID, status=CaseStatus.CLOSED, closed_at=NOW)
    assert send_digests(told, now=datetime.now(UTC), failed=[]) == [CASE_ID]


def test_a_case_that_is_gone_stops_no_other(store: CaseStore, mailbox: Broken) -> None:
    told = notices(store, mailbox)
    told.hold(case(case_id="fc-20261124-aaaaaaaaaa"), "e", "of a case that does not exist")
    opened(store)
    told.hold(case(), "e", "line")
    later = datetime.now(UTC) + timedelta(hours=2)
    assert send_digests(told, now=later, failed=[]) == [CASE_ID]
    assert list(store.items(NOTICES)) == []


def test_a_digest_that_nobody_could_read_is_cut(store: CaseStore, mailbox: Broken) -> None:
    opened(store)
    told = notices(store, mailbox)
    for number in range(SHOWN_LINES + 7):
        told.hold(case(), f"finding_joined:{number}", f"line {number}", finding=True)
    assert told.digest(case())
    assert mailbox.mail[0].lines[-1] == "and 7 more: they are on the case's timeline"
    assert f"{SHOWN_LINES + 7} findings joined" in mailbox.mail[0].subject


def test_the_names_of_the_target_come_from_its_description_when_the_opening_could_not_read_them(
    store: CaseStore,
) -> None:
    told = CaseNotices(store, Mailbox())
    assert told.label(CASE_ID) == CaseLabel()
    store.put(CASE_ID, case_keys.LABEL, CaseLabel(account_alias="acme"))
    store.put(CASE_ID, case_keys.TARGET, target(tags={"Name": "web-1"}))
    assert told.label(CASE_ID) == CaseLabel(account_alias="acme", instance_name="web-1")


def test_a_routine_milestone_waits_only_where_digests_are_wanted() -> None:
    recorder = FakeRecorder()
    recorder.announce("report", "Report written", routine=True, once=False)
    assert recorder.subjects == [said("Report written")]
    recorder.notices = CaseNotices(recorder.store, recorder.mailbox, digest_minutes=60)
    recorder.announce("report", "Report written", routine=True, once=False)
    recorder.announce("contained", "Target isolated")
    assert recorder.subjects[1:] == [said("Target isolated")]
    assert [line.event for line in recorder.notices.held(CASE_ID)] == ["report"]


def test_a_message_of_its_own_leaves_the_lines_that_wait_their_mark(store: CaseStore, mailbox: Broken) -> None:
    """Found by tests/crash: the mark was taken away and put back, and a worker that died in between stranded the lines."""
    opened(store)
    told = notices(store, mailbox)
    told.hold(case(), "a", "something ended well")
    before = list(store.items(NOTICES, case_keys.DIGEST))
    told.tell(case(), "b", "something to act on")
    assert list(store.items(NOTICES, case_keys.DIGEST)) == before
    assert send_digests(told, now=datetime.now(UTC) + timedelta(hours=2), failed=[]) == [CASE_ID]
    assert list(store.items(NOTICES, case_keys.DIGEST)) == []


@pytest.mark.parametrize("kind", [case_keys.NOTICE, case_keys.HELD])
def test_a_store_that_is_busy_after_the_message_makes_nobody_read_it_twice(
    store: CaseStore, mailbox: Broken, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Found by ``make intake-check``, seed 16381: SNS had the message, DynamoDB throttled the mark, the finding came again."""
    opened(store)
    pauses: list[float] = []
    monkeypatch.setattr(insistence.time, "sleep", pauses.append)
    refusals = iter([True, True])
    for name in ("put_once", "remove"):
        write = getattr(CaseStore, name)

        def busy(self: CaseStore, case_id: str, sk: str, *more: Any, write: Any = write) -> Any:
            if sk.startswith(kind) and mailbox.mail and next(refusals, False):
                raise ThrottledError("DynamoDB is busy")
            return write(self, case_id, sk, *more)

        monkeypatch.setattr(CaseStore, name, busy)
    told = notices(store, mailbox)
    told.hold(case(), "step_done", "memory was acquired")
    for _ in range(2):
        told.tell(case(), "case_isolated", "Isolated", with_held=True)
        told.digest(case())
    assert len(mailbox.mail) == 1 and pauses == [0.5, 1.0]
