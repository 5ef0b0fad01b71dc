"""The restore point of a case: recorded before the first change, sealed as soon as that can be, checked before a release.

It has two parts. The target as EC2 knows it is recorded before the first change; what IAM says of it before the first change of
credentials, because the network is closed before IAM is asked. Each part is written once into the case, and its digest into the
custody ledger. The seal (a copy under Object Lock, and the signature of the ledger's head) needs the evidence store and KMS:
isolation does not wait for them, a release does.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.containment.announcements import note
from forensics.custody.chain import canonical, verify_chain
from forensics.errors import ContainmentError, CustodyChainError, CustodyError, ForensicsError
from forensics.models.base import Model, format_utc
from forensics.models.containment import InterfaceRestorePoint, RestoreIdentity, RestorePoint
from forensics.models.custody import CustodyAction, CustodyEvent
from forensics.models.target_facts import InstanceFacts, ProfileFacts
from forensics.naming import case_prefix

# The failure under which a missing seal is a gap of the case until it is made up for.
UNSEALED = "containment.restore_point"
# A seal that comes later than this after the restore point is said to whoever approves the release.
PROMPT = timedelta(minutes=5)
COMPARE = "compare it with the copy under custody/ in the evidence store"
# Of each part: its name, its item and the item of its seal.
_PARTS = (
    ("restore-point", case_keys.RESTORE_POINT, case_keys.RESTORE_SEAL),
    ("restore-identity", case_keys.RESTORE_IDENTITY, case_keys.IDENTITY_SEAL),
)


class RestoreSeal(Model):
    """A part of the restore point is under Object Lock and its digest in the signed ledger."""

    uri: str


@dataclass(frozen=True)
class _Part:
    """One part of the restore point, and the names that it has in the case, the ledger and the evidence store."""

    name: str
    data: JsonValue
    taken_at: datetime
    seal_key: str

    @property
    def body(self) -> bytes:
        """Canonical JSON of what is stored: without the defaults of fields that a newer version has added."""
        return canonical(self.data)

    @property
    def sha256(self) -> str:
        """What the ledger holds and release checks."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def file(self) -> str:
        return f"{self.name}-{self.taken_at:%Y%m%dT%H%M%S.%fZ}.json"

    def is_taken(self, event: CustodyEvent) -> bool:
        """Whether a ledger event says that this part was taken; those of earlier releases name no part."""
        named = event.detail.get("part", "restore-point")
        return event.action is CustodyAction.RESTORE_POINT_TAKEN and named == self.name


class RestorePoints:
    """The restore point of one case. Every method may be called again after a kill at any point."""

    def __init__(self, recorder: CaseRecorder) -> None:
        self._recorder = recorder

    # ------------------------------------------------------------------ what is recorded
    def get(self) -> RestorePoint | None:
        """What the target looked like before containment, once it has been recorded, with what IAM has said of it."""
        point = self._recorder.get(case_keys.RESTORE_POINT, RestorePoint)
        return _merged(point, self._identity()) if point else None

    def take(self, facts: InstanceFacts) -> RestorePoint:
        """Record the target as it is, unless a restore point exists: then that one is returned.

        Only the case store is needed; what the ledger does not take now is written with the seal.
        """
        taken, facts = facts.taken, facts.as_original()
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
            self._try_to_enter()
            if taken:
                note(self._recorder, f"the restore point does not know {_unknown_groups(taken)}")
            return point
        return self.get() or point

    def add_identity(
        self, point: RestorePoint, *, profile: ProfileFacts, role_policies: tuple[str, ...]
    ) -> RestorePoint:
        """Record what IAM says of the target before its credentials are changed, once; returns the whole."""
        identity = RestoreIdentity(profile=profile, role_policies=role_policies, taken_at=datetime.now(UTC))
        if self._recorder.put_once(case_keys.RESTORE_IDENTITY, identity):
            self._try_to_enter()
        return _merged(point, self._identity() or identity)

    def _identity(self) -> RestoreIdentity | None:
        return self._recorder.get(case_keys.RESTORE_IDENTITY, RestoreIdentity)

    def _parts(self) -> list[_Part]:
        found = []
        for name, key, seal_key in _PARTS:
            data = self._recorder.gateways.store.data(self._recorder.case_id, key)
            if isinstance(data, dict):
                taken_at = datetime.fromisoformat(str(data["taken_at"]))
                found.append(_Part(name, data, taken_at=taken_at, seal_key=seal_key))
        return found

    # ------------------------------------------------------------------ seal
    def try_to_seal(self) -> str | None:
        """Seal what is not sealed; why not, when that fails: it is a gap of the case until a later try succeeds."""
        try:
            self.seal()
        except ForensicsError as error:
            why = f"the restore point is not sealed: {error}"
            self._recorder.mark_failed(UNSEALED, type(error)(why[:1500], next_action=_seal_action(error)))
            return why
        self._recorder.clear_failed(UNSEALED)
        return None

    def seal(self) -> None:
        """Put every part under Object Lock and its digest into the signed ledger, once.

        An earlier try may have been killed, or may have found KMS or the evidence store out of reach, so every try asks for
        the seal. A part that is not what was entered when it was taken is not sealed: :class:`CustodyError`.
        """
        recorder = self._recorder
        parts = [p for p in self._parts() if recorder.get(p.seal_key, RestoreSeal) is None]
        if not parts:
            return
        uris = [self._lock(part) for part in parts]
        recorder.sign_ledger("restore-point")
        for part, uri in zip(parts, uris, strict=True):
            recorder.put_once(part.seal_key, RestoreSeal(uri=uri))
        note(recorder, "restore point sealed: under Object Lock, its digest in the signed ledger")

    def _lock(self, part: _Part) -> str:
        """Put one part under Object Lock and say so in the ledger, after a look at what was entered and stored before."""
        recorder = self._recorder
        self._enter(part)
        entered = next(e for e in self._events() if part.is_taken(e))
        if entered.detail.get("sha256") != part.sha256:
            msg = f"the {part.name} of case {recorder.case_id} was changed after it was taken: it is not sealed"
            raise CustodyError(msg, next_action=COMPARE)
        directory = f"{case_prefix(recorder.case_id)}custody/"
        others = [u for u in recorder.gateways.evidence.list(f"{directory}{part.name}-") if not u.endswith(part.file)]
        if others:
            msg = f"{', '.join(others)} is another {part.name} of case {recorder.case_id}: this one is not sealed"
            raise CustodyError(msg, next_action=COMPARE)
        stored = recorder.gateways.evidence.put(f"{directory}{part.file}", part.body, content_type="application/json")
        recorder.custody(
            CustodyAction.RESTORE_POINT_SEALED,
            detail={"part": part.name, "uri": stored.uri, "sha256": stored.sha256},
            once=f"{part.name}-sealed",
        )
        return stored.uri

    def _enter(self, part: _Part) -> None:
        """Enter the digest of a part into the custody ledger, once."""
        detail = {"part": part.name, "sha256": part.sha256, "taken_at": format_utc(part.taken_at)}
        self._recorder.custody(CustodyAction.RESTORE_POINT_TAKEN, detail=detail, once=part.name)

    def _try_to_enter(self) -> None:
        try:
            for part in self._parts():
                self._enter(part)
        except ForensicsError as error:
            # the change must not wait for the ledger: the seal enters it, and fails for good when the part has changed
            self._recorder.mark_failed(UNSEALED, error)

    # ------------------------------------------------------------------ release
    def verified(self) -> InstanceFacts:
        """The target before containment, from the restore point whose digests the signed ledger holds; raises otherwise.

        A restore point that is not sealed is refused: nothing but the case store vouches for it.
        """
        recorder, point = self._recorder, self.get()
        if point is None or point.facts is None:
            msg = f"case {recorder.case_id} has no restore point: containment never began"
            raise ContainmentError(msg, next_action="nothing was changed by this case, so there is nothing to release")
        verify_chain(events := self._events())
        for part in self._parts():
            recorded = next((e for e in events if part.is_taken(e)), None)
            if recorded is None or recorded.detail.get("sha256") != part.sha256:
                msg = (
                    f"the restore point of case {recorder.case_id} is not the one in the custody ledger:"
                    " nothing is changed"
                )
                raise CustodyError(msg, next_action=COMPARE)
            self._check_signature(part, covers=recorded.seq)
        return point.facts

    def _check_signature(self, part: _Part, *, covers: int) -> None:
        recorder = self._recorder
        try:
            recorder.gateways.ledger.check_signature(recorder.case_id, covers=covers)
        except CustodyChainError as error:
            if recorder.get(part.seal_key, RestoreSeal) is not None:
                raise
            msg = f"the {part.name} of case {recorder.case_id} is not sealed, nothing is released: {error}"
            action = (
                "clear containment.isolate_target in the case's run, which seals it; then start forensic_release again"
            )
            raise CustodyError(msg, next_action=action) from error

    def warnings(self) -> tuple[str, ...]:
        """What whoever approves a release has to know of the restore point: that it was sealed late."""
        events = self._events()
        signed = [json.loads(s.statement) for s in self._recorder.gateways.ledger.signed_heads(self._recorder.case_id)]
        point = self.get()
        taken = point.facts.taken if point and point.facts else ()
        found = [f"the restore point does not know {_unknown_groups(taken)}: they stay closed"] if taken else []
        for part in self._parts():
            recorded = next((e for e in events if part.is_taken(e)), None)
            times = [
                datetime.fromisoformat(s["signed_at"]) for s in signed if recorded and int(s["seq"]) >= recorded.seq
            ]
            if times and min(times) - part.taken_at > PROMPT:
                found.append(
                    f"the {part.name} was taken at {format_utc(part.taken_at)} and signed only at"
                    f" {format_utc(min(times))}: until then nothing but the case store vouched for it. Compare it with the"
                    " recorded plan and with CloudTrail before you approve"
                )
        return tuple(found)

    def _events(self) -> list[CustodyEvent]:
        return self._recorder.gateways.ledger.events(self._recorder.case_id)


def _merged(point: RestorePoint, identity: RestoreIdentity | None) -> RestorePoint:
    """The restore point with what IAM said of the target, for a plan's undo and a release."""
    if identity is None or point.facts is None or point.facts.profile is None:
        return point
    said = {"profile": identity.profile, "role_policies": identity.role_policies}
    return point.model_copy(update={"facts": point.facts.model_copy(update=said)})


def _unknown_groups(taken: tuple[str, ...]) -> str:
    return (
        f"which groups {', '.join(taken)} had before, for another deployment had begun to contain the target: release it there,"
        " or look in CloudTrail (ModifyNetworkInterfaceAttribute) and give them their groups by hand"
    )


def _seal_action(error: ForensicsError) -> str:
    if isinstance(error, CustodyError):
        return error.next_action
    return (
        "isolation is not affected; when KMS and the evidence store answer again, clear containment.isolate_target in the"
        " case's run: it seals the restore point, without which nothing is released"
    )
