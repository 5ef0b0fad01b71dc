"""From a finding to the case it opens. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.models.case import Case
from forensics.models.finding import Finding
from forensics.naming import case_id_for


def case_from(finding: Finding, *, received_at: datetime, run_id: str | None = None, after: str | None = None) -> Case:
    """The case that a finding opens; ``after``: the closed case of the same finding, which was less severe then."""
    case_id = case_id_for(finding, received_at=received_at, after=after)
    return Case(
        case_id=case_id,
        account_id=finding.account_id,
        region=finding.region,
        instance_id=finding.instance_id,
        artifact=finding.artifact,
        received_at=received_at,
        opened_at=datetime.now(UTC),
        title=finding.title,
        severity=finding.severity.value,
        source=finding.source.value,
        finding_key=finding.key,
        requester=finding.requester,
        reason=finding.reason,
        sample=finding.sample,
        drill=finding.drill,
        run_id=run_id or case_id,
    )
