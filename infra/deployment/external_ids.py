"""The external id of the phase roles: a secret that people never see, and its rotation in two deployments.

Between them the roles accept the new id and the one before, so that no order of stacks, no StackSet over hundreds of accounts and no
worker that still has the old one fails. Which one is "before" is a label on the version of the secret, so that a deployment that was interrupted
continues, and any deployment meanwhile does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.deployment.operations import DeployError

SECRET = "forensics/external-id"  # noqa: S105 - the name of a secret, not one
LENGTH = 40
# Label of the version that is accepted beside the current one while the id is rotated.
BEFORE = "forensics-before"
PENDING = "AWSPENDING"
UNKNOWN = {"ExternalId": "0" * LENGTH, "ExternalIdBefore": "", "ExternalIdSince": ""}


def current(secrets: Any, *, secret: str = SECRET) -> dict[str, str]:
    """``ExternalId``, the day ``ExternalIdSince`` and ``ExternalIdBefore`` (empty unless it is rotated). Made at the first deployment."""
    try:
        found = secrets.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")
    except secrets.exceptions.ResourceNotFoundException:
        secrets.create_secret(
            Name=secret, SecretString=_random(secrets), Description="External id of the forensics phase roles"
        )
        found = secrets.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")
    value = {"ExternalId": str(found["SecretString"]), "ExternalIdSince": f"{found['CreatedDate']:%Y-%m-%d}"}
    before = _version(secrets, secret, BEFORE)
    if before is None:
        return {**value, "ExternalIdBefore": ""}
    kept = secrets.get_secret_value(SecretId=secret, VersionId=before)["SecretString"]
    return {**value, "ExternalIdBefore": str(kept)}


def rotate(secrets: Any, *, secret: str = SECRET, report: Callable[[str], None]) -> None:
    """Begin a rotation, or go on with one that has begun. Raises :class:`DeployError` where there is nothing to rotate."""
    before, now = _version(secrets, secret, BEFORE), _version(secrets, secret, "AWSCURRENT")
    if before is not None and before != now:
        report("the external id is being rotated already: this deployment goes on with that")
        return
    if now is None:
        msg = f"there is no secret {secret} to rotate: deploy first, without --rotate-external-id"
        raise DeployError(msg)
    # In the order of Secrets Manager's own rotations: the new value waits, the old one gets its label, then the new one is current.
    # Whoever is interrupted before that accepts the same id twice, and nothing is refused.
    pending = _version(secrets, secret, PENDING)
    if pending is None or pending == now:
        made = secrets.put_secret_value(SecretId=secret, SecretString=_random(secrets), VersionStages=[PENDING])
        pending = str(made["VersionId"])
    secrets.update_secret_version_stage(SecretId=secret, VersionStage=BEFORE, MoveToVersionId=now)
    secrets.update_secret_version_stage(
        SecretId=secret, VersionStage="AWSCURRENT", RemoveFromVersionId=now, MoveToVersionId=pending
    )
    secrets.update_secret_version_stage(SecretId=secret, VersionStage=PENDING, RemoveFromVersionId=pending)
    report(
        "a new external id was made; the roles accept both. When every account has been updated (StackSets: all instances CURRENT) and"
        " Airflow too, run this with --end-rotation"
    )


def end(secrets: Any, *, secret: str = SECRET, report: Callable[[str], None]) -> None:
    """End a rotation: from this deployment on the old id is refused. Raises :class:`DeployError` when none has begun."""
    before = _version(secrets, secret, BEFORE)
    if before is None:
        msg = "the external id is not being rotated: begin with --rotate-external-id"
        raise DeployError(msg)
    secrets.update_secret_version_stage(SecretId=secret, VersionStage=BEFORE, RemoveFromVersionId=before)
    report("the external id before is accepted no more, as the stacks are updated")


def _random(secrets: Any) -> str:
    return str(secrets.get_random_password(PasswordLength=LENGTH, ExcludePunctuation=True)["RandomPassword"])


def _version(secrets: Any, secret: str, stage: str) -> str | None:
    """The version with a label; None when there is none, or no secret."""
    try:
        found = secrets.describe_secret(SecretId=secret).get("VersionIdsToStages", {})
    except secrets.exceptions.ResourceNotFoundException:
        return None
    return next((str(version) for version, stages in found.items() if stage in stages), None)
