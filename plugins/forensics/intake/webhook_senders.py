"""Who sent a webhook: its signature, its time, and whether it has been here before. Nothing of it counts until then.

A message counts once and within five minutes of its signing, measured at SQS's own time of arrival. What could not be processed then
(a defect, a secret that could not be read, a key that was not known yet) may come again from the dead-letter queue, however late: the case store remembers that it was
here in time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Self

from forensics.aws.channel_secrets import SecretsGateway, read_secret
from forensics.aws.session import AwsSession
from forensics.errors import ConfigurationError
from forensics.intake.intake_log import IntakeLog
from forensics.intake.readers.webhook import signature_of
from forensics.intake.webhook_arrivals import Arrival, WebhookArrivals
from forensics.models.finding import Finding
from forensics.models.intake import IntakeResult, IntakeVerdict, MessageOutcome
from forensics.models.webhook import SignedWebhook, WebhookAccess, WebhookProof
from forensics.settings import Settings, pairs

WINDOW = timedelta(minutes=5)
SECRET_SECONDS = 300.0
# An unknown key may have been added just now: the secret is read again, but not for each of a thousand such messages.
UNKNOWN_KEY_SECONDS = 10.0
_AGAIN = frozenset({MessageOutcome.DEAD, MessageOutcome.QUARANTINED})


class WebhookSenders:
    """The deployment's senders of webhooks; safe to use from several threads.

    :param vault: the way to the secrets, opened when one is needed
    :param secrets: name of each sender → name of its secret
    """

    def __init__(
        self,
        vault: Callable[[], SecretsGateway],
        arrivals: WebhookArrivals,
        log: IntakeLog,
        *,
        secrets: Mapping[str, str],
    ) -> None:
        self._vault, self._arrivals, self._log, self._secrets = vault, arrivals, log, dict(secrets)
        self._known: dict[str, tuple[float, WebhookAccess]] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The senders that the settings name."""
        return cls(
            lambda: SecretsGateway.of(session),
            WebhookArrivals.of(session, settings),
            IntakeLog.of(session, settings),
            secrets=pairs(settings.webhook_senders),
        )

    def check(self, sender: str) -> WebhookAccess:
        """Read a sender's secret as for a message of it. Raises :class:`ForensicsError`, without a word of the secret."""
        return read_secret(
            self._vault(), self._secrets[sender], WebhookAccess, of=f"webhook sender {sender}", page="docs/webhook.md",
            error=ConfigurationError, then="run finding_redrive",
        )  # fmt: skip

    def authenticate(self, result: IntakeResult, *, message_id: str, received_at: datetime) -> IntakeResult:
        """The result with the proof in its findings, or the refusal with its reason; other results as they are.

        Raises :class:`ForensicsError` when that could not be found out: the message is tried again.
        """
        signed = result.signed
        if signed is None:
            return result
        refused = self._refusal(signed, result.findings, message_id=message_id, received_at=received_at)
        if refused:
            came = f" (from {signed.address})" if signed.address else ""
            reason = f"webhook refused: key {signed.key_id}{came}: {refused}"
            # Nothing of what it states is kept beside the message itself.
            return IntakeResult(
                verdict=IntakeVerdict.QUARANTINE,
                reason=reason[:300],
                event_id=result.event_id,
                detail_type=result.detail_type,
            )
        proof = WebhookProof(
            key_id=signed.key_id,
            signed_at=datetime.fromtimestamp(signed.at, UTC),
            body_sha256=hashlib.sha256(base64.b64decode(signed.body)).hexdigest(),
        )
        findings = tuple(finding.model_copy(update={"webhook": proof}) for finding in result.findings)
        return result.model_copy(update={"findings": findings, "signed": None})

    def _refusal(
        self, signed: SignedWebhook, findings: tuple[Finding, ...], *, message_id: str, received_at: datetime
    ) -> str:
        """Why the message does not count; empty when it does."""
        if why := self._untimely(signed, message_id=message_id, received_at=received_at):
            return why
        if signed.sender not in self._secrets:
            return f"there is no sender {signed.sender} (setting webhook_senders)"
        access = self._access(signed)
        key = access.keys.get(signed.key_id.partition(".")[2])
        if key is None:
            return f"the secret of sender {signed.sender} has no such key"
        if not hmac.compare_digest(signature_of(signed, key=key), signed.digest):
            return "its signature is not this key's"
        strange = [finding.account_id for finding in findings if not access.speaks_of(finding.account_id)]
        return f"sender {signed.sender} may not speak of account {strange[0]}" if strange else ""

    def _untimely(self, signed: SignedWebhook, *, message_id: str, received_at: datetime) -> str:
        name = _fingerprint(signed)
        here = Arrival(message_id=message_id, received_at=received_at)
        away = received_at - datetime.fromtimestamp(signed.at, UTC)
        late = abs(away) > WINDOW
        before = self._arrivals.find(name) if late else self._arrivals.claim(name, here)
        if before is None:
            return f"signed {_spoken(away)} its arrival; five minutes are allowed" if late else ""
        if before.message_id == message_id:
            return ""
        record = self._log.read(before.message_id, before.received_at)
        again = record is not None and record.verdict in _AGAIN
        if again and self._arrivals.hand_over(name, before, here):
            return ""
        return f"a repetition of message {before.message_id}"

    def _access(self, signed: SignedWebhook) -> WebhookAccess:
        name, key = self._secrets[signed.sender], signed.key_id.partition(".")[2]
        with self._lock:
            read_at, known = self._known.get(name, (0.0, None))
            age = time.monotonic() - read_at
            if known is None or age > SECRET_SECONDS or (key not in known.keys and age > UNKNOWN_KEY_SECONDS):
                known = self.check(signed.sender)
                self._known[name] = (time.monotonic(), known)
            return known


def _fingerprint(signed: SignedWebhook) -> str:
    text = f"{signed.at}.{signed.key_id}.{signed.digest}.{signed.body}"
    return hashlib.sha256(text.encode()).hexdigest()


def _spoken(away: timedelta) -> str:
    seconds = int(abs(away).total_seconds())
    return f"{seconds} s {'before' if away > timedelta() else 'after'}"
