"""What a case follows through the records of an account: its target, and what those records add to it. Pure.

It begins with the target's ids, the session name that EC2 gives its credentials, and the access keys that findings name. A call
by one of those, or about one of those, may add to it: keys that AssumeRole gave out, users and keys that were made, snapshots of
its volumes. Then the records are looked through again for what was added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydantic import JsonValue

from forensics.cloud_evidence.trail_record import TrailRecord, at, items_at, text_at
from forensics.models.outside import Outside

MOST = 400
# An access key or a resource of EC2 as AWS writes them: these are unmistakable wherever they stand in a record.
_ID = re.compile(r"^(?:(?:AKIA|ASIA)[A-Z0-9]{12,124}|[a-z]{1,10}-[0-9a-f]{8,17})$")
_NAME = re.compile(r"^[A-Za-z0-9+=,.@_-]{1,128}$")
# Calls that blind an account, whoever makes them (CloudTrail, VPC flow logs, GuardDuty, Security Hub, Config, Route 53 Resolver).
BLINDING = frozenset(
    {
        "StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors", "DeleteEventDataStore", "StopEventDataStoreIngestion",
        "DeleteFlowLogs", "DeleteDetector", "UpdateDetector", "StopMonitoringMembers", "DisassociateFromMasterAccount",
        "DisassociateFromAdministratorAccount", "CreateFilter", "DisableSecurityHub", "BatchDisableStandards", "StopConfigurationRecorder",
        "DeleteConfigurationRecorder", "DeleteDeliveryChannel", "DeleteResolverQueryLogConfig", "DisassociateResolverQueryLogConfig",
    }
)  # fmt: skip

# Calls that are looked for whoever makes them: those, and what opens the whole account.
WHOEVER = BLINDING | {
    "LeaveOrganization", "EnableSerialConsoleAccess", "DisableSnapshotBlockPublicAccess", "DisableImageBlockPublicAccess",
}  # fmt: skip
# Services whose calls those are, and those of services that write too many records to look through.
_BLINDED = (
    "cloudtrail.amazonaws.com", "guardduty.amazonaws.com", "securityhub.amazonaws.com", "config.amazonaws.com",
    "route53resolver.amazonaws.com", "DeleteFlowLogs", *sorted(WHOEVER - BLINDING),
)  # fmt: skip


class Followed(Outside):
    """Ids count wherever they stand in a record, names of users and roles where it names one.

    ``roles`` are the target's own role and profile: many instances may share them, so only calls that change them count.
    """

    instance_id: str
    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    def with_more(self, *, ids: Iterable[str] = (), names: Iterable[str] = ()) -> Followed:
        """The same and more, each once, at most :data:`MOST` of each."""
        more_ids = [i for i in ids if _ID.fullmatch(i)]
        more_names = [n for n in names if _NAME.fullmatch(n)]
        return self.model_copy(
            update={
                "ids": tuple(dict.fromkeys((*self.ids, *more_ids)))[:MOST],
                "names": tuple(dict.fromkeys((*self.names, *more_names)))[:MOST],
            }
        )

    def without(self, known: Followed) -> Followed:
        """What is not in ``known``."""
        return self.model_copy(
            update={
                "ids": tuple(i for i in self.ids if i not in known.ids),
                "names": tuple(n for n in self.names if n not in known.names),
                "roles": (),
            }
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to look for."""
        return not self.ids and not self.names

    def pattern(self, *, blinding: bool = True) -> re.Pattern[bytes]:
        """Finds every record that concerns the case in the bytes that CloudTrail wrote (ids and names are ASCII)."""
        ids = [re.escape(i) for i in sorted(self.ids)]
        names = "|".join(re.escape(n) for n in sorted(self.names))
        named = [rf'"(?:userName|roleName)"\s*:\s*"(?:{names})"'] if names else []
        roles = "|".join(re.escape(r) for r in sorted(self.roles))
        named += [rf'"(?:roleName|instanceProfileName)"\s*:\s*"(?:{roles})"'] if roles else []
        calls = [rf'"eventName"\s*:\s*"(?:{"|".join(sorted(WHOEVER))})"'] if blinding else []
        return re.compile("|".join([*ids, *named, *calls]).encode() or rb"(?!)")

    def words(self, *, blinding: bool = True) -> tuple[bytes, ...]:
        """Of which one has to stand in a file in which :meth:`pattern` finds something: looking for them is several times as fast."""
        names = (f'"{n}"' for n in (*self.names, *self.roles))
        return tuple(w.encode() for w in (*self.ids, *names, *(_BLINDED if blinding else ())))

    def acts(self, record: TrailRecord) -> bool:
        """Whether the call was made with credentials that the case follows."""
        who = record.identity
        return (
            who.session_name == self.instance_id
            or (bool(who.access_key_id) and who.access_key_id in self.ids)
            or (who.type == "IAMUser" and who.user_name in self.names)
            or (who.type == "AssumedRole" and who.role_name in self.names)
        )


def added(record: TrailRecord, followed: Followed) -> Followed:
    """What a call adds to what is followed: nothing unless it was carried out by or on something that is."""
    if not record.ok:
        return followed
    if followed.acts(record):
        return followed.with_more(ids=_given(record), names=_made(record))
    return followed.with_more(ids=_derived(record))


def _given(record: TrailRecord) -> Iterator[str]:
    """Credentials and resources that a call gave out."""
    if record.short_service in {"sts", "iam"}:
        yield text_at(record.answer, "credentials", "accessKeyId")
        yield text_at(record.answer, "accessKey", "accessKeyId")
    yield from _derived(record)
    if record.name == "RunInstances":
        for item in items_at(record.answer, "instancesSet"):
            yield text_at(item, "instanceId")


def _made(record: TrailRecord) -> Iterator[str]:
    if record.name == "CreateUser":
        yield text_at(record.answer, "user", "userName") or text_at(record.parameters, "userName")
    if record.name == "CreateRole":
        yield text_at(record.answer, "role", "roleName") or text_at(record.parameters, "roleName")


# Calls whose answer is a new thing that holds the old one's data.
_COPIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "CreateSnapshot": (("snapshotId",),),
    "CopySnapshot": (("snapshotId",),),
    "CreateImage": (("imageId",),),
    "CopyImage": (("imageId",),),
    "CreateVolume": (("volumeId",),),
}


def _derived(record: TrailRecord) -> Iterator[str]:
    for path in _COPIES.get(record.name, ()):
        yield text_at(record.answer, *path)
    if record.name == "CreateSnapshots":
        found: JsonValue = at(record.answer, "CreateSnapshotsResponse", "snapshotSet") or at(
            record.answer, "snapshotSet"
        )
        items = found if isinstance(found, list) else items_at({"s": found}, "s")
        for item in items:
            yield text_at(item, "snapshotId")
