"""Whether a contained target is still as containment left it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from forensics.containment.containment_state import has_ended
from forensics.models.base import Model, Utc
from forensics.models.containment import ContainmentResult, PlanStep, Stage
from forensics.models.target_facts import InstanceFacts, InterfaceFacts
from forensics.naming import TAG_CONTAINED

# AWS may still show what was before for so long after a change.
SETTLING: Final = timedelta(minutes=2)
# A drift that cannot be closed is tried so often in a row.
CLOSING_TRIES: Final = 3
GONE, STARTED, PROFILE = "gone", "started", "credentials.profile"
# No call of a containment plan closes these: they are told.
NOT_CLOSABLE: Final = frozenset({GONE, STARTED})
_CREDENTIALS = "credentials."
_WHAT = {
    "credentials.deny": "the policy that denies the instance's credentials is gone from role {target}",
    "credentials.revoke": "the policy that revokes older sessions is gone from role {target}",
    "credentials.metadata": "the metadata service is on again: it issues credentials to the host",
}
# Stages whose steps are read as they are; groups and addresses are compared with what containment has recorded.
_KEPT = frozenset({Stage.PROTECT, Stage.SCALING, Stage.STANDBY, Stage.BALANCERS})


class DriftItem(Model):
    """One thing that is not as containment left it; ``key`` stays the same while it lasts."""

    key: str
    what: str


class Drift(Model):
    """What is known of one target's drift: the items that people were told of, and what was open from the beginning.

    ``stopped``: it was stopped when it was looked at, or has been started since; ``tries``: how often closing it has failed.
    """

    items: tuple[DriftItem, ...] = ()
    baseline: tuple[str, ...] = ()
    stopped: bool = False
    tries: int = 0
    looked_at: Utc


def drift_items(
    facts: InstanceFacts | None,
    *,
    result: ContainmentResult,
    original: InstanceFacts,
    rules: Mapping[str, int],
    left: Sequence[PlanStep],
    deny_profile: str,
    was_stopped: bool,
) -> list[DriftItem]:
    """Everything on the target that containment had closed and that is open.

    ``facts`` is the target now (None: EC2 does not know it any more), ``rules`` the number of rules of each quarantine
    group, ``left`` what a plan made now would still do. What IAM did not answer is not a drift.
    """
    if facts is None or has_ended(facts):
        return [
            DriftItem(key=GONE, what=f"the instance is {facts.state if facts else 'gone'}: its evidence ends with it")
        ]
    found = [*_network(facts, result, original, rules)]
    if was_stopped and facts.state == "running":
        found.append(DriftItem(key=STARTED, what="the instance was started again: what ran on it runs again"))
    if facts.profile and facts.profile.name != deny_profile:
        found.append(DriftItem(key=PROFILE, what=f"the instance has the profile {facts.profile.name}"))
    return [*found, *_steps(facts, left)]


def _network(
    facts: InstanceFacts, result: ContainmentResult, original: InstanceFacts, rules: Mapping[str, int]
) -> Iterator[DriftItem]:
    known = {i.id: i for i in original.interfaces}
    for interface in facts.interfaces:
        if interface.group_ids != (result.groups.get(interface.vpc_id),):
            groups = ", ".join(interface.group_ids) or "no group"
            new = "" if interface.id in known else " is new and"
            yield DriftItem(key=f"groups:{interface.id}", what=f"interface {interface.id}{new} has {groups}")
        yield from _addresses(interface, known.get(interface.id))
    for group, number in sorted(rules.items()):
        if number:
            yield DriftItem(
                key=f"rules:{group}", what=f"quarantine group {group} has {number} rules; it must have none"
            )


def _addresses(interface: InterfaceFacts, before: InterfaceFacts | None) -> Iterator[DriftItem]:
    for address in interface.addresses:
        what = f"Elastic IP {address.public_ip} is associated with {interface.id}"
        yield DriftItem(key=f"address:{address.public_ip}", what=what)
    if interface.public_ip and not (before and before.public_ip):
        yield DriftItem(
            key=f"public:{interface.id}", what=f"interface {interface.id} has the public address {interface.public_ip}"
        )


def _steps(facts: InstanceFacts, left: Sequence[PlanStep]) -> Iterator[DriftItem]:
    for step in left:
        if step.id in _WHAT and not (facts.iam_unknown and step.id != "credentials.metadata"):
            yield DriftItem(key=step.id, what=_WHAT[step.id].format(target=step.target))
        elif step.id == "protect.mark":
            yield DriftItem(key=step.id, what=f"the tag {TAG_CONTAINED} is missing on {step.target}")
        elif step.stage in _KEPT:
            yield DriftItem(key=step.id, what=f"{step.target} lacks what containment set ({step.call}): {step.reason}")


def open_from_the_beginning(result: ContainmentResult, first: Iterable[DriftItem]) -> tuple[str, ...]:
    """Keys of what an incomplete containment left open, and said so: no drift of a later day.

    The network was read back as closed, whatever else was not, so that nothing of it is excused.
    """
    failed = {step.name for step in result.steps if not step.done}
    prefixes = (_CREDENTIALS,) if result.credentials_open else ()
    return tuple(item.key for item in first if item.key in failed or item.key.startswith(prefixes))
