"""Whether a parsed finding agrees with its envelope and its resources, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forensics.intake.readers.envelope import Envelope
from forensics.intake.readers.fields import QuarantineError, clean, quarantine
from forensics.intake.readers.identifiers import (
    SAMPLE_INSTANCE,
    InstanceRef,
    check_account,
    check_finding_id,
    check_partition,
    check_region,
    finding_key,
    partition_of,
)
from forensics.intake.readers.parsed_finding import Binding, IntakeRules, ParsedFinding
from forensics.models.finding import CustomAction, Finding, FindingSource, PostureFamily, Severity
from forensics.models.intake import FindingWithoutInstance, IntakeVerdict, UnresolvedFinding

# The instance of a finding whose resource has not been resolved yet.
PLACEHOLDER_INSTANCE = "i-00000000"
SAMPLE = "sample finding; the setting accept_samples is off"


@dataclass(frozen=True)
class Validation:
    """What becomes of one parsed finding."""

    verdict: IntakeVerdict
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    unresolved: tuple[UnresolvedFinding, ...] = ()
    unplaced: tuple[str, ...] = ()
    without_instance: tuple[FindingWithoutInstance, ...] = ()
    rejected: tuple[str, ...] = ()


def validate(parsed: ParsedFinding, *, envelope: Envelope, rules: IntakeRules) -> Validation:
    """Validate one parsed finding, in order: malformed ids, closed, no instance (artifacts among them), posture, contradictions, sample, own account.

    A finding without an instance is judged before contradictions are looked for: without a target it can do no harm. Each
    instance is judged by itself: one that contradicts the finding, or that cannot be read, is rejected with its reason and
    does not take the others with it. Raises :class:`QuarantineError` when none is left.
    """
    check_finding_id(parsed.finding_id, field="finding id")
    check_account(parsed.account, field="finding account")
    if parsed.region is not None:
        check_region(parsed.region, field="finding Region")
    if parsed.partition is not None:
        check_partition(parsed.partition, field="finding partition")
    # A person's order counts whatever the state of the finding: every finding that was worked is resolved.
    if parsed.source is FindingSource.SECURITY_HUB_ACTION and rules.administrators:
        _check_order(envelope, rules=rules)
    if rules.accounts and parsed.account not in rules.accounts:
        return _no_case(parsed, f"account {parsed.account} is none of this deployment's (setting target_accounts)")
    if parsed.closed and parsed.action is None and not rules.closed_too:
        return Validation(IntakeVerdict.IGNORE, reason=parsed.closed)
    if not parsed.instances and parsed.unreadable:
        raise QuarantineError(parsed.unreadable[0])
    if not parsed.instances:
        return _without_instance(parsed, envelope=envelope, rules=rules)
    if parsed.posture is not None and parsed.action is None and not _opens_cases(parsed.posture, rules=rules):
        return Validation(
            IntakeVerdict.IGNORE,
            reason=f"posture ({parsed.posture.value}): recorded, opens no case; the setting posture_cases brings it in",
        )
    findings, unplaced, rejected = {}, [], list(parsed.unreadable)
    for instance in parsed.instances:
        try:
            finding = _finding(parsed, instance=instance, envelope=envelope, rules=rules)
        except QuarantineError as error:
            rejected.append(error.message)
            continue
        findings[finding.key] = finding
        if not instance.placed:
            unplaced.append(finding.key)
    if not findings:
        raise QuarantineError(rejected[0])
    if parsed.sample and not rules.accept_samples:
        return _no_case(parsed, SAMPLE)
    if parsed.account == rules.own_account:
        return _no_case(parsed, "finding about the forensic account itself")
    return Validation(
        IntakeVerdict.ACCEPT,
        findings=tuple(findings.values()),
        unplaced=tuple(unplaced),
        rejected=tuple(rejected),
    )


def _no_case(parsed: ParsedFinding, reason: str) -> Validation:
    """No case for this; a person who pressed a button hears why: the quarantine is announced, an ignored event is not."""
    if parsed.action is not None:
        msg = f"custom action {parsed.action.value} opens no case: {reason}"
        raise QuarantineError(msg)
    return Validation(IntakeVerdict.IGNORE, reason=reason)


def _without_instance(parsed: ParsedFinding, *, envelope: Envelope, rules: IntakeRules) -> Validation:
    """Posture is counted; a resource that is attached to an instance is looked up; of the rest people are told."""
    if parsed.account == rules.own_account or (parsed.source is FindingSource.CONFIG and not parsed.attached):
        return _no_case(parsed, parsed.no_instance)
    if parsed.posture not in {None, PostureFamily.CONFIG} and parsed.action is None:
        reason = f"{parsed.no_instance}; posture ({parsed.posture}): recorded, opens no case"
        return Validation(IntakeVerdict.IGNORE, reason=reason)
    if parsed.sample and not rules.accept_samples:
        return _no_case(parsed, SAMPLE)
    told = None if parsed.posture is PostureFamily.CONFIG else _told(parsed, envelope=envelope, rules=rules)
    if parsed.attached:
        unresolved = tuple(_unresolved(parsed, otherwise=told, envelope=envelope, rules=rules))
        return Validation(IntakeVerdict.IGNORE, reason=parsed.no_instance, unresolved=unresolved)
    if told is not None and (findings := _of_artifacts(parsed, told, envelope=envelope, rules=rules)):
        return Validation(IntakeVerdict.ACCEPT, findings=findings)
    subject = clean(f"{parsed.subject.kind.phrase} {parsed.subject.resource}", limit=200)
    reason = f"{parsed.no_instance}: it is about {subject}"
    return Validation(IntakeVerdict.IGNORE, reason=reason, without_instance=(told,) if told else ())


def _of_artifacts(
    parsed: ParsedFinding, told: FindingWithoutInstance, *, envelope: Envelope, rules: IntakeRules
) -> tuple[Finding, ...]:
    """The finding about each snapshot and image that it names, when it is severe enough for cases of them.

    Without a machine nothing is lost by asking people instead: that is what becomes of a finding whose place nothing confirms.
    """
    ordered = told.action is not None and told.action is not CustomAction.RELEASE
    severe = told.severity_unread or told.severity.rank >= rules.artifacts_from.rank
    if told.sent_by or not (severe or ordered):
        return ()
    try:
        found = [_finding(parsed, instance=ref, envelope=envelope, rules=rules) for ref in parsed.subject.artifacts]
    except QuarantineError:
        return ()
    return tuple(found)


def _told(parsed: ParsedFinding, *, envelope: Envelope, rules: IntakeRules) -> FindingWithoutInstance:
    stranger = envelope.account not in {None, parsed.account, *rules.administrators}
    return FindingWithoutInstance(
        finding_id=parsed.finding_id,
        title=parsed.title,
        types=parsed.types,
        severity=parsed.severity or Severity.MEDIUM,
        severity_unread=parsed.severity is None,
        account_id=parsed.account,
        region=parsed.region or envelope.region or "",
        product=parsed.product,
        kind=parsed.subject.kind,
        resource=clean(parsed.subject.resource, limit=512),
        nodes=parsed.subject.nodes,
        sent_by=envelope.account if stranger else None,
        action=parsed.action,
        press=_press(parsed, envelope=envelope),
    )


def _check_order(envelope: Envelope, *, rules: IntakeRules) -> None:
    """A custom action of a member account is not an order: who took the account over could give it."""
    if envelope.account not in rules.administrators:
        known = ", ".join(sorted(rules.administrators))
        problem = f"custom actions count only from administrator accounts ({known}): press it there"
        raise quarantine("account", value=envelope.account, problem=problem)


def _opens_cases(family: PostureFamily, *, rules: IntakeRules) -> bool:
    # Config's rules have a list of their own: somebody chose them.
    return family is PostureFamily.CONFIG or family in rules.posture


def resolved(unresolved: UnresolvedFinding, *, instance_id: str) -> Finding:
    """The finding about the instance that its resource is attached to."""
    found = _moved(unresolved.template, region=unresolved.region, instance_id=instance_id)
    return found.model_copy(update={"found_by": unresolved.resource})


def placed(finding: Finding, *, region: str) -> Finding:
    """The finding with the Region that its instance really is in."""
    return _moved(finding, region=region, instance_id=finding.instance_id)


def _moved(finding: Finding, *, region: str, instance_id: str) -> Finding:
    key = finding_key(finding.finding_id, account=finding.account_id, region=region, instance_id=instance_id)
    changes = {"region": region, "instance_id": instance_id, "key": key}
    return Finding.model_validate({**finding.model_dump(), **changes})


def _unresolved(
    parsed: ParsedFinding, *, otherwise: FindingWithoutInstance | None, envelope: Envelope, rules: IntakeRules
) -> Iterator[UnresolvedFinding]:
    for attached in parsed.attached:
        # The place is checked as for an instance.
        placeholder = InstanceRef(
            PLACEHOLDER_INSTANCE, attached.field, attached.account, attached.region, vpc_id=attached.vpc_id
        )
        template = _finding(parsed, instance=placeholder, envelope=envelope, rules=rules)
        yield UnresolvedFinding(
            resource_type=attached.type, resource_id=attached.id, template=template, otherwise=otherwise
        )


def _finding(parsed: ParsedFinding, *, instance: InstanceRef, envelope: Envelope, rules: IntakeRules) -> Finding:
    region = _place(parsed, instance=instance, envelope=envelope, rules=rules)
    return Finding(
        key=finding_key(parsed.finding_id, account=parsed.account, region=region, instance_id=instance.instance_id),
        source=parsed.source,
        finding_id=parsed.finding_id,
        title=parsed.title,
        types=parsed.types,
        # A finding whose severity nobody can read falls on the side of acquiring.
        severity=parsed.severity or Severity.MEDIUM,
        severity_unread=parsed.severity is None,
        account_id=parsed.account,
        region=region,
        instance_id=instance.instance_id,
        artifact=instance.artifact,
        resource_role=parsed.resource_role,
        created_at=parsed.created_at,
        updated_at=parsed.updated_at,
        action=parsed.action,
        press=_press(parsed, envelope=envelope),
        sample=parsed.sample or instance.instance_id == SAMPLE_INSTANCE,
        posture=parsed.posture is not None,
        product=parsed.product,
        product_arn=parsed.product_arn,
        from_administrator=parsed.action is not None and envelope.account in rules.administrators,
        requester=parsed.requester,
        reason=parsed.reason,
        requested=parsed.requested,
        signature=parsed.signature,
        ocsf=parsed.ocsf,
        vpc_id=instance.vpc_id,
        peers=parsed.peers,
        domains=parsed.domains,
    )


def _press(parsed: ParsedFinding, *, envelope: Envelope) -> str | None:
    """EventBridge gives each press of a custom action an event of its own, and a repeated delivery the same one again."""
    if parsed.source is not FindingSource.SECURITY_HUB_ACTION:
        return None
    return clean(envelope.event_id or envelope.time or "", limit=64) or None


def _place(parsed: ParsedFinding, *, instance: InstanceRef, envelope: Envelope, rules: IntakeRules) -> str:
    """Return the instance's Region once finding, resource and envelope agree on where it is."""
    if instance.account and instance.account != parsed.account:
        raise _contradiction(instance, name="account", stated=instance.account, of_finding=parsed.account)
    region = parsed.region or instance.region or envelope.region
    if region is None:
        raise quarantine("finding Region", value=None, problem="neither finding, resource nor envelope name a Region")
    if instance.region and instance.region != region:
        raise _contradiction(instance, name="Region", stated=instance.region, of_finding=region)
    for stated in (parsed.partition, instance.partition):
        if stated and stated != partition_of(region):
            raise quarantine(instance.field, value=stated, problem=f"Region {region} is not in this partition")
    known = envelope.account in rules.administrators
    _bind(
        parsed.account_binding,
        name="account",
        envelope=envelope.account,
        of_finding=parsed.account,
        confirmed=bool(instance.account) or known,
    )
    _bind(
        parsed.region_binding,
        name="region",
        envelope=envelope.region,
        of_finding=region,
        # An administrator's aggregation Region holds findings of all Regions, some with bare ids.
        confirmed=bool(instance.region) or (known and parsed.region is not None),
    )
    return region


def _contradiction(instance: InstanceRef, *, name: str, stated: str, of_finding: str) -> QuarantineError:
    return quarantine(
        f"{instance.field} ({instance.instance_id})",
        value=stated,
        problem=f"the resource's {name} contradicts the finding's {name} {of_finding}",
    )


def _bind(binding: Binding, *, name: str, envelope: str | None, of_finding: str, confirmed: bool) -> None:
    if envelope is None or envelope == of_finding or binding is Binding.FREE:
        return
    if binding is Binding.CONFIRMED and confirmed:
        return
    problem = f"the envelope's {name} contradicts the finding's {name} {of_finding}"
    if binding is Binding.CONFIRMED:
        problem += " and nothing in the resource confirms the latter"
    raise quarantine(name, value=envelope, problem=problem)
