"""Digests and reminders on the lab: DynamoDB, SQS and SNS over HTTP, and the task of ``forensic_pulse`` as Airflow runs it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics import case_keys
from forensics.aws.hook import ForensicsHook
from forensics.case.waiting import all_waiting
from forensics.errors import ForensicsError
from forensics.intake.admission import CaseAdmission
from forensics.intake.notice_operators import SendNoticesOperator
from forensics.models.finding import FindingSource, Severity
from forensics.models.notices import DigestDue, Waiting
from forensics.naming import NOTICES
from tests.gateways import case_store, recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage
from tests.unit.builders import finding


def _send() -> Any:
    return perform(SendNoticesOperator(task_id="send_notices"))


def _events(lab: SmallLab) -> list[str]:
    return [mail["attributes"]["event"] for mail in lab.mail()]


def _an_hour_later(case_id: str) -> None:
    """The digest's mark is older than the setting."""
    due = DigestDue(since=datetime.now(UTC) - timedelta(minutes=61))
    case_store().put(NOTICES, f"{case_keys.DIGEST}{case_id}", due)


def test_a_case_with_nineteen_more_findings_is_one_message_and_one_digest(lab: SmallLab) -> None:
    case_id = open_case(lab)
    triage(case_id)
    case = recorder_of(case_id).case
    hook = ForensicsHook()
    door = CaseAdmission.of(hook.own(), hook.settings)
    for number in range(19):
        more = finding(
            key=f"{number:016}",
            source=FindingSource.SECURITY_HUB,
            severity=Severity.HIGH,
            account_id=case.account_id,
            region=case.region,
            instance_id=case.instance_id,
        )
        assert door.admit(more, received_at=datetime.now(UTC)).case.case_id == case_id
    told = _events(lab)
    assert told[0] == "case_opened" and "finding_joined" not in told
    assert _send() == {"digests": [], "reminders": []}
    assert _events(lab) == told
    _an_hour_later(case_id)
    assert _send() == {"digests": [case_id], "reminders": []}
    for _ in range(2):  # the task again, as a retry or five minutes later
        assert _send() == {"digests": [], "reminders": []}
    assert _events(lab) == [*told, "digest"]
    digest = lab.mail()[-1]
    assert (
        "19 findings joined" in digest["subject"]
        and digest["message"].count("another finding joined".capitalize()) == 19
    )


def test_quarantined_messages_are_a_reminder_until_they_are_gone(lab: SmallLab) -> None:
    url, sqs = ForensicsHook().settings.dead_letter_queue_url, lab.client("sqs")
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    assert _send()["reminders"] == []
    (waiting,) = all_waiting(case_store())
    earlier = waiting.model_copy(update={"since": waiting.since - timedelta(hours=25)})
    case_store().put(NOTICES, f"{case_keys.WAITING}quarantine#{waiting.name}", Waiting.model_validate(earlier))
    for expected in (["1 message waits in the dead-letter queue"], []):
        assert _send()["reminders"] == expected
    assert [mail["subject"] for mail in lab.mail()] == ["Forensic reminder: 1 message waits in the dead-letter queue"]
    received = sqs.receive_message(QueueUrl=url)["Messages"][0]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
    assert _send() == {"digests": [], "reminders": []} and list(all_waiting(case_store())) == []


def test_what_could_not_be_sent_fails_the_task_and_is_sent_by_its_retry(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = open_case(lab)
    assert recorder_of(case_id).notices.hold(recorder_of(case_id).case, "report", "Report written")
    _an_hour_later(case_id)
    topic = ForensicsHook().settings.topic_arn
    lab.client("sns").delete_topic(TopicArn=topic)
    with pytest.raises((ForensicsError, AirflowFailException), match="1 of the due messages could not be sent"):
        _send()
    lab.client("sns").create_topic(Name=topic.rpartition(":")[2])
    assert _send()["digests"] == [case_id] and _send()["digests"] == []
    assert _events(lab).count("digest") == 1
