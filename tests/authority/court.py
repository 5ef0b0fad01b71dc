"""What becomes of one event: read, looked up at the lab's GuardDuty and Security Hubs, decided by the packaged policy."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from forensics.aws.hook import ForensicsHook
from forensics.intake.readers.dispatch import read_event
from forensics.intake.webhook_senders import WebhookSenders
from forensics.models.finding import Finding
from forensics.models.intake import IntakeVerdict
from forensics.settings import names
from forensics.triage.context import TriageContext
from forensics.triage.decision import decide
from forensics.triage.isolation_guard import IsolationGuard
from infra.deployment.sign import sign_request
from lab.accounts import MEMBER_ACCOUNT, REGION
from lab.scenarios.driver import finding as made_finding
from tests.integration.conftest import SmallLab
from tests.unit.builders import case, target
from tests.webhooks import KEY, KEY_ID, webhook

Event = dict[str, Any]
SECRET = "forensics/webhook/edr"


class Fate(StrEnum):
    """What becomes of an event, from nothing to an isolation that nobody is asked about."""

    QUARANTINED = "quarantined"
    IGNORED = "ignored"
    NOTHING = "opens a case and does nothing by itself"
    ACQUIRES = "acquires"
    ASKS = "acquires and asks a person before it isolates"
    ISOLATES = "isolates by itself"


@dataclass(frozen=True)
class Ruling:
    """The fate and every reason that a person is shown."""

    fate: Fate
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.fate}: {'; '.join(self.reasons)}"


class Court:
    """Judges events on one lab."""

    def __init__(self, lab: SmallLab) -> None:
        self.lab = lab
        self.hook = ForensicsHook()
        self.instance = lab.facts["instances"]["web-server"]
        self.senders = WebhookSenders.of(
            self.hook.own(), self.hook.settings.model_copy(update={"webhook_senders": f"edr={SECRET}"})
        )
        lab.client("secretsmanager").create_secret(
            Name=SECRET,
            SecretString=json.dumps({"keys": {KEY_ID.partition(".")[2]: KEY}, "accounts": [MEMBER_ACCOUNT]}),
        )
        self._case = case(
            account_id=MEMBER_ACCOUNT, region=REGION, instance_id=str(self.instance["instance_id"]), severity="HIGH"
        )

    def finding(self, *, label: str = "HIGH", kind: str = "") -> Event:
        """A finding of GuardDuty about the instance, in Security Hub's format."""
        return made_finding(self.instance, title="Command and control", label=label, kind=kind)

    def known(self, event: Event, *, source: str, kind: str) -> None:
        """The services send an event: they know its findings from now on."""
        entry = {"Source": source, "DetailType": kind, "Detail": json.dumps(event["detail"])}
        answer = self.lab.client("events", "security").put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0

    def request(self, requester: str, *, isolate: bool = True, minutes: float = 30) -> Event:
        """The fields of a person's request for the instance."""
        return {
            "account_id": MEMBER_ACCOUNT,
            "region": REGION,
            "instance_id": self.instance["instance_id"],
            "reason": "unusual traffic",
            "requester": requester,
            "actions": {"memory": True, "disk": True, "isolate": isolate},
            "nonce": uuid.uuid4().hex,
            "expires_at": (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="seconds"),
        }

    def signed(self, detail: Event, *, key: str = "") -> Event:
        """A request as a person signs it (infra.deployment.sign), with the key for people's documents unless another is named."""
        return sign_request(detail, self.lab.client("kms"), key=key or self.hook.settings.document_key_id)

    def manual(self, detail: Event) -> Event:
        """The event that carries a request."""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "source": "forensics.manual",
            "detail-type": "Forensics Requested",
            "account": self.hook.settings.forensic_account_id,
            "region": REGION,
            "time": datetime.now(UTC).isoformat(),
            "resources": [],
            "detail": detail,
        }

    def alert(self, *, at: datetime | None = None, **changes: Any) -> Event:
        """A webhook about the instance as its sender signs it; ``key`` and ``key_id`` are another's."""
        own = {"account_id": MEMBER_ACCOUNT, "region": REGION, "instance_id": self.instance["instance_id"]}
        return webhook(at or datetime.now(UTC), **{**own, "id": uuid.uuid4().hex, **changes})

    def judge(self, event: Event | str) -> Ruling:
        """Read the event as the intake does, look its findings up, decide."""
        s = self.hook.settings
        text = event if isinstance(event, str) else json.dumps(event)
        now = datetime.now(UTC)
        read = read_event(
            text,
            received_at=now,
            own_account=s.forensic_account_id,
            administrators=names(s.administrator_accounts),
        )
        read = self.senders.authenticate(read, message_id=str(uuid.uuid4()), received_at=now)
        if not read.findings:
            fate = Fate.QUARANTINED if read.verdict is IntakeVerdict.QUARANTINE else Fate.IGNORED
            return Ruling(fate, (read.reason,))
        return self._decided(read.findings)

    def _decided(self, findings: Sequence[Finding]) -> Ruling:
        case_of_event = self._case.model_copy(update={"case_id": f"fc-20261129-{uuid.uuid4().hex[:10]}"})
        guard = IsolationGuard.of(self.hook.for_case(case_of_event))
        now = datetime.now(UTC)
        answers = guard.verifier.verify(findings, now=now)
        loaded, doubts = guard.policy()
        context = TriageContext(
            own_account=self.hook.settings.forensic_account_id,
            verify=True,
            verifications={a.finding_key: a for a in answers},
            doubts=doubts,
        )
        described = target(instance_id=self._case.instance_id, account_id=MEMBER_ACCOUNT, region=REGION)
        plan = decide(findings, target=described, loaded=loaded, now=now, context=context)
        reasons = (*plan.isolate.reasons, *plan.approval.reasons, *plan.warnings)
        if plan.isolate.go:
            return Ruling(Fate.ASKS if plan.approval.required else Fate.ISOLATES, reasons)
        going = plan.memory.wanted or plan.disk.wanted
        return Ruling(Fate.ACQUIRES if going else Fate.NOTHING, reasons)


def changed(event: Event, **changes: Any) -> Event:
    """A copy of an event whose findings (or GuardDuty detail) have these fields."""
    made = copy.deepcopy(event)
    found = made["detail"].get("findings")
    for item in found if isinstance(found, list) else [made["detail"]]:
        item.update(changes)
    return made
