"""One queue message to one verdict."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from forensics.deployment import action_name
from forensics.intake.readers import asff, config_rules, guardduty, manual, ocsf, webhook
from forensics.intake.readers.envelope import (
    CONFIG,
    CUSTOM_ACTION,
    GUARDDUTY,
    HEARTBEAT_SOURCE,
    IMPORTED,
    IMPORTED_V2,
    Envelope,
    check_ids,
    open_body,
)
from forensics.intake.readers.fields import REASON_LENGTH, QuarantineError, clean, members, moment, quarantine
from forensics.intake.readers.identifiers import parse_instance
from forensics.intake.readers.parsed_finding import IntakeRules, ParsedFinding
from forensics.intake.readers.peers import domains_of, peers_of
from forensics.intake.readers.validation import Validation, validate
from forensics.models.finding import CustomAction, Finding, FindingSource, PostureFamily, Severity
from forensics.models.intake import InstanceState, IntakeResult, IntakeVerdict
from forensics.models.preflight import Heartbeat

log = logging.getLogger(__name__)

# The custom actions of this deployment by their names in Security Hub; those of another one are not ours.
ACTIONS = {action_name(action.value): action for action in CustomAction}
_SOURCES = {
    IMPORTED: "aws.securityhub",
    CUSTOM_ACTION: "aws.securityhub",
    IMPORTED_V2: "aws.securityhub",
    GUARDDUTY: "aws.guardduty",
    CONFIG: "aws.config",
}
_SECURITY_HUB = {
    IMPORTED: FindingSource.SECURITY_HUB,
    CUSTOM_ACTION: FindingSource.SECURITY_HUB_ACTION,
    IMPORTED_V2: FindingSource.SECURITY_HUB_V2,
}
_STATE_CHANGE = "EC2 Instance State-change Notification"
_REASONS_KEPT = 20

Reader = Callable[[], ParsedFinding]


def read_event(
    body: str,
    *,
    received_at: datetime,
    accept_samples: bool = False,
    own_account: str | None = None,
    administrators: Collection[str] = (),
    rule_names: Collection[str] | None = None,
    posture: Collection[PostureFamily] = (),
    closed_too: bool = False,
    artifacts_from: Severity = Severity.HIGH,
    accounts: Collection[str] = (),
) -> IntakeResult:
    """Read the body of one queue message; every input gets a verdict, none raises.

    ``own_account``: findings about the forensic account are ignored. ``administrators``: accounts whose
    envelopes are believed when they carry a member's GuardDuty finding. ``rule_names``: Config rules that
    open cases, None for all. ``posture``: families of posture findings that open cases. ``closed_too``:
    read findings that are over like open ones. ``artifacts_from``: from this severity on a snapshot or an image gets a case.
    ``accounts``: those whose targets are this deployment's, none for all.
    """
    rules = IntakeRules(
        received_at=received_at if received_at.tzinfo else received_at.replace(tzinfo=UTC),
        accept_samples=accept_samples,
        own_account=own_account,
        administrators=frozenset(administrators),
        rule_names=None if rule_names is None else frozenset(rule_names),
        posture=frozenset(posture),
        closed_too=closed_too,
        artifacts_from=artifacts_from,
        accounts=frozenset(accounts),
    )
    envelope: Envelope | None = None
    try:
        envelope = open_body(body)
        return _read(envelope, rules=rules)
    except QuarantineError as error:
        return _result(IntakeVerdict.QUARANTINE, reason=error.message, envelope=envelope)
    except Exception as error:
        # A message that crashes its reader would be redelivered for ever and hold up the others.
        log.exception("event intake failed; the message is quarantined")
        return _result(
            IntakeVerdict.QUARANTINE, reason=f"internal error in the event intake: {error!r}", envelope=envelope
        )


def _result(
    verdict: IntakeVerdict,
    *,
    reason: str,
    envelope: Envelope | None,
    validations: Sequence[Validation] = (),
    findings: tuple[Finding, ...] = (),
    ignored: Sequence[str] = (),
    quarantined: Sequence[str] = (),
    instance_state: InstanceState | None = None,
    heartbeat: Heartbeat | None = None,
) -> IntakeResult:
    return IntakeResult(
        verdict=verdict,
        reason=clean(reason, limit=REASON_LENGTH),
        findings=findings,
        ignored=tuple(ignored[:_REASONS_KEPT]),
        quarantined=tuple(quarantined[:_REASONS_KEPT]),
        unresolved=tuple(reference for validation in validations for reference in validation.unresolved),
        unplaced=tuple(key for validation in validations for key in validation.unplaced),
        without_instance=tuple(item for validation in validations for item in validation.without_instance),
        instance_state=instance_state,
        heartbeat=heartbeat,
        event_id=clean(envelope.event_id, limit=128) if envelope and envelope.event_id else None,
        detail_type=clean(envelope.detail_type, limit=128) if envelope else None,
    )


def _heartbeat(envelope: Envelope, *, rules: IntakeRules) -> IntakeResult:
    """The preflight's test event: it opens nothing, whatever else it says."""
    check_ids(envelope)
    if envelope.account is None:
        raise quarantine("account", value=None, problem="a test event names no account")
    received = rules.received_at
    beat = Heartbeat(
        sent_at=moment(envelope.time, received_at=received) or received,
        received_at=received,
        account_id=envelope.account,
        region=envelope.region,
    )
    return _result(IntakeVerdict.IGNORE, reason="test event of the preflight", envelope=envelope, heartbeat=beat)


def _webhook(envelope: Envelope, *, rules: IntakeRules) -> IntakeResult:
    """What a webhook states; its signature is checked before anything of it counts."""
    if envelope.detail_type != webhook.DETAIL_TYPE:
        raise quarantine("detail-type", value=envelope.detail_type, problem=f"a webhook's is {webhook.DETAIL_TYPE}")
    signed = webhook.open_detail(envelope)
    # AWS's account and Region of the front door say nothing about the target.
    bare = replace(envelope, account=None, region=None)
    found = _validated(None, lambda: webhook.read(signed, rules=rules), envelope=bare, rules=rules)
    return _combine([found], envelope=bare).model_copy(update={"signed": signed})


def _read(envelope: Envelope, *, rules: IntakeRules) -> IntakeResult:
    if envelope.source == HEARTBEAT_SOURCE:
        return _heartbeat(envelope, rules=rules)
    if envelope.source == webhook.SOURCE:
        return _webhook(envelope, rules=rules)
    if envelope.source != manual.SOURCE and envelope.detail_type not in _SOURCES:
        return _not_a_finding(envelope)
    expected = _SOURCES.get(envelope.detail_type)
    if envelope.source not in {expected, manual.SOURCE}:
        # EventBridge reserves sources aws.* for AWS: another source is somebody's imitation of a finding.
        raise quarantine("source", value=envelope.source, problem=f"{envelope.detail_type} comes from {expected}")
    check_ids(envelope)
    action: CustomAction | None = None
    if envelope.detail_type == CUSTOM_ACTION and envelope.source != manual.SOURCE:
        action = _action(envelope)
        if action is None:
            shown = clean(str(envelope.detail.get("actionName")), limit=80)
            offered = ", ".join(ACTIONS)
            return _result(
                IntakeVerdict.IGNORE, reason=f"custom action {shown!r} is not ours ({offered})", envelope=envelope
            )
    validations = [
        _validated(item, read, envelope=envelope, rules=rules)
        for item, read in _readers(envelope, action=action, rules=rules)
    ]
    return _combine(validations, envelope=envelope)


def _not_a_finding(envelope: Envelope) -> IntakeResult:
    source = envelope.source or ""
    if not source.startswith("aws."):
        raise quarantine("source", value=envelope.source, problem=f"unknown event {envelope.detail_type}")
    state = None
    if envelope.detail_type == _STATE_CHANGE:
        check_ids(envelope)
        instance = parse_instance(envelope.detail.get("instance-id"), field="detail.instance-id")
        state = InstanceState(
            account_id=envelope.account,
            region=envelope.region,
            instance_id=instance.instance_id,
            state=clean(str(envelope.detail.get("state")), limit=32),
        )
    reason = f"{envelope.detail_type} of {source} carries no finding"
    return _result(IntakeVerdict.IGNORE, reason=reason, envelope=envelope, instance_state=state)


def _action(envelope: Envelope) -> CustomAction | None:
    """Match the action by its name as shown in the console or by the last part of its ARN."""
    names = [envelope.detail.get("actionName"), *(arn.rpartition("/")[2] for arn in envelope.resources)]
    known = {_plain(shown): action for shown, action in ACTIONS.items()}
    found = {known[_plain(name)] for name in names if isinstance(name, str) and _plain(name) in known}
    if len(found) > 1:
        shown = ", ".join(sorted(action.value for action in found))
        raise quarantine("actionName", value=names[0], problem=f"name and ARN of the action disagree: {shown}")
    return found.pop() if found else None


def _plain(name: str) -> str:
    """``Forensic Triage``, ``ForensicTriageAction`` and ``ForensicTriageAct`` are the same action."""
    return re.sub(r"act(ion)?$", "", re.sub(r"[^a-z0-9]", "", name.lower()))


def _readers(envelope: Envelope, *, action: CustomAction | None, rules: IntakeRules) -> Iterator[tuple[object, Reader]]:
    detail = envelope.detail
    if envelope.source == manual.SOURCE:
        yield detail, lambda: manual.read(detail, field="detail", envelope=envelope, rules=rules)
    elif envelope.detail_type == CONFIG:
        yield detail, lambda: config_rules.read(detail, field="detail", envelope=envelope, rules=rules)
    elif envelope.detail_type == GUARDDUTY:
        yield detail, lambda: guardduty.read(detail, field="detail", envelope=envelope, rules=rules)
    else:
        findings = envelope.detail.get("findings")
        if not isinstance(findings, list):
            raise quarantine("detail.findings", value=findings, problem="not a list of findings")
        for index, item in enumerate(findings):
            field = f"detail.findings.{index}"
            yield item, _security_hub_reader(item, field=field, envelope=envelope, action=action, rules=rules)


def _security_hub_reader(
    item: object, *, field: str, envelope: Envelope, action: CustomAction | None, rules: IntakeRules
) -> Reader:
    # By format, not by detail-type: both formats have been seen under either.
    module = ocsf if "finding_info" in members(item) else asff
    source = _SECURITY_HUB[envelope.detail_type]
    return lambda: module.read(item, field=field, envelope=envelope, rules=rules, source=source, action=action)


def _validated(item: object, read: Reader, *, envelope: Envelope, rules: IntakeRules) -> Validation:
    try:
        parsed = read()
        named = replace(parsed, peers=parsed.peers or peers_of(item), domains=parsed.domains or domains_of(item))
        return validate(named, envelope=envelope, rules=rules)
    except QuarantineError as error:
        return Validation(IntakeVerdict.QUARANTINE, reason=error.message)


def _combine(validations: list[Validation], *, envelope: Envelope) -> IntakeResult:
    ignored = [v.reason for v in validations if v.verdict is IntakeVerdict.IGNORE]
    quarantined = [v.reason for v in validations if v.verdict is IntakeVerdict.QUARANTINE]
    quarantined += [reason for v in validations for reason in v.rejected if v.verdict is not IntakeVerdict.QUARANTINE]
    findings = _newest(finding for validation in validations for finding in validation.findings)
    if findings:
        beside = {"quarantined": min(len(quarantined), _REASONS_KEPT), "ignored": min(len(ignored), _REASONS_KEPT)}
        counts = [f"{count} {name}" for name, count in beside.items() if count]
        return _result(
            IntakeVerdict.ACCEPT,
            reason=", ".join([f"{len(findings)} accepted", *counts]),
            envelope=envelope,
            validations=validations,
            findings=findings,
            ignored=ignored,
            quarantined=quarantined,
        )
    if not validations:
        return _result(IntakeVerdict.IGNORE, reason="the event's list of findings is empty", envelope=envelope)
    others = f" (and {len(validations) - 1} more findings in this event)" if len(validations) > 1 else ""
    return _result(
        IntakeVerdict.QUARANTINE if quarantined else IntakeVerdict.IGNORE,
        reason=clean((quarantined or ignored)[0], limit=REASON_LENGTH - len(others)) + others,
        envelope=envelope,
        validations=validations,
    )


def _newest(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    """Keep one finding per key, the one updated last."""
    kept: dict[str, Finding] = {}
    for finding in findings:
        before = kept.get(finding.key)
        if before is None or (finding.updated_at and (not before.updated_at or finding.updated_at > before.updated_at)):
            kept[finding.key] = finding
    return tuple(kept.values())
