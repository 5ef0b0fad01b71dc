"""What an earlier try may have made is adopted only when it is the case's own; what only looks so is recorded and left alone.

Comments, tags and descriptions are chosen by whoever makes a thing: the target's administrators, who may be the intruder. What is
refused is on the timeline, in the ledger and, once a case, told to people: nobody plants such a thing by accident.
"""

from __future__ import annotations

from datetime import UTC, datetime

from forensics import case_keys
from forensics.aws.s3 import StoredObject
from forensics.aws.ssm import ExpectedCommand, SsmGateway
from forensics.case.recorder import CaseRecorder
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.outside import Outside

# Of one kind so many are recorded one by one: whoever plants them must not fill the ledger.
MOST_RECORDED = 20


class Refused(Outside):
    """Something that carries the case's marks and is not the case's."""

    what: str
    name: str
    why: str
    at: str


def refuse(recorder: CaseRecorder, *, what: str, name: str, why: str, evidence_id: str | None = None) -> None:
    """Record, once, that something with the case's marks is not adopted. Safe to repeat.

    :param what: its kind, as people call it (``command``, ``snapshot``)
    :param name: its id
    """
    store, prefix = recorder.gateways.store, f"{case_keys.REFUSED}{what}#"
    known = [sk for sk, _ in store.items(recorder.case_id, prefix)]
    if f"{prefix}{name}" in known or len(known) >= MOST_RECORDED:
        return
    found = Refused(what=what, name=name, why=why, at=datetime.now(UTC).isoformat())
    # The ledger first: a kill between the two repeats this, and `once` keeps the ledger free of duplicates.
    recorder.custody(
        CustodyAction.ADOPTION_REFUSED, evidence_id=evidence_id, detail=found.model_dump(), once=f"refused-{name}"
    )
    said = f"{what} {name} carries this case's marks and is not adopted: {found.why}"
    recorder.note(said, kind=TimelineKind.EVIDENCE, evidence_id=evidence_id)
    recorder.announce(
        "planted",
        "Something was made to look like this case's own",
        lines=[said, "What to do next: look in CloudTrail who made it; the case goes on without it"],
        facts={"what": what, "name": name},
    )
    recorder.put_once(f"{prefix}{name}", found)


def living_command(
    recorder: CaseRecorder,
    ssm: SsmGateway,
    *,
    instance_id: str,
    expected: ExpectedCommand,
    evidence_id: str | None = None,
) -> str | None:
    """The id of the case's own command that still lives on an instance, or ended before it was recorded; those that only carry its
    comment are refused.
    """
    found = ssm.find_command(instance_id=instance_id, expected=expected)
    for command_id, why in found.strange:
        refuse(recorder, what="command", name=command_id, why=why, evidence_id=evidence_id)
    return found.command_id


def record_stored(recorder: CaseRecorder, stored: StoredObject, *, evidence_id: str) -> None:
    """Enter an object in the ledger as it was stored and locked, before anything is compared with it. Safe to repeat."""
    recorder.custody(
        CustodyAction.OBJECT_STORED,
        evidence_id=evidence_id,
        detail={
            "uri": stored.uri,
            "version_id": stored.version_id,
            "bytes": stored.size_bytes,
            "sha256": stored.sha256,
            "lock": {"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
        },
        once=f"stored-{stored.key}",
    )
