"""What one finding claims, whatever service it came from, and what is made of the claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from forensics.intake.readers.envelope import Envelope
from forensics.intake.readers.fields import QuarantineError, quarantine, truth
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
from forensics.models.finding import (
    CustomAction,
    Finding,
    FindingSource,
    RequestSignature,
    Severity,
    Unresolved,
    Verdict,
)

_STAND_IN = "i-00000000"


@dataclass(frozen=True)
class Rules:
    """What the deployment wants of the intake."""

    received_at: datetime
    accept_samples: bool = False
    own_account: str | None = None
    administrators: frozenset[str] = frozenset()
    rule_names: frozenset[str] | None = None


class Binding(Enum):
    """How far the envelope's account or Region binds a finding in it."""

    SAME = "must be the finding's"
    CONFIRMED = "may be another's (administrator, aggregation Region) when the resource itself confirms the finding's"
    FREE = "says nothing about the target"


@dataclass(frozen=True)
class AttachedRef:
    """A resource that hangs on an instance, by CloudFormation's type name."""

    type: str
    id: str
    field: str


@dataclass(frozen=True)
class Claim:
    """One finding as its source states it; ``closed`` is the reason why it is no longer open."""

    source: FindingSource
    finding_id: str
    account: str
    region: str | None
    instances: tuple[InstanceRef, ...]
    title: str
    account_binding: Binding
    region_binding: Binding
    partition: str | None = None
    types: tuple[str, ...] = ()
    severity: Severity = Severity.INFORMATIONAL
    closed: str | None = None
    no_instance: str = "no EC2 instance among its resources"
    sample: bool = False
    posture: bool = False
    resource_role: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    product: str = ""
    action: CustomAction | None = None
    requester: str | None = None
    reason: str | None = None
    requested: dict[str, bool] | None = None
    signature: RequestSignature | None = None
    ocsf: bool = False
    attached: AttachedRef | None = None


@dataclass(frozen=True)
class Judgement:
    """What is made of one claim."""

    verdict: Verdict
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()
    unplaced: tuple[str, ...] = ()


def is_sample(*flags: object, title: str | None, instances: tuple[InstanceRef, ...]) -> bool:
    """Whether GuardDuty made the finding up: by a flag, by its title, or by the instance that it invents."""
    return (
        any(truth(flag) for flag in flags)
        or (title or "").startswith("[SAMPLE]")
        or any(instance.instance_id == SAMPLE_INSTANCE for instance in instances)
    )


def judge(claim: Claim, *, envelope: Envelope, rules: Rules) -> Judgement:
    """Decide on one claim, in order: malformed ids, closed, no instance, contradictions, sample, own account.

    A finding without instance is ignored before contradictions are looked for: without a target it can do no
    harm. Raises :class:`QuarantineError`.
    """
    check_finding_id(claim.finding_id, field="finding id")
    check_account(claim.account, field="finding account")
    if claim.region is not None:
        check_region(claim.region, field="finding Region")
    if claim.partition is not None:
        check_partition(claim.partition, field="finding partition")
    # Containment is undone when all is over: a person may release also on a finding that is resolved.
    if claim.closed and claim.action is not CustomAction.RELEASE:
        return Judgement(Verdict.IGNORE, reason=claim.closed)
    if not claim.instances:
        unresolved = () if claim.account == rules.own_account else _unresolved(claim, envelope=envelope, rules=rules)
        return Judgement(Verdict.IGNORE, reason=claim.no_instance, unresolved=unresolved)
    # One contradiction spoils the whole finding: its other resources come from the same hand.
    findings, unplaced = {}, []
    for instance in claim.instances:
        finding = _finding(claim, instance=instance, envelope=envelope, rules=rules)
        findings[finding.key] = finding
        if not instance.placed:
            unplaced.append(finding.key)
    if claim.sample and not rules.accept_samples:
        return Judgement(Verdict.IGNORE, reason="sample finding; the setting accept_samples is off")
    if claim.account == rules.own_account:
        return Judgement(Verdict.IGNORE, reason="finding about the forensic account itself")
    return Judgement(Verdict.ACCEPT, findings=tuple(findings.values()), unplaced=tuple(unplaced))


def resolved(unresolved: Unresolved, *, instance_id: str) -> Finding:
    """The finding about the instance that its resource turned out to belong to."""
    template = unresolved.template
    key = finding_key(
        template["finding_id"], account=unresolved.account_id, region=unresolved.region, instance_id=instance_id
    )
    return Finding.model_validate({**template, "key": key, "instance_id": instance_id})


def placed(finding: Finding, *, region: str) -> Finding:
    """The finding with the Region that its instance really is in."""
    key = finding_key(finding.finding_id, account=finding.account_id, region=region, instance_id=finding.instance_id)
    return finding.model_copy(update={"region": region, "key": key})


def _unresolved(claim: Claim, *, envelope: Envelope, rules: Rules) -> tuple[Unresolved, ...]:
    attached = claim.attached
    if attached is None:
        return ()
    # Any instance id will do: the template leaves it out, and the place is checked as for an instance.
    stand_in = InstanceRef(instance_id=_STAND_IN, field=attached.field)
    finding = _finding(claim, instance=stand_in, envelope=envelope, rules=rules)
    return (
        Unresolved(
            resource_type=attached.type,
            resource_id=attached.id,
            account_id=finding.account_id,
            region=finding.region,
            template=finding.model_dump(mode="json", exclude={"key", "instance_id"}),
        ),
    )


def _finding(claim: Claim, *, instance: InstanceRef, envelope: Envelope, rules: Rules) -> Finding:
    region = _place(claim, instance=instance, envelope=envelope, rules=rules)
    return Finding(
        key=finding_key(claim.finding_id, account=claim.account, region=region, instance_id=instance.instance_id),
        source=claim.source,
        finding_id=claim.finding_id,
        title=claim.title,
        types=claim.types,
        severity=claim.severity,
        account_id=claim.account,
        region=region,
        instance_id=instance.instance_id,
        resource_role=claim.resource_role,
        created_at=claim.created_at,
        updated_at=claim.updated_at,
        action=claim.action,
        sample=claim.sample or instance.instance_id == SAMPLE_INSTANCE,
        posture=claim.posture,
        product=claim.product,
        requester=claim.requester,
        reason=claim.reason,
        requested=claim.requested,
        signature=claim.signature,
        ocsf=claim.ocsf,
        vpc_id=instance.vpc_id,
    )


def _place(claim: Claim, *, instance: InstanceRef, envelope: Envelope, rules: Rules) -> str:
    """Return the instance's Region once finding, resource and envelope agree on where it is."""
    if instance.account and instance.account != claim.account:
        raise _contradiction(instance, name="account", stated=instance.account, claimed=claim.account)
    region = claim.region or instance.region or envelope.region
    if region is None:
        raise quarantine("finding Region", value=None, problem="neither finding, resource nor envelope name a Region")
    if instance.region and instance.region != region:
        raise _contradiction(instance, name="Region", stated=instance.region, claimed=region)
    for stated in (claim.partition, instance.partition):
        if stated and stated != partition_of(region):
            raise quarantine(instance.field, value=stated, problem=f"Region {region} is not in this partition")
    known = envelope.account in rules.administrators
    _bind(
        claim.account_binding,
        name="account",
        envelope=envelope.account,
        claimed=claim.account,
        confirmed=bool(instance.account) or known,
    )
    _bind(
        claim.region_binding,
        name="region",
        envelope=envelope.region,
        claimed=region,
        confirmed=bool(instance.region),
    )
    return region


def _contradiction(instance: InstanceRef, *, name: str, stated: str, claimed: str) -> QuarantineError:
    return quarantine(
        f"{instance.field} ({instance.instance_id})",
        value=stated,
        problem=f"the resource's {name} contradicts the finding's {name} {claimed}",
    )


def _bind(binding: Binding, *, name: str, envelope: str | None, claimed: str, confirmed: bool) -> None:
    if envelope is None or envelope == claimed or binding is Binding.FREE:
        return
    if binding is Binding.CONFIRMED and confirmed:
        return
    problem = f"the envelope's {name} contradicts the finding's {name} {claimed}"
    if binding is Binding.CONFIRMED:
        problem += " and nothing in the resource confirms the latter"
    raise quarantine(name, value=envelope, problem=problem)
