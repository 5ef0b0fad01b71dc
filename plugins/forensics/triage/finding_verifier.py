"""Live verification: every finding of a case is looked up before an isolation is based on it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime

from forensics.aws.kms_signing import SigningKeyGateway
from forensics.errors import AwsError
from forensics.intake.finding_lookup import FindingLookup
from forensics.intake.readers.confirm import confirm
from forensics.intake.readers.fields import JsonObject
from forensics.intake.readers.identifiers import guardduty_id
from forensics.intake.readers.manual import SIGNED_FIELDS
from forensics.models.base import format_utc
from forensics.models.finding import Finding, FindingSource
from forensics.models.verification import Standing, Verification
from forensics.triage.assessment import needs_confirmation
from forensics.triage.nonces import NonceStore

AT_MOST = 12
# An event may arrive before the service's own index knows it: seconds between two look-ups.
AGAIN_SECONDS = 1.0
_PARALLEL = 4


@dataclass(frozen=True)
class _Service:
    """A service that keeps findings, by the name that people know."""

    name: str
    record: Callable[[FindingLookup, Finding], JsonObject | None]


_GUARDDUTY = _Service("GuardDuty", lambda lookup, finding: lookup.guardduty(finding.finding_id))
_HUB = _Service(
    "Security Hub", lambda lookup, finding: lookup.security_hub(finding.finding_id, account_id=finding.account_id)
)
_HUB_V2 = _Service("Security Hub (OCSF)", lambda lookup, finding: lookup.security_hub_v2(finding.finding_id))


def _sender(finding: Finding) -> _Service:
    if finding.source is FindingSource.GUARDDUTY:
        return _GUARDDUTY
    return _HUB_V2 if finding.source is FindingSource.SECURITY_HUB_V2 or finding.ocsf else _HUB


class FindingVerifier:
    """Asks the services, and the signing key, whether findings are genuine."""

    def __init__(
        self,
        case_id: str,
        *,
        lookups: Callable[[], list[FindingLookup]],
        signatures: SigningKeyGateway,
        nonces: NonceStore,
    ) -> None:
        self._case_id = case_id
        self._lookups = lookups
        self._signatures = signatures
        self._nonces = nonces

    def verify(self, findings: Sequence[Finding], *, now: datetime, settle: float = 0.0) -> list[Verification]:
        """Look up the findings that may isolate, the most severe first, at most :data:`AT_MOST` at once.

        What is not found is looked for again for ``settle`` seconds.
        """
        end = time.monotonic() + settle
        wanted = sorted((f for f in findings if needs_confirmation(f)), key=lambda f: -f.severity.rank)[:AT_MOST]
        if not wanted:
            return []
        with ThreadPoolExecutor(max_workers=min(_PARALLEL, len(wanted)), thread_name_prefix="verify") as pool:
            started = [pool.submit(copy_context().run, self._settled, finding, now, end) for finding in wanted]
            return [future.result() for future in started]

    def _settled(self, finding: Finding, now: datetime, end: float) -> Verification:
        while (answer := self._one(finding, now)).standing is Standing.NOT_FOUND and time.monotonic() < end:
            time.sleep(AGAIN_SECONDS)
        return answer

    def _one(self, finding: Finding, now: datetime) -> Verification:
        if finding.source is FindingSource.MANUAL:
            return self._request(finding, now)
        if finding.source is FindingSource.WEBHOOK:
            return _webhook(finding, now)
        try:
            return self._look_up(finding, now)
        except AwsError as error:
            # Not being able to ask is an answer: nothing is isolated on an unconfirmed finding, and people are notified.
            return _answer(finding, Standing.UNREACHABLE, f"{error}. What to do next: {error.next_action}", now=now)

    def _look_up(self, finding: Finding, now: datetime) -> Verification:
        """Ask the service that made the finding first, then the one that sent it.

        Security Hub's record of a GuardDuty finding is a copy whose workflow the target's own account may set: a copy that is
        closed does not outweigh an original that is open, and a person decides.
        """
        lookups = self._lookups()
        original = guardduty_id(finding.finding_id) is not None
        if not original:
            return self._ask(finding, lookups, _sender(finding), now)
        answer = self._ask(finding, lookups, _GUARDDUTY, now)
        if finding.source is FindingSource.GUARDDUTY or answer.standing not in {Standing.CONFIRMED, Standing.NOT_FOUND}:
            return answer
        copy = self._ask(finding, lookups, _sender(finding), now)
        if answer.confirmed and copy.standing is Standing.CLOSED:
            reason = f"GuardDuty has it open, and Security Hub's copy says: {copy.reason} ({copy.asked})"
        elif not answer.confirmed and copy.confirmed:
            reason = f"Security Hub has it, and GuardDuty does not know it ({answer.asked})"
        else:
            return answer
        return _answer(finding, Standing.DISPUTED, reason, now=now)

    def _ask(
        self, finding: Finding, lookups: Sequence[FindingLookup], service: _Service, now: datetime
    ) -> Verification:
        """The first account that knows the finding; administrators come first: a member cannot forge what they see."""
        answer = None
        for lookup in lookups:
            record = service.record(lookup, finding)
            asked = f"{service.name}, account {lookup.account_id}, {lookup.region}"
            answer = confirm(finding, record, asked=asked, now=now)
            if record is not None:
                break
        return answer or _answer(finding, Standing.NOT_FOUND, "there is no account to ask", now=now)

    def _request(self, finding: Finding, now: datetime) -> Verification:
        signature = finding.signature
        if signature is None:
            # Through Airflow's own UI or API: Airflow's access control decides who may start the DAG.
            who = finding.requester or "an Airflow user"
            return _answer(finding, Standing.CONFIRMED, f"asked for in Airflow by {who}", now=now)
        try:
            value = base64.b64decode(signature.value, validate=True)
        except (binascii.Error, ValueError):
            return _answer(finding, Standing.FORGED, "its signature is not base64", now=now)
        if _signed_fields(signature.message) != _finding_fields(finding):
            return _answer(finding, Standing.FORGED, "the signed text is another request", now=now)
        try:
            digest = hashlib.sha384(signature.message.encode()).digest()
            if not self._signatures.verify(digest, value):
                return _answer(finding, Standing.FORGED, "its signature is not the signing key's", now=now)
            first = self._nonces.consume(f"request/{signature.nonce}", by=self._case_id, until=signature.expires_at)
        except AwsError as error:
            return _answer(finding, Standing.UNREACHABLE, f"its signature could not be checked: {error}", now=now)
        if not first:
            return _answer(finding, Standing.FORGED, "it is a repetition of an earlier request", now=now)
        return _answer(finding, Standing.CONFIRMED, f"signed, by {finding.requester}", now=now)


def _webhook(finding: Finding, now: datetime) -> Verification:
    """There is no service to ask: what counts is the signature, which the intake checked before it opened the case."""
    proof = finding.webhook
    if proof is None:
        return _answer(finding, Standing.FORGED, "nobody checked the signature of this webhook", now=now)
    said = f"signed with {proof.key_id} at {format_utc(proof.signed_at)}, checked when it arrived"
    return _answer(finding, Standing.CONFIRMED, said, now=now)


def _answer(finding: Finding, standing: Standing, reason: str, *, now: datetime) -> Verification:
    return Verification(finding_key=finding.key, standing=standing, reason=reason[:600], at=now)


def _finding_fields(finding: Finding) -> dict[str, object]:
    return {"account_id": finding.account_id, "region": finding.region, "instance_id": finding.instance_id}


def _signed_fields(message: str) -> dict[str, object] | None:
    try:
        value = json.loads(message)
    except ValueError:
        return None
    return {name: value.get(name) for name in SIGNED_FIELDS} if isinstance(value, dict) else None
