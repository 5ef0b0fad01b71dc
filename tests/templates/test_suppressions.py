"""Each suppressed finding has a reason, an owner and an expiry, and the judge lets nothing else through."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from infra.deployment import suppressions, templates
from infra.deployment.suppressions import Finding, Suppression

TODAY = date(2027, 1, 1)
ENTRY = Suppression(
    tool="checkov", id="CKV_1", template="keys", resource="Key", reason="a reason that is long enough to be one, really",
    owner="cloud security", expires=TODAY + timedelta(days=30),
)  # fmt: skip
FINDING = Finding(tool="checkov", id="CKV_1", template="keys", resource="Key", text="bad")


def test_committed_entries_are_in_order() -> None:
    entries = suppressions.read()
    assert suppressions.problems(entries, today=datetime.now(UTC).date()) == []
    known = templates.committed()
    for entry in entries:
        body = known[entry.template]
        assert entry.resource in {"", *body["Resources"], *body.get("Parameters", {})}, (
            f"{entry.id}: no {entry.resource}"
        )


def test_expired_far_and_unexplained_entries_are_named() -> None:
    bad = [
        replace(ENTRY, expires=TODAY - timedelta(days=1)),
        replace(ENTRY, expires=TODAY + timedelta(days=500)),
        replace(ENTRY, reason="no"),
        replace(ENTRY, owner=""),
    ]
    assert len(suppressions.problems(bad, today=TODAY)) == 4
    assert suppressions.problems([ENTRY], today=TODAY) == []


def test_judge_wants_the_same_tool_rule_template_and_resource() -> None:
    others = [replace(FINDING, tool="cfn-lint"), replace(FINDING, id="CKV_2"), replace(FINDING, template="mwaa"),
              replace(FINDING, resource="Other")]  # fmt: skip
    left, unused = suppressions.judge([FINDING, *others], [ENTRY])
    assert (left, unused) == (others, [])
    assert suppressions.judge([], [ENTRY]) == ([], [ENTRY])
