"""Does the record that the service has now agree with the finding that arrived as an event? Pure."""

from __future__ import annotations

import json
from datetime import datetime

from forensics.finding_types import canonical_type
from forensics.intake.readers.dispatch import read_event
from forensics.intake.readers.fields import JsonObject
from forensics.intake.readers.validation import resolved
from forensics.models.finding import Finding, PostureFamily, Severity
from forensics.models.intake import IntakeVerdict
from forensics.models.verification import Standing, Verification


def confirm(finding: Finding, record: JsonObject | None, *, asked: str, now: datetime) -> Verification:
    """Compare by reading the record with the parser that read the event.

    ``asked`` names service and account for people. The record must be open, unless the finding is a person's order, and yield the same key: the same finding
    about the same instance in the same account and Region.
    """
    standing, reason = _compare(finding, record, now=now)
    return Verification(finding_key=finding.key, standing=standing, reason=reason, asked=asked, at=now)


def _compare(finding: Finding, record: JsonObject | None, *, now: datetime) -> tuple[Standing, str]:
    if record is None:
        return Standing.NOT_FOUND, "the service does not know the finding"
    result = read_event(
        json.dumps(record, default=str),
        received_at=now,
        accept_samples=finding.sample,
        # A person may order something about a finding that is resolved: it is asked whether it is this finding.
        closed_too=finding.action is not None,
        posture=tuple(PostureFamily),
        artifacts_from=Severity.INFORMATIONAL,
    )
    # What led to the instance is looked up by describe calls: the record must name the same resource.
    led = [resolved(r, instance_id=finding.instance_id) for r in result.unresolved if r.resource == finding.found_by]
    if result.verdict is IntakeVerdict.IGNORE and not led:
        if result.unresolved or (finding.found_by and result.without_instance):
            return (
                Standing.CONTRADICTED,
                f"the service's record does not name {finding.found_by or finding.instance_id}",
            )
        return Standing.CLOSED, result.reason
    if result.verdict is IntakeVerdict.QUARANTINE:
        return Standing.CONTRADICTED, f"the service's own record is not consistent: {result.reason}"
    same = [f for f in [*result.findings, *led] if f.key == finding.key]
    if not same:
        about = ", ".join(f"{f.instance_id} in {f.account_id}, {f.region}" for f in result.findings[:3])
        return Standing.CONTRADICTED, f"the service's record is about {about}"
    if finding.vpc_id and same[0].vpc_id and finding.vpc_id != same[0].vpc_id:
        return Standing.CONTRADICTED, f"the service's record names {same[0].vpc_id}, the event {finding.vpc_id}"
    if (claimed := _claims_more(finding, same[0])) is not None:
        return Standing.CONTRADICTED, claimed
    return Standing.CONFIRMED, "the service has it, open, about this instance"


def _claims_more(finding: Finding, record: Finding) -> str | None:
    """An event that says more than the service's record: a real finding's id borrowed for another claim."""
    if record.severity.rank < finding.severity.rank:
        return f"the service's record says {record.severity.value}, the event {finding.severity.value}"
    claimed = {canonical_type(kind) for kind in finding.types}
    known = {canonical_type(kind) for kind in record.types}
    if claimed and known and not claimed & known:
        return f"the service's record is of type {sorted(known)[0]}, the event of type {sorted(claimed)[0]}"
    return None
