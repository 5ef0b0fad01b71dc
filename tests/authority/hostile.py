"""Events that somebody sends who may not speak, by kind, varied by a seed.

Each kind is a way that somebody with less than an administrator's rights has: ``securityhub:BatchImportFindings`` or
``BatchUpdateFindings`` in a member account, a rule of an own event bus, ``sqs:SendMessage``, a button of a member's own
Security Hub, a copied or altered request. None of them may isolate without a person.
"""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.scenarios.finding_events import asff, guardduty, ocsf
from tests.authority.court import Court, Event, Fate, changed
from tests.unit.guardduty_types import BY_ASFF

MEMBER_ACCOUNT, REGION = "333344445555", "eu-central-1"
LABELS = ("HIGH", "CRITICAL")
NEVER = frozenset(Fate) - {Fate.ISOLATES}
UNHEARD = frozenset({Fate.QUARANTINED, Fate.IGNORED, Fate.ACQUIRES, Fate.NOTHING})
# types that isolate by themselves when GuardDuty says so
ISOLATING = tuple(
    spelled
    for spelled, own in sorted(BY_ASFF.items())
    if own.startswith(("Backdoor:EC2/C&C", "CryptoCurrency:", "Trojan:"))
)


@dataclass(frozen=True)
class Hostile:
    """An event, what may become of it, and in one sentence who did what."""

    event: Event | str
    may: frozenset[Fate]
    story: str


Maker = Callable[[Court, random.Random], Hostile]
KINDS: list[Maker] = []


def kind(make: Maker) -> Maker:
    """Add a kind."""
    KINDS.append(make)
    return make


def _found(court: Court, dice: random.Random) -> Event:
    return court.finding(label=dice.choice(LABELS), kind=dice.choice(ISOLATING))


@kind
def own_product(court: Court, dice: random.Random) -> Hostile:
    """The member's own default product says what GuardDuty would say; Security Hub knows the finding."""
    found = _found(court, dice) | {
        "Id": f"{MEMBER_ACCOUNT}/{uuid.uuid4().hex}",
        "ProductArn": f"arn:aws:securityhub:{REGION}:{MEMBER_ACCOUNT}:product/{MEMBER_ACCOUNT}/default",
    }
    event = asff(found)
    court.known(event, source="aws.securityhub", kind="Security Hub Findings - Imported")
    return Hostile(event, NEVER, "BatchImportFindings under the account's own product")


@kind
def product_called_like_guardduty(court: Court, dice: random.Random) -> Hostile:
    """Another product, named so that it looks like GuardDuty."""
    name = dice.choice(
        (
            "aws/guardduty2",
            "aws/GuardDuty",
            "guardduty",
            "aws/guardduty/",
            "aws/guardduty ",
            "acme/aws/guardduty",
            "aws\u200b/guardduty",
        )
    )
    arn = dice.choice(
        (
            f"arn:aws:securityhub:{REGION}:{MEMBER_ACCOUNT}:product/{name}",
            f"arn:aws:securityhub:{REGION}::product/{name}",
        )
    )
    event = asff(_found(court, dice) | {"Id": f"x/{uuid.uuid4().hex}", "ProductArn": arn, "ProductName": "GuardDuty"})
    court.known(event, source="aws.securityhub", kind="Security Hub Findings - Imported")
    return Hostile(event, NEVER, f"product {arn!r}")


@kind
def guarddutys_arn_in_an_unknown_finding(court: Court, dice: random.Random) -> Hostile:
    """An event put straight into the queue under GuardDuty's name: no service knows it."""
    shape = dice.choice((asff, guardduty, ocsf))
    return Hostile(shape(_found(court, dice)), UNHEARD | {Fate.ASKS}, f"{shape.__name__} that no service knows")


@kind
def finding_of_another_id(court: Court, dice: random.Random) -> Hostile:
    """An honest finding is known; the event has another id beside the same instance."""
    known = asff(_found(court, dice))
    court.known(known, source="aws.securityhub", kind="Security Hub Findings - Imported")
    other = changed(known, Id=f"{known['detail']['findings'][0]['Id'].rpartition('/')[0]}/{uuid.uuid4().hex}")
    return Hostile(other, UNHEARD | {Fate.ASKS}, "another finding id than the known one")


@kind
def more_severe_than_the_record(court: Court, dice: random.Random) -> Hostile:
    """GuardDuty has it as LOW; the event says more."""
    found = court.finding(label="LOW", kind=dice.choice(ISOLATING))
    court.known(asff(found), source="aws.securityhub", kind="Security Hub Findings - Imported")
    shape = dice.choice((asff, guardduty))
    raised = shape(found | {"Severity": {"Label": dice.choice(LABELS)}})
    return Hostile(raised, UNHEARD | {Fate.ASKS}, f"{shape.__name__} with a severity that the record has not")


@kind
def about_another_instance(court: Court, dice: random.Random) -> Hostile:
    """GuardDuty has it about another instance; the event names the target."""
    found = _found(court, dice)
    other = f"arn:aws:ec2:{REGION}:{MEMBER_ACCOUNT}:instance/i-{dice.getrandbits(68):017x}"
    resources = [{**found["Resources"][0], "Id": other}]
    court.known(
        asff(found | {"Resources": resources}), source="aws.securityhub", kind="Security Hub Findings - Imported"
    )
    return Hostile(asff(found), UNHEARD | {Fate.ASKS}, "an instance that the record does not name")


@kind
def archived_original(court: Court, dice: random.Random) -> Hostile:
    """GuardDuty archived it; an old event is sent again."""
    found = _found(court, dice)
    court.known(
        asff(found | {"RecordState": "ARCHIVED"}), source="aws.securityhub", kind="Security Hub Findings - Imported"
    )
    return Hostile(asff(found), UNHEARD | {Fate.ASKS}, "an event of a finding that is archived")


@kind
def button_of_a_member(court: Court, dice: random.Random) -> Hostile:
    """A custom action pressed in the member's own Security Hub."""
    found = _found(court, dice)
    court.known(asff(found), source="aws.securityhub", kind="Security Hub Findings - Imported")
    event = asff(found) | {"account": MEMBER_ACCOUNT, "detail-type": "Security Hub Findings - Custom Action"}
    event["detail"] |= {"actionName": "ForensicIsolate", "actionDescription": "x"}
    action = f"arn:aws:securityhub:{REGION}:{MEMBER_ACCOUNT}:action/custom/ForensicIsolate"
    event["resources"] = [action]
    return Hostile(event, UNHEARD | {Fate.ASKS}, "custom action of a member account")


@kind
def envelope_of_another_account(court: Court, dice: random.Random) -> Hostile:
    """GuardDuty's event under an envelope of an account that is neither the finding's nor an administrator's."""
    found = _found(court, dice)
    court.known(asff(found), source="aws.securityhub", kind="Security Hub Findings - Imported")
    event = guardduty(found) | {"account": f"{dice.randrange(10**11, 10**12)}"}
    return Hostile(event, UNHEARD | {Fate.ASKS}, f"envelope of {event['account']}")


@kind
def posture_as_an_incident(court: Court, dice: random.Random) -> Hostile:
    """A failed control or a CVE with the severity of an attack."""
    types = dice.choice(
        (
            "Software and Configuration Checks/Vulnerabilities/CVE",
            "Software and Configuration Checks/Industry and Regulatory Standards/CIS AWS Foundations Benchmark",
            "Software and Configuration Checks/Patch Management",
        )
    )
    found = court.finding(label="CRITICAL", kind=types) | {
        "Id": f"x/{uuid.uuid4().hex}",
        "ProductArn": f"arn:aws:securityhub:{REGION}::product/aws/{dice.choice(('inspector', 'securityhub'))}",
        "Compliance": {"Status": "FAILED"},
    }
    court.known(asff(found), source="aws.securityhub", kind="Security Hub Findings - Imported")
    return Hostile(asff(found), frozenset({Fate.IGNORED, Fate.NOTHING}), f"{types} as CRITICAL")


@kind
def request_that_nobody_signed(court: Court, dice: random.Random) -> Hostile:
    """A message that calls itself a person's request: no signature, or made-up bytes."""
    detail = court.request(dice.choice(("soc-lead", "root", "alice")))
    if dice.random() < 0.7:
        value = base64.b64encode(dice.randbytes(dice.choice((8, 72, 103)))).decode()
        detail["signature"] = {"key_id": "alias/forensics-documents", "value": value}
    return Hostile(court.manual(detail), frozenset({Fate.QUARANTINED, Fate.NOTHING}), "a request that nobody signed")


@kind
def signed_request_altered(court: Court, dice: random.Random) -> Hostile:
    """A signed request whose fields were changed afterwards."""
    detail = court.signed(court.request("alice", isolate=False))
    name, value = dice.choice(
        (
            ("instance_id", f"i-{dice.getrandbits(68):017x}"),
            ("requester", "mallory"),
            ("actions", {"memory": True, "disk": True, "isolate": True}),
            ("nonce", f"{dice.getrandbits(100):032x}"),
            ("expires_at", detail["expires_at"].replace("+00:00", "Z")),
            ("reason", "another reason"),
        )
    )
    fates = frozenset({Fate.QUARANTINED, Fate.NOTHING})
    return Hostile(court.manual({**detail, name: value}), fates, f"{name} changed after signing")


@kind
def signed_request_again(court: Court, dice: random.Random) -> Hostile:
    """A request that was carried out is sent a second time, by another message."""
    del dice
    event = court.manual(court.signed(court.request("alice")))
    court.judge(event)
    again = {**event, "id": str(uuid.uuid4())}
    return Hostile(again, frozenset({Fate.QUARANTINED, Fate.NOTHING}), "a repetition of a signed request")


@kind
def request_signed_by_the_pipelines_key(court: Court, dice: random.Random) -> Hostile:
    """The pipeline can sign heads of ledgers; what it signs is no person's word."""
    del dice
    detail = court.signed(court.request("alice"), key=court.hook.settings.signing_key_id)
    return Hostile(court.manual(detail), frozenset({Fate.QUARANTINED, Fate.NOTHING}), "signed by the ledger's key")


@kind
def request_after_its_end(court: Court, dice: random.Random) -> Hostile:
    """A signed request that has ended, or one that would be good for longer than an hour."""
    minutes = dice.choice((-600, -10, 90, 60 * 24 * 365))
    detail = court.signed(court.request("alice", minutes=minutes))
    return Hostile(court.manual(detail), frozenset({Fate.QUARANTINED}), f"good for {minutes} minutes")


@kind
def webhook_that_its_sender_did_not_sign(court: Court, dice: random.Random) -> Hostile:
    """A webhook under a made-up key, in the name of a sender that there is not, about an account that is not its own, or out of time."""
    changes: dict[str, Any] = dice.choice(
        (
            {"key": f"{dice.getrandbits(200):050x}"},
            {"key_id": "edr.2025-01"},
            {"key_id": "soc.2026-10"},
            {"account_id": "111122223333"},
            {"at": datetime.now(UTC) - timedelta(minutes=dice.choice((6, 60, 6000)))},
            {"at": datetime.now(UTC) + timedelta(minutes=dice.choice((6, 60, 6000)))},
        )
    )
    event = court.alert(severity=dice.choice(LABELS), types=[dice.choice(ISOLATING)], **changes)
    return Hostile(event, frozenset({Fate.QUARANTINED}), f"webhook with {sorted(changes)}")


@kind
def webhook_altered_or_repeated(court: Court, dice: random.Random) -> Hostile:
    """A signed webhook whose body, time or key id was changed afterwards, or that is sent a second time."""
    event = court.alert(severity="LOW", types=["Recon:EC2/PortProbeUnprotectedPort"])
    other = court.alert(
        severity="CRITICAL", types=[dice.choice(ISOLATING)], at=datetime.now(UTC) - timedelta(minutes=1)
    )
    name = dice.choice(("body", "signature", "nothing: it is sent again"))
    if name in event["detail"]:
        event["detail"][name] = other["detail"][name]
    else:
        court.judge(event)
    return Hostile({**event, "id": str(uuid.uuid4())}, frozenset({Fate.QUARANTINED}), f"webhook, changed: {name}")


@kind
def webhook_of_a_sender_that_was_taken_over(court: Court, dice: random.Random) -> Hostile:
    """Its sender's key is in the wrong hands: the policy does not trust it to isolate by itself."""
    event = court.alert(severity=dice.choice(LABELS), types=[dice.choice(ISOLATING)])
    return Hostile(event, frozenset({Fate.ASKS}), "a well signed webhook")


@kind
def text_that_is_no_event(court: Court, dice: random.Random) -> Hostile:
    """Bodies that are not what they say."""
    del court
    body = dice.choice(
        ("", "[]", "null", "{", '{"detail-type": "GuardDuty Finding"}', '"x"', "\ud800", '{"detail": {"findings": {}}}')
    )
    return Hostile(body, frozenset({Fate.QUARANTINED, Fate.IGNORED}), f"body {body!r}")
