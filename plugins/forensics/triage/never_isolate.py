"""Which entries of the never-isolate list name a target. Pure."""

from __future__ import annotations

from datetime import datetime

from forensics.models.never_isolate import NeverIsolateEntry, NeverIsolateKind, NeverIsolateList
from forensics.models.target import Target
from forensics.naming import instance_arn
from forensics.triage.policy import read_document


def parse_never_isolate(body: bytes, *, origin: str) -> NeverIsolateList:
    """Read a list (YAML or JSON); :class:`ConfigurationError` names every field that is wrong."""
    return read_document(body, shape=NeverIsolateList, origin=origin)


def protecting(listed: NeverIsolateList, *, target: Target, now: datetime) -> tuple[str, ...]:
    """The entries that name the target, as sentences for people."""
    return tuple(
        f"{entry.id} ({entry.kind.value} {entry.value}): {entry.reason}"
        for entry in listed.entries
        if _valid(entry, target=target, now=now) and _names(entry, target=target)
    )


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


def _arn(target: Target) -> str:
    # The partition is not the target's own; an entry may name the ARN of any.
    return instance_arn(target.account_id, target.region, target.instance_id)
