"""How old keys, the external id, secrets of channels, the forensic AMI and the symbol library are, and whether a key is about to go.

Alarms read the figures (infra/cloudformation/age-alarms.yaml); docs/runbooks.md says what to do about each. Limits are the template's:
here is only what is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from forensics.aws.channel_secrets import SecretsGateway
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.kms import KeyAge, KeyGateway
from forensics.aws.s3 import EvidenceStore
from forensics.aws.ssm import SsmGateway
from forensics.errors import ForensicsError, ResourceGoneError
from forensics.investigation.symbol_store import PREFIX
from forensics.preflight.scope import PreflightScope
from forensics.settings import names, pairs

# AWS KMS developer guide, "Key states of AWS KMS keys": in these a key neither encrypts nor decrypts, nor signs.
UNUSABLE = frozenset({"Disabled", "PendingDeletion", "PendingImport", "PendingReplicaDeletion", "Unavailable"})
GONE = "gone"


@dataclass
class Ages:
    """What was found: metric → value, a line for each thing, and what could not be looked at."""

    figures: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def measure(scope: PreflightScope, *, now: datetime) -> Ages:
    """Look at everything; one thing that cannot be looked at keeps no other from being measured."""
    found = Ages()
    looks: tuple[Callable[[PreflightScope, Ages, datetime], None], ...] = (
        _keys,
        _external_id,
        _channels,
        _ami,
        _symbols,
    )
    for look in looks:
        try:
            look(scope, found, now)
        except ForensicsError as error:
            found.problems.append(f"{error}. What to do next: {error.next_action}")
    return found


def _days(since: datetime, now: datetime) -> float:
    return round((now - since) / timedelta(days=1), 2)


def _keys(scope: PreflightScope, found: Ages, now: datetime) -> None:
    """The keys of this deployment. One that cannot be looked at counts in no figure; the others do."""
    unusable = unrotated = 0
    ages: list[float] = []
    for name, region in _watched(scope):
        try:
            key = KeyGateway.of(scope.phase("analyse", region=region)).age(name)
        except ResourceGoneError:
            # an alias that is not there: no key was made in that Region, which the preflight's own lines are about
            unusable += not name.startswith("alias/")
            found.lines.append(f"key {name}, {region}: {GONE}")
            continue
        except ForensicsError as error:
            found.problems.append(f"{error}. What to do next: {error.next_action}")
            continue
        late = not _in_rotation(key, now)
        unusable, unrotated = unusable + (key.state in UNUSABLE), unrotated + late
        if key.signs:
            ages.append(_days(key.made, now))
        rotation = "has no rotation" if key.rotates is None else "is not rotated" if late else "is rotated"
        found.lines.append(f"key {name}, {region}: {key.state}, made {key.made:%Y-%m-%d}, {rotation}")
    found.figures |= {"KeysUnusable": unusable, "KeysNotRotated": unrotated}
    if ages:
        found.figures["SigningKeyDays"] = max(ages)


def _watched(scope: PreflightScope) -> Iterator[tuple[str, str]]:
    """Each key with its Region: those of the settings at home, and the evidence key of each other Region by its alias."""
    s = scope.settings
    given = (*names(s.watched_keys), s.evidence_key_arn, s.signing_key_id, s.document_key_id)
    yield from ((key, s.region) for key in dict.fromkeys(given))
    abroad = (r for r in (*scope.regions, *names(s.cross_region_from)) if r not in {"*", s.region})
    yield from ((s.evidence_key_alias, region) for region in dict.fromkeys(abroad))


def _in_rotation(key: KeyAge, now: datetime) -> bool:
    if key.rotates is None:
        return True
    return key.rotates and (key.next_rotation is None or key.next_rotation > now)


def _external_id(scope: PreflightScope, found: Ages, now: datetime) -> None:
    since = scope.settings.external_id_since
    if not since:
        found.lines.append(
            "external id: its age is not known; the next deployment says it (forensics.external_id_since)"
        )
        return
    found.figures["ExternalIdDays"] = _days(datetime.fromisoformat(since).replace(tzinfo=UTC), now)
    found.lines.append(f"external id: made {since}")


def _channels(scope: PreflightScope, found: Ages, now: datetime) -> None:
    """The oldest secret that other systems share with the deployment counts: of channels, pushes and senders of webhooks."""
    ages, s = [], scope.settings
    for kind, given in (("channel", s.channels), ("push", s.pushes), ("webhook sender", s.webhook_senders)):
        for name, secret in pairs(given).items():
            try:
                made = SecretsGateway.of(scope.own()).made(secret)
            except ForensicsError as error:
                found.problems.append(f"{error}. What to do next: {error.next_action}")
                continue
            ages.append(_days(made, now))
            found.lines.append(f"secret {secret} of {kind} {name}: of {made:%Y-%m-%d}")
    if ages:
        found.figures["ChannelSecretDays"] = max(ages)


def _ami(scope: PreflightScope, found: Ages, now: datetime) -> None:
    analyst = scope.phase("analyse")
    image = SsmGateway.of(analyst).parameter(scope.settings.ami_parameter)
    made = Ec2Gateway.of(analyst).image_made(image)
    found.figures["AmiDays"] = _days(made, now)
    found.lines.append(f"forensic AMI {image}: made {made:%Y-%m-%d}")


def _symbols(scope: PreflightScope, found: Ages, now: datetime) -> None:
    """A library that nobody fills has no age: no alarm is about what is not used."""
    newest = EvidenceStore.of(scope.phase("custodian"), scope.settings).newest(PREFIX)
    if newest is None:
        found.lines.append("symbol library: empty")
        return
    found.figures["SymbolLibraryDays"] = _days(newest, now)
    found.lines.append(f"symbol library: newest table of {newest:%Y-%m-%d}")
