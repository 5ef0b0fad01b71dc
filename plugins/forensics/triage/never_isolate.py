"""Which entries of the never-isolate list name a target. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from forensics.models.never_isolate import NeverIsolateEntry, NeverIsolateKind, NeverIsolateList
from forensics.models.target import Target
from forensics.naming import instance_arn
from forensics.triage.policy import read_document


@dataclass(frozen=True)
class Protection:
    """Entries that name a target, as sentences for people.

    ``vetoes`` name it by what its account cannot change: nobody isolates it. ``requests`` name it by what the account's own
    principals can change (a tag, a group, a role, a further interface), an intruder among them: a person decides.
    """

    vetoes: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()


def parse_never_isolate(body: bytes, *, origin: str) -> NeverIsolateList:
    """Read a list (YAML or JSON); :class:`ConfigurationError` names every field that is wrong."""
    return read_document(body, shape=NeverIsolateList, origin=origin)


def protecting(listed: NeverIsolateList, *, target: Target, now: datetime) -> Protection:
    """The entries that name the target."""
    vetoes: list[str] = []
    requests: list[str] = []
    for entry in listed.entries:
        if not _valid(entry, target=target, now=now) or not _names(entry, target=target):
            continue
        decides = not entry.kind.changeable and _names_by_primary(entry, target=target)
        (vetoes if decides else requests).append(f"{entry.id} ({entry.kind.value} {entry.value}): {entry.reason}")
    return Protection(tuple(vetoes), tuple(requests))


def _valid(entry: NeverIsolateEntry, *, target: Target, now: datetime) -> bool:
    return (entry.until is None or now < entry.until) and entry.account_id in {None, target.account_id}


def _names(entry: NeverIsolateEntry, *, target: Target) -> bool:
    if entry.kind is NeverIsolateKind.TAG:
        key, _, value = entry.value.partition("=")
        return key in target.tags and (not value or target.tags[key] == value)
    known: dict[NeverIsolateKind, set[str | None]] = {
        NeverIsolateKind.INSTANCE: {target.instance_id, _arn(target)},
        NeverIsolateKind.AUTO_SCALING_GROUP: {target.auto_scaling_group},
        NeverIsolateKind.VPC: {target.vpc_id, *(i.vpc_id for i in target.interfaces)},
        NeverIsolateKind.SUBNET: {target.subnet_id, *(i.subnet_id for i in target.interfaces)},
        NeverIsolateKind.ROLE: {target.profile_arn, (target.profile_arn or "").rpartition("/")[2]},
        NeverIsolateKind.ACCOUNT: {target.account_id},
        NeverIsolateKind.IMAGE: {target.image_id},
    }
    return entry.value in known[entry.kind]


def _names_by_primary(entry: NeverIsolateEntry, *, target: Target) -> bool:
    """Whether the entry names the target also without its further interfaces: those can be attached at any time."""
    primary = tuple(interface for interface in target.interfaces if interface.device_index == 0)
    return _names(entry, target=target.model_copy(update={"interfaces": primary}))


def _arn(target: Target) -> str:
    # The partition is not the target's own; an entry may name the ARN of any.
    return instance_arn(target.account_id, target.region, target.instance_id)
