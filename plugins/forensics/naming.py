"""Names that carry the case id: keys, tags, session names, evidence ids."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TypedDict

from forensics.deployment import DEFAULT, DEPLOYMENT
from forensics.models.evidence import EvidenceKind
from forensics.models.finding import Finding
from forensics.partitions import arn, global_arn

# What a run on a target changes there: the ledger's HOST_TOUCHED refers to it.
FOOTPRINT = "docs/footprint.md"
TAG_CASE = f"{DEPLOYMENT}:case"
TAG_SOURCE = f"{DEPLOYMENT}:source"
TAG_PURPOSE = f"{DEPLOYMENT}:purpose"
TAG_EVIDENCE = f"{DEPLOYMENT}:evidence"
# On a contained instance and its interfaces, with the case: service control policies deny changes of what carries it.
TAG_CONTAINED = f"{DEPLOYMENT}:contained"
TAG_PROTECTED = f"{DEPLOYMENT}:protected"
# Identity, tag and prefix of what the symbol library makes: it belongs to no case.
SYMBOL_LIBRARY = "fc-symbols"
# Identity, tag and prefix of what a preflight makes and removes: it is no case either.
PREFLIGHT = "fc-preflight"
# The same for what waits for a digest or for a person, of all cases.
NOTICES = "fc-notices"
# Partition of what the watchdog keeps about all cases.
WATCHDOG = "fc-watchdog"
# Identity of a sweep's calls, and partition of what is kept of sweeps: they may look at instances that no case is about.
SWEEP = "fc-sweep"

# Identity of a drill's own calls, and the value of the tag TAG_DRILL on what a drill makes and removes.
DRILL = "fc-drill"
TAG_DRILL = f"{DEPLOYMENT}:drill"


class Tag(TypedDict, total=False):
    """A tag in the form of AWS's APIs."""

    Key: str
    Value: str


def case_id_for(finding: Finding, *, received_at: datetime, after: str | None = None) -> str:
    """Return the id of the case that this finding opens; the same finding always gives the same id.

    The day is the finding's own (its creation time when it has one), so that a re-delivery after midnight does not
    change the id. A person's custom action on the finding counts as a finding of its own, each time it is pressed: it
    opens a case even when the case that the finding or an earlier press opened is closed. ``after``: the closed case of the same finding, which has become more
    severe since.
    """
    order = f"|{finding.order}" if finding.order else ""
    order += f"|after {after}" if after else ""
    # another deployment that gets the same finding has a case of its own
    order += f"|of {DEPLOYMENT}" if DEPLOYMENT != DEFAULT else ""
    day = (finding.created_at or received_at).astimezone(UTC).strftime("%Y%m%d")
    digest = hashlib.sha256(
        f"{finding.key}|{finding.account_id}|{finding.region}|{finding.instance_id}{order}".encode()
    )
    return f"fc-{day}-{digest.hexdigest()[:10]}"


def case_prefix(case_id: str) -> str:
    """S3 prefix of a case, with a closing slash."""
    return f"cases/{case_id}/"


def evidence_id(kind: EvidenceKind, subject: str) -> str:
    """Evidence id of one subject, for example ``disk-vol-0abc``."""
    return f"{kind.value}-{subject}"


def first_pass_id(instance_id: str) -> str:
    """Evidence id of the live response's short first pass, which comes before the memory capture."""
    return f"{evidence_id(EvidenceKind.LIVE_RESPONSE, instance_id)}-first"


def evidence_key(case_id: str, kind: EvidenceKind, *, item: str, name: str) -> str:
    """S3 key of an evidence object."""
    return f"{case_prefix(case_id)}evidence/{kind.value}/{item}/{name}"


def artifact_key(case_id: str, *, tool: str, item: str, name: str) -> str:
    """S3 key of an artifact that a tool made from one piece of evidence."""
    return f"{case_prefix(case_id)}artifacts/{tool}/{item}/{name}"


def role_arn(account_id: str, name: str, *, region: str) -> str:
    """ARN of an IAM role without a path, in the partition of a Region."""
    return global_arn("iam", f"role/{name}", region=region, account=account_id)


def instance_arn(account_id: str, region: str, instance_id: str) -> str:
    """ARN of an EC2 instance."""
    return arn("ec2", f"instance/{instance_id}", region=region, account=account_id)


def snapshot_arn(account_id: str, region: str, snapshot_id: str) -> str:
    """ARN of an EBS snapshot, with the account that owns it."""
    return arn("ec2", f"snapshot/{snapshot_id}", region=region, account=account_id)


def session_name(case_id: str, phase: str) -> str:
    """RoleSessionName (at most 64 characters) that CloudTrail shows for a phase of a case."""
    return f"{case_id}-{phase}"[:64]


def drill_mark(*, drill: bool) -> dict[str, str]:
    """What :func:`tags` adds to the snapshots of a drill's case: by it, and by its case, a later run finds and deletes them."""
    return {"drill": DRILL} if drill else {}


def tags(case_id: str, purpose: str, **extra: str) -> list[Tag]:
    """AWS tags of everything that a case makes. Keywords become ``<deployment>:<keyword>``."""
    pairs = {"Name": f"{case_id} {purpose}", TAG_CASE: case_id, TAG_PURPOSE: purpose}
    pairs.update({f"{DEPLOYMENT}:{key}": value for key, value in extra.items()})
    return [{"Key": key, "Value": value} for key, value in pairs.items()]
