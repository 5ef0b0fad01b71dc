"""A person's signed request as an event."""

from __future__ import annotations

import pytest

from forensics.models.artifact import artifact_of
from forensics.models.finding import FindingSource
from forensics.models.intake import IntakeVerdict
from tests.unit.intake.readers.events import only


def test_manual_request_in_full(event, read):
    finding = only(read(event("manual_request")))
    assert finding.source is FindingSource.MANUAL
    assert (finding.requester, finding.reason) == (
        "alice@example.com",
        "Unusual outbound traffic, ticket 4711",
    )
    assert finding.requested == {"memory": True, "disk": True, "isolate": False}


def test_manual_list_declines_what_it_leaves_out(event, read):
    body = event("manual_request")
    body["detail"]["actions"] = ["memory"]
    assert only(read(body)).requested == {"memory": True, "disk": False, "isolate": False}
    del body["detail"]["actions"]
    assert only(read(body)).requested is None


@pytest.mark.parametrize(
    ("field", "value"), [("reason", " "), ("requester", None), ("instance_id", "web-1"), ("tenant", "x")]
)
def test_manual_request_must_be_complete(event, read, field, value):
    body = event("manual_request")
    body["detail"][field] = value
    intake = read(body)
    assert intake.verdict is IntakeVerdict.QUARANTINE
    assert field in intake.reason


def test_a_snapshot_is_asked_for_as_an_instance_is(event, read):
    body = event("manual_request")
    body["detail"]["instance_id"] = "snap-0123456789abcdef0"
    finding = only(read(body))
    assert finding.artifact == artifact_of("snap-0123456789abcdef0")
    assert '"instance_id":"snap-0123456789abcdef0"' in finding.signature.message, "what was signed names it"
