"""A parsed finding against its envelope and its resources: accepted, ignored, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forensics.intake.readers.envelope import Envelope
from forensics.intake.readers.fields import QuarantineError
from forensics.intake.readers.identifiers import InstanceRef
from forensics.intake.readers.parsed_finding import AttachedResource, Binding, IntakeRules, ParsedFinding, Subject
from forensics.intake.readers.validation import PLACEHOLDER_INSTANCE, Validation, placed, resolved, validate
from forensics.models.finding import CustomAction, FindingSource, PostureFamily, Severity
from forensics.models.intake import IntakeVerdict, SubjectKind
from tests.unit.builders import ACCOUNT, INSTANCE, NOW, REGION, finding

RULES = IntakeRules(received_at=NOW, own_account="222233334444", administrators=frozenset({"111122223333"}))
BARE = InstanceRef(instance_id=INSTANCE, field="it")
PARSED = ParsedFinding(
    source=FindingSource.GUARDDUTY,
    finding_id="f-1",
    account=ACCOUNT,
    region=REGION,
    instances=(BARE,),
    title="C2",
    account_binding=Binding.CONFIRMED,
    region_binding=Binding.SAME,
)


ENVELOPE = Envelope(detail_type="x", source="aws.guardduty", detail={}, account=ACCOUNT, region=REGION)


def check(envelope: dict[str, Any] | None = None, **changes: Any) -> Validation:
    """Validate the finding, with changes to its envelope and to itself."""
    return validate(replace(PARSED, **changes), envelope=replace(ENVELOPE, **(envelope or {})), rules=RULES)


def test_a_finding_that_agrees_is_accepted() -> None:
    (accepted,) = check().findings
    assert (accepted.account_id, accepted.region, accepted.instance_id) == (ACCOUNT, REGION, INSTANCE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"closed": "the finding is archived"}, "the finding is archived"),
        (
            {"instances": (), "posture": PostureFamily.CONTROL},
            "no EC2 instance among its resources; posture (controls): recorded, opens no case",
        ),
        ({"instances": (), "sample": True}, "sample finding; the setting accept_samples is off"),
        ({"instances": (), "account": "222233334444"}, "no EC2 instance among its resources"),
        ({"sample": True}, "sample finding; the setting accept_samples is off"),
        ({"account": "222233334444", "account_binding": Binding.FREE}, "finding about the forensic account itself"),
    ],
)
def test_what_needs_no_case_is_ignored_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    assert check(**changes) == Validation(IntakeVerdict.IGNORE, reason=reason)


def test_an_order_on_a_closed_finding_counts() -> None:
    for action in CustomAction:
        assert check(closed="resolved", action=action).verdict is IntakeVerdict.ACCEPT
    assert check(closed="resolved").verdict is IntakeVerdict.IGNORE


@pytest.mark.parametrize(
    ("envelope", "changes"),
    [
        ({"account": "999988887777"}, {}),
        ({"region": "eu-west-1"}, {}),
        ({}, {"region": "eu-west-1"}),
        ({}, {"instances": (replace(BARE, account="999988887777"),)}),
        ({}, {"instances": (replace(BARE, region="eu-west-1"),)}),
        ({}, {"partition": "aws-cn"}),
        ({"region": None}, {"region": None}),
    ],
)
def test_a_contradiction_is_refused(envelope: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.raises(QuarantineError):
        check(envelope, **changes)


@pytest.mark.parametrize(
    ("envelope", "changes"),
    [
        ({"account": "111122223333"}, {}),
        ({"account": "999988887777"}, {"instances": (replace(BARE, account=ACCOUNT),)}),
        ({"account": "999988887777", "region": "eu-west-1"}, {"account_binding": Binding.FREE, "region_binding": Binding.FREE}),
        ({"account": None, "region": None}, {}),
    ],
    ids=["an administrator", "the resource confirms it", "the envelope binds nothing", "no envelope"],
)  # fmt: skip
def test_a_foreign_envelope_is_believed_where_something_confirms_it(
    envelope: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert check(envelope, **changes).findings[0].account_id == ACCOUNT


def test_an_instance_whose_region_is_not_certain_is_named() -> None:
    validation = check(instances=(replace(BARE, placed=False),))
    assert validation.unplaced == (validation.findings[0].key,)


VOLUME = AttachedResource(type="AWS::EC2::Volume", id="vol-0123456789abcdef0", field="it")


def test_an_attached_resource_is_left_to_the_resolver() -> None:
    validation = check(instances=(), attached=(VOLUME,), title="not encrypted")
    (reference,) = validation.unresolved
    assert validation.verdict is IntakeVerdict.IGNORE
    assert (reference.account_id, reference.region, reference.resource_id) == (ACCOUNT, REGION, VOLUME.id)
    assert reference.template.instance_id == PLACEHOLDER_INSTANCE
    made = resolved(reference, instance_id=INSTANCE)
    assert (made.instance_id, made.title) == (INSTANCE, "not encrypted")
    assert made.key == check().findings[0].key != reference.template.key


def test_of_what_names_no_instance_people_can_be_told() -> None:
    snapshot = Subject(SubjectKind.SNAPSHOT, "arn:aws:ec2:eu-central-1:333344445555:snapshot/snap-1")
    validation = check(instances=(), subject=snapshot, severity=Severity.HIGH, title="malware")
    (told,) = validation.without_instance
    assert (validation.verdict, validation.unresolved) == (IntakeVerdict.IGNORE, ())
    assert (told.kind, told.resource, told.severity, told.title) == (
        *(snapshot.kind, snapshot.resource),
        Severity.HIGH,
        "malware",
    )
    assert (told.account_id, told.region, told.sent_by, told.severity_unread) == (ACCOUNT, REGION, None, False)
    assert check(instances=()).without_instance[0].severity_unread


def test_whom_nothing_confirms_is_named_with_the_account_that_sent_the_event() -> None:
    (told,) = check({"account": "999988887777"}, instances=()).without_instance
    assert told.sent_by == "999988887777"
    (told,) = check({"account": "111122223333"}, instances=()).without_instance
    assert told.sent_by is None, "an administrator sends its members' findings"


def test_an_order_on_posture_without_an_instance_is_told() -> None:
    order = check(instances=(), posture=PostureFamily.CONTROL, action=CustomAction.FULL)
    assert order.without_instance[0].action is CustomAction.FULL


def test_what_is_not_attached_in_the_end_has_its_answer_with_it() -> None:
    (reference,) = check(instances=(), attached=(VOLUME,), severity=Severity.HIGH).unresolved
    assert reference.otherwise is not None and reference.otherwise.severity is Severity.HIGH
    (of_config,) = check(instances=(), attached=(VOLUME,), posture=PostureFamily.CONFIG).unresolved
    assert of_config.otherwise is None


def test_the_resources_arn_binds_its_place_and_its_vpc() -> None:
    foreign = replace(VOLUME, account="999988887777", region=REGION)
    with pytest.raises(QuarantineError, match="999988887777"):
        check(instances=(), attached=(foreign,))
    own = replace(VOLUME, account=ACCOUNT, region=REGION, vpc_id="vpc-0123456789abcdef0")
    (reference,) = check({"account": "999988887777"}, instances=(), attached=(own,)).unresolved
    assert reference.template.vpc_id == "vpc-0123456789abcdef0"


def test_the_forensic_accounts_own_resources_are_not_looked_up() -> None:
    validation = check(instances=(), attached=(VOLUME,), account="222233334444", account_binding=Binding.FREE)
    assert validation.unresolved == ()


def test_a_finding_that_is_moved_gets_the_key_of_its_place() -> None:
    moved = placed(finding(), region="eu-west-1")
    assert moved.region == "eu-west-1" and moved.key != placed(finding(), region=REGION).key


def test_a_finding_of_an_account_of_another_deployment_opens_no_case_here() -> None:
    ours, theirs = replace(RULES, accounts=frozenset({ACCOUNT})), replace(RULES, accounts=frozenset({"999988887777"}))
    assert validate(PARSED, envelope=ENVELOPE, rules=ours).verdict is IntakeVerdict.ACCEPT
    refused = validate(PARSED, envelope=ENVELOPE, rules=theirs)
    assert refused.verdict is IntakeVerdict.IGNORE and not refused.findings
    assert refused.reason == f"account {ACCOUNT} is none of this deployment's (setting target_accounts)"
    pressed = replace(PARSED, action=CustomAction.ISOLATE)
    with pytest.raises(QuarantineError, match="setting target_accounts"):
        validate(pressed, envelope=ENVELOPE, rules=theirs)
