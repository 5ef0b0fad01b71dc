"""The restore point of a case: taken once before the first change, locked, signed, and checked before a release."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.containment.announcements import note
from forensics.custody.chain import canonical, verify_chain
from forensics.errors import ContainmentError, CustodyError
from forensics.models.base import Model
from forensics.models.containment import InterfaceRestorePoint, RestorePoint
from forensics.models.custody import CustodyAction
from forensics.models.target_facts import InstanceFacts
from forensics.naming import case_prefix


class RestoreSeal(Model):
    """The restore point is under Object Lock and its digest in the signed ledger."""

    uri: str


class RestorePoints:
    """The restore point of one case. Every method may be called again after a kill at any point."""

    def __init__(self, recorder: CaseRecorder) -> None:
        self._recorder = recorder

    def get(self) -> RestorePoint | None:
        """What the target looked like before containment, once it has been recorded."""
        return self._recorder.get(case_keys.RESTORE_POINT, RestorePoint)

    def take(self, facts: InstanceFacts) -> RestorePoint:
        """Record the target as it is, unless a restore point exists: then that one is returned."""
        point = RestorePoint(
            restore_id="original",
            instance_id=facts.instance_id,
            interfaces=tuple(InterfaceRestorePoint(interface_id=i.id, group_ids=i.group_ids) for i in facts.interfaces),
            termination_protected=facts.termination_protected,
            stop_protected=facts.stop_protected,
            facts=facts,
            taken_at=datetime.now(UTC),
        )
        if self._recorder.put_once(case_keys.RESTORE_POINT, point):
            return point
        return self.get() or point

    def seal(self, point: RestorePoint) -> None:
        """Put it under Object Lock and its digest into the signed ledger, once and before the first change.

        An earlier try may have been killed between taking and sealing it, so every try asks for the seal.
        """
        recorder = self._recorder
        if recorder.get(case_keys.RESTORE_SEAL, RestoreSeal) is not None:
            return
        body = canonical(point.model_dump(mode="json"))
        name = f"{case_prefix(recorder.case_id)}custody/restore-point-{point.taken_at:%Y%m%dT%H%M%S.%fZ}.json"
        stored = recorder.gateways.evidence.put(name, body, content_type="application/json")
        recorder.custody(
            CustodyAction.RESTORE_POINT_TAKEN,
            detail={"sha256": restore_digest(point), "uri": stored.uri, "object_sha256": stored.sha256},
            once="restore-point",
        )
        recorder.sign_ledger("restore-point")
        recorder.put_once(case_keys.RESTORE_SEAL, RestoreSeal(uri=stored.uri))
        note(recorder, "restore point written and signed before the first change")

    def verified(self) -> InstanceFacts:
        """The target before containment, from the restore point whose digest the signed ledger holds; raises otherwise."""
        recorder, point = self._recorder, self.get()
        if point is None or point.facts is None:
            msg = f"case {recorder.case_id} has no restore point: containment never began"
            raise ContainmentError(msg, next_action="nothing was changed by this case, so there is nothing to release")
        events = recorder.gateways.ledger.events(recorder.case_id)
        verify_chain(events)
        recorded = next((e for e in events if e.action is CustodyAction.RESTORE_POINT_TAKEN), None)
        if recorded is None or recorded.detail.get("sha256") != restore_digest(point):
            msg = (
                f"the restore point of case {recorder.case_id} is not the one in the custody ledger: nothing is changed"
            )
            raise CustodyError(msg, next_action="compare it with the copy under custody/ in the evidence store")
        recorder.gateways.ledger.check_signature(recorder.case_id, covers=recorded.seq)
        return point.facts


def restore_digest(point: RestorePoint) -> str:
    """SHA-256 of a restore point's canonical JSON: what the ledger holds and release checks."""
    return hashlib.sha256(canonical(point.model_dump(mode="json"))).hexdigest()
