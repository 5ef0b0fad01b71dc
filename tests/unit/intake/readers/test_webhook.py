"""A signed webhook as the queue delivers it: what it states, and what is refused for its form."""

from __future__ import annotations

import base64
import json

import pytest

from forensics.models.artifact import artifact_of
from forensics.models.finding import FindingSource, Severity
from forensics.models.intake import IntakeVerdict
from tests.unit.intake.readers.events import only
from tests.webhooks import BODY, KEY_ID, posted, signature


def _event(body: bytes | None = None, **changes):
    text = body if body is not None else json.dumps({**BODY, **changes}).encode()
    return posted(text, key_id=KEY_ID, signed=signature(text, at=1_791_188_100))


def test_a_webhook_in_full(event, read):
    result = read(event("webhook_edr"))
    finding = only(result)
    assert (finding.source, finding.severity, finding.product) == (
        FindingSource.WEBHOOK,
        Severity.HIGH,
        "webhook/edr",
    )
    assert (finding.account_id, finding.region, finding.instance_id) == (
        BODY["account_id"],
        BODY["region"],
        BODY["instance_id"],
    )
    assert (finding.finding_id, finding.title, finding.reason) == (
        "webhook/edr/EDR-4711",
        BODY["title"],
        BODY["description"],
    )
    assert (finding.peers, finding.domains) == (("203.0.113.9",), ("c2.example.org",)), "a private address is no peer"
    assert result.signed.key_id == KEY_ID and base64.b64decode(result.signed.body) == json.dumps(BODY).encode()
    assert finding.webhook is None, "nobody has checked its signature yet"


def test_the_same_alert_id_of_two_senders_is_two_findings(read):
    body = json.dumps(BODY).encode()
    keys = [only(read(posted(body, key_id=k, signed=signature(body, at=1)))).key for k in ("edr.1", "cnapp.1")]
    assert len(set(keys)) == 2


def test_an_alert_that_is_sent_again_is_the_same_finding(read):
    keys = {only(read(_event(title=title, severity=s))).key for title, s in (("a", "LOW"), ("b", "CRITICAL"))}
    assert len(keys) == 1


def test_text_is_made_harmless(read):
    finding = only(read(_event(title="\u202eevil\x1b[2J\nx", description="{{ 7*7 }}\x00" + "d" * 5000)))
    assert finding.title == "evil[2J x"
    assert finding.reason.startswith("{{ 7*7 }}d") and len(finding.reason) == 1000


def test_a_severity_that_is_left_out_is_said_to_be_unread(read):
    body = json.dumps({k: v for k, v in BODY.items() if k != "severity"}).encode()
    finding = only(read(_event(body)))
    assert (finding.severity, finding.severity_unread) == (Severity.MEDIUM, True)


def test_a_snapshot_may_be_named(read):
    snapshot = "snap-0123456789abcdef0"
    assert only(read(_event(instance_id=snapshot))).artifact == artifact_of(snapshot)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schema": "forensics.webhook/2"}, "schema"),
        ({"account_id": "٣٣٣٣٤٤٤٤٥٥٥٥"}, "account_id"),
        ({"region": "mars-1"}, "Region"),
        ({"instance_id": "i-1; rm -rf /"}, "instance_id"),
        ({"severity": "high"}, "severity"),
        ({"id": ""}, "id"),
        ({"id": "a\nb"}, "finding id"),
        ({"actions": ["isolate"]}, "actions"),
        ({"title": None}, "title"),
        ({"account_id": "3" * 12, "account": "4" * 12}, "account"),
    ],
)
def test_a_body_of_another_form_is_quarantined_and_the_field_named(read, changes, named):
    result = read(_event(**changes))
    assert (result.verdict, result.findings) == (IntakeVerdict.QUARANTINE, ())
    assert named in result.reason


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("key", "edr", "key id"),
        ("key", "EDR.1", "key id"),
        ("key", "edr.1\r\nX-Forged: 1", "key id"),
        ("signature", "sha256=abc", "v1="),
        ("signature", "t=1,v1=" + "a" * 64 + ",v1=" + "b" * 64, "v1="),
        ("body", "[]", "not a JSON object"),
        ("body", '{"schema": "forensics.webhook/1", "schema": "x"}', "occurs twice"),
        ("body", "x" * (128 * 1024 + 1), "bytes"),
    ],
)
def test_a_message_of_another_form_is_quarantined(read, name, value, named):
    made = _event()
    made["detail"][name] = base64.b64encode(value.encode()).decode()
    result = read(made)
    assert result.verdict is IntakeVerdict.QUARANTINE and named in result.reason


def test_what_is_not_base64_and_not_utf8_is_quarantined(read):
    made = _event()
    made["detail"]["body"] = "%%%"
    assert "not base64" in read(made).reason
    assert "not UTF-8" in read(_event(b"\xff\xfe")).reason
    assert read(_event() | {"detail-type": "GuardDuty Finding"}).verdict is IntakeVerdict.QUARANTINE


def test_a_message_cannot_bring_its_proof_along(read):
    proof = {"key_id": KEY_ID, "signed_at": "2026-10-05T08:15:00Z", "body_sha256": "0" * 64}
    assert "webhook" in read(_event(webhook=proof)).reason
    made = _event()
    made["detail"]["webhook"] = made["webhook"] = proof
    assert only(read(made)).webhook is None
