"""One queue message to one verdict."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from forensics.intake.readers import asff, config_rules, guardduty, manual, ocsf
from forensics.intake.readers.envelope import (
    CONFIG,
    CUSTOM_ACTION,
    GUARDDUTY,
    IMPORTED,
    IMPORTED_V2,
    Envelope,
    check_ids,
    open_body,
)
from forensics.intake.readers.fields import REASON_LENGTH, QuarantineError, clean, quarantine
from forensics.intake.readers.identifiers import parse_instance
from forensics.intake.readers.parsed_finding import Claim, Judgement, Rules, judge
from forensics.models.finding import CustomAction, Finding, FindingSource, Intake, Unresolved, Verdict

log = logging.getLogger(__name__)

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
_REMARKS = 20

Reader = Callable[[], Claim]


def read_event(
    body: str,
    *,
    received_at: datetime,
    accept_samples: bool = False,
    own_account: str | None = None,
    administrators: Collection[str] = (),
    rule_names: Collection[str] | None = None,
) -> Intake:
    """Read the body of one queue message; every input gets a verdict, none raises.

    ``own_account``: findings about the forensic account are ignored. ``administrators``: accounts whose
    envelopes are believed when they carry a member's GuardDuty finding. ``rule_names``: Config rules that
    open cases, None for all.

    When at least one finding is accepted the verdict is ACCEPT, and ``extra`` holds what became of the others
    under ``ignored`` and ``quarantined``.
    """
    rules = Rules(
        received_at=received_at if received_at.tzinfo else received_at.replace(tzinfo=UTC),
        accept_samples=accept_samples,
        own_account=own_account,
        administrators=frozenset(administrators),
        rule_names=None if rule_names is None else frozenset(rule_names),
    )
    envelope: Envelope | None = None
    try:
        envelope = open_body(body)
        return _read(envelope, rules=rules)
    except QuarantineError as error:
        return _intake(Verdict.QUARANTINE, reason=error.message, envelope=envelope)
    except Exception as error:
        # A message that kills its reader would come back for ever and keep the others waiting.
        log.exception("event intake failed; the message is quarantined")
        return _intake(Verdict.QUARANTINE, reason=f"internal error in the event intake: {error!r}", envelope=envelope)


def _intake(
    verdict: Verdict,
    *,
    reason: str,
    envelope: Envelope | None,
    findings: tuple[Finding, ...] = (),
    unresolved: tuple[Unresolved, ...] = (),
    unplaced: tuple[str, ...] = (),
    extra: dict[str, Any] | None = None,
) -> Intake:
    return Intake(
        verdict=verdict,
        reason=clean(reason, limit=REASON_LENGTH),
        findings=findings,
        unresolved=unresolved,
        unplaced=unplaced,
        event_id=clean(envelope.event_id, limit=128) if envelope and envelope.event_id else None,
        detail_type=clean(envelope.detail_type, limit=128) if envelope else None,
        extra=extra or {},
    )


def _read(envelope: Envelope, *, rules: Rules) -> Intake:
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
            offered = ", ".join(item.value for item in CustomAction)
            return _intake(Verdict.IGNORE, reason=f"custom action {shown!r} is not ours ({offered})", envelope=envelope)
    judgements = [
        _judge(read, envelope=envelope, rules=rules) for read in _readers(envelope, action=action, rules=rules)
    ]
    return _combine(judgements, envelope=envelope)


def _not_a_finding(envelope: Envelope) -> Intake:
    source = envelope.source or ""
    if not source.startswith("aws."):
        raise quarantine("source", value=envelope.source, problem=f"unknown event {envelope.detail_type}")
    extra: dict[str, Any] = {}
    if envelope.detail_type == _STATE_CHANGE:
        # No finding, but whoever follows a case on this instance wants to know.
        check_ids(envelope)
        instance = parse_instance(envelope.detail.get("instance-id"), field="detail.instance-id")
        extra["instance_state"] = {
            "account_id": envelope.account,
            "region": envelope.region,
            "instance_id": instance.instance_id,
            "state": clean(str(envelope.detail.get("state")), limit=32),
        }
    reason = f"{envelope.detail_type} of {source} carries no finding"
    return _intake(Verdict.IGNORE, reason=reason, envelope=envelope, extra=extra)


def _action(envelope: Envelope) -> CustomAction | None:
    """Match the action by its name as shown in the console or by the last part of its ARN."""
    names = [envelope.detail.get("actionName"), *(arn.rpartition("/")[2] for arn in envelope.resources)]
    known = {_plain(action.value): action for action in CustomAction}
    found = {known[_plain(name)] for name in names if isinstance(name, str) and _plain(name) in known}
    if len(found) > 1:
        shown = ", ".join(sorted(action.value for action in found))
        raise quarantine("actionName", value=names[0], problem=f"name and ARN of the action disagree: {shown}")
    return found.pop() if found else None


def _plain(name: str) -> str:
    """``Forensic Triage``, ``ForensicTriageAction`` and ``ForensicTriageAct`` are the same action."""
    return re.sub(r"act(ion)?$", "", re.sub(r"[^a-z0-9]", "", name.lower()))


def _readers(envelope: Envelope, *, action: CustomAction | None, rules: Rules) -> Iterator[Reader]:
    if envelope.source == manual.SOURCE:
        yield lambda: manual.read(envelope.detail, field="detail", envelope=envelope, rules=rules)
    elif envelope.detail_type == CONFIG:
        yield lambda: config_rules.read(envelope.detail, field="detail", envelope=envelope, rules=rules)
    elif envelope.detail_type == GUARDDUTY:
        yield lambda: guardduty.read(envelope.detail, field="detail", envelope=envelope, rules=rules)
    else:
        findings = envelope.detail.get("findings")
        if not isinstance(findings, list):
            raise quarantine("detail.findings", value=findings, problem="not a list of findings")
        for index, item in enumerate(findings):
            yield _security_hub_reader(
                item, field=f"detail.findings.{index}", envelope=envelope, action=action, rules=rules
            )


def _security_hub_reader(
    item: Any, *, field: str, envelope: Envelope, action: CustomAction | None, rules: Rules
) -> Reader:
    # By shape, not by detail-type: both formats have been seen under either.
    module = ocsf if isinstance(item, dict) and "finding_info" in item else asff
    source = _SECURITY_HUB[envelope.detail_type]
    return lambda: module.read(item, field=field, envelope=envelope, rules=rules, source=source, action=action)


def _judge(read: Reader, *, envelope: Envelope, rules: Rules) -> Judgement:
    try:
        return judge(read(), envelope=envelope, rules=rules)
    except QuarantineError as error:
        return Judgement(Verdict.QUARANTINE, reason=error.message)


def _combine(judgements: list[Judgement], *, envelope: Envelope) -> Intake:
    extra: dict[str, Any] = {}
    by_verdict = {
        verdict: [item.reason for item in judgements if item.verdict is verdict]
        for verdict in (Verdict.QUARANTINE, Verdict.IGNORE)
    }
    open_ends: dict[str, Any] = {
        "unresolved": tuple(ref for judgement in judgements for ref in judgement.unresolved),
        "unplaced": tuple(key for judgement in judgements for key in judgement.unplaced),
    }
    findings = _newest(finding for judgement in judgements for finding in judgement.findings)
    if findings:
        for verdict, name in ((Verdict.QUARANTINE, "quarantined"), (Verdict.IGNORE, "ignored")):
            if by_verdict[verdict]:
                extra[name] = by_verdict[verdict][:_REMARKS]
        counts = ", ".join(f"{len(extra[name])} {name}" for name in ("quarantined", "ignored") if name in extra)
        reason = f"{len(findings)} accepted" + (f", {counts}" if counts else "")
        return _intake(Verdict.ACCEPT, reason=reason, envelope=envelope, findings=findings, extra=extra, **open_ends)
    for verdict, reasons in by_verdict.items():
        if reasons:
            others = f" (and {len(judgements) - 1} more findings in this event)" if len(judgements) > 1 else ""
            return _intake(
                verdict,
                reason=clean(reasons[0], limit=REASON_LENGTH - len(others)) + others,
                envelope=envelope,
                extra=extra,
                **open_ends,
            )
    return _intake(Verdict.IGNORE, reason="the event's list of findings is empty", envelope=envelope)


def _newest(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    """Keep one finding per key, the one updated last."""
    kept: dict[str, Finding] = {}
    for finding in findings:
        before = kept.get(finding.key)
        if before is None or (finding.updated_at and (not before.updated_at or finding.updated_at > before.updated_at)):
            kept[finding.key] = finding
    return tuple(kept.values())
