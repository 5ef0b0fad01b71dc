"""How an encrypted snapshot gets to the forensic account: the KMS decision table.

Whatever the route, the copy in the forensic account is encrypted under the forensic account's own key.
"""

from __future__ import annotations

from forensics.models.base import Model
from forensics.models.disk import KeyCase, KeyFacts, Route

# KeyState of DescribeKey in which nobody can decrypt with the key.
UNUSABLE = frozenset({"Disabled", "PendingDeletion", "PendingImport", "PendingReplicaDeletion", "Unavailable"})


class CopyRoute(Model):
    """The decision for one snapshot."""

    case: KeyCase
    route: Route
    reason: str
    next_action: str | None = None


def route_for(
    *, encrypted: bool, key: KeyFacts | None, account_id: str, forensic_account_id: str, failed_before: bool = False
) -> CopyRoute:
    """Decide the route of one snapshot of ``account_id``.

    :param failed_before: an earlier copy ended in error because of the key (EBS uses the key only after CopySnapshot
        has returned): the key is then not tried again, the snapshot is re-encrypted in its own account
    """
    if not encrypted:
        return CopyRoute(case=KeyCase.NONE, route=Route.SHARE, reason="the snapshot is not encrypted")
    if key is None:
        key = KeyFacts(arn="", problem="EC2 names no key")
    case, reason = _case(key, account_id=account_id, forensic_account_id=forensic_account_id)
    if case is KeyCase.UNUSABLE:
        return CopyRoute(
            case=case,
            route=Route.BLOCKED,
            reason=reason,
            next_action=f"enable {key.arn} (or cancel its deletion) in its account, then clear this task; "
            "the locked original stays where it is",
        )
    route = {
        KeyCase.AWS_EBS: Route.REENCRYPT,
        KeyCase.CUSTOMER: Route.GRANT,
        KeyCase.FORENSIC: Route.SHARE,
        KeyCase.FOREIGN: Route.REENCRYPT,
        KeyCase.UNKNOWN: Route.SHARE,
    }[case]
    if failed_before and route is not Route.REENCRYPT:
        return CopyRoute(case=case, route=Route.REENCRYPT, reason=f"{reason}; a copy under that key failed before")
    return CopyRoute(case=case, route=route, reason=reason)


def _case(key: KeyFacts, *, account_id: str, forensic_account_id: str) -> tuple[KeyCase, str]:
    if key.state in UNUSABLE:
        return KeyCase.UNUSABLE, f"key {key.arn} is in state {key.state}: nobody can decrypt with it"
    if key.manager == "AWS" or key.arn.endswith("alias/aws/ebs"):
        return KeyCase.AWS_EBS, "snapshots under the account's default key (aws/ebs) cannot be shared"
    owner = key.account_id or owner_of(key.arn)
    if owner == forensic_account_id:
        return KeyCase.FORENSIC, f"key {key.arn} belongs to the forensic account"
    if owner and owner != account_id:
        return KeyCase.FOREIGN, f"key {key.arn} belongs to account {owner}: only that account could grant it"
    if key.problem:
        return KeyCase.UNKNOWN, f"key {key.arn} could not be described ({key.problem}): sharing is tried anyway"
    return KeyCase.CUSTOMER, f"key {key.arn} belongs to the target's account"


def owner_of(arn: str) -> str | None:
    """The account in a key's ARN."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 and parts[4] else None


def destination(region: str, *, home: str, may_leave: tuple[str, ...]) -> str:
    """The Region that a disk's copy goes to: its own, unless policy lets evidence leave it.

    :param may_leave: Regions that evidence may leave for the home Region; ``*`` for all
    """
    return home if region == home or region in may_leave or "*" in may_leave else region
