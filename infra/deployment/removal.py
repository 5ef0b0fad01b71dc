"""``python -m infra.deployment.removal CONFIG [--delete]``: what is left in the buckets that the stacks keep, and until when it is locked.

With ``--delete`` the versions that nothing protects any more are deleted, as the role ``RemovalRoleArn``; what is locked or held stays, and
is named with the day from which it can be deleted. It can be run again and again (docs/deployment.md, "Removal").
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.deployment import checks, configuration
from infra.deployment.configuration import Configuration, PlanError

# Buckets that the stacks leave behind (DeletionPolicy), by the first part of their names.
KEPT = ("evidence", "ledger-archive", "access-logs", "landing", "tools", "release")
_BATCH = 1000


@dataclass
class Left:
    """What is in a bucket."""

    bucket: str
    versions: int = 0
    deleted: int = 0
    held: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    until: datetime | None = None
    refused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.bucket}: {self.versions} versions"]
        if self.deleted:
            parts.append(f"{self.deleted} deleted")
        if self.held:
            parts.append(f"{len(self.held)} held (lift the holds: DAG evidence_hold_lift), {self.held[0]} for instance")
        if self.locked and self.until:
            parts.append(f"{len(self.locked)} locked, the last until {self.until:%Y-%m-%d %H:%M} UTC")
        if self.refused:
            parts.append(f"{len(self.refused)} refused: {self.refused[0]}")
        return "; ".join(parts)


def buckets(config: Configuration) -> list[str]:
    """Names of the buckets that the stacks of a configuration keep."""
    (account,) = config.account_ids("forensic")
    return [config.named(f"forensics-{name}-{account}-{config.region}") for name in KEPT]


def versions(s3: Any, bucket: str) -> Iterator[dict[str, str]]:
    """Every version and delete marker."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for kind in ("Versions", "DeleteMarkers"):
            yield from ({"Key": v["Key"], "VersionId": v["VersionId"]} for v in page.get(kind, []))


def look(s3: Any, bucket: str, *, now: datetime, delete: bool) -> Left:
    """What a bucket holds and what protects it; with ``delete`` what is free is gone afterwards."""
    left = Left(bucket)
    free: list[dict[str, str]] = []
    for version in versions(s3, bucket):
        left.versions += 1
        until, is_held = _lock(s3, bucket, version)
        if is_held:
            left.held.append(version["Key"])
        elif until is not None and until > now:
            left.locked.append(version["Key"])
            left.until = max(left.until or until, until)
        else:
            free.append(version)
    if delete:
        for number in range(0, len(free), _BATCH):
            _delete(s3, left, free[number : number + _BATCH])
    return left


def _lock(s3: Any, bucket: str, version: dict[str, str]) -> tuple[datetime | None, bool]:
    try:
        head = s3.head_object(Bucket=bucket, **version)
    except ClientError as error:
        # a delete marker has no metadata and no lock: S3 answers 405 to HEAD (Amazon S3 API reference, HeadObject)
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in {404, 405}:
            return None, False
        raise
    return head.get("ObjectLockRetainUntilDate"), head.get("ObjectLockLegalHoldStatus") == "ON"


def _delete(s3: Any, left: Left, batch: Sequence[dict[str, str]]) -> None:
    answer = s3.delete_objects(Bucket=left.bucket, Delete={"Objects": list(batch), "Quiet": False})
    left.deleted += len(answer.get("Deleted", []))
    left.refused += [f"{e['Key']}: {e['Code']}: {e.get('Message', '')}" for e in answer.get("Errors", [])]


def main(arguments: list[str] | None = None, *, s3: Any = None, now: datetime | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.deployment.removal", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--delete", action="store_true", help="delete what nothing protects any more")
    parser.add_argument("--profile", help="AWS CLI profile of the role RemovalRoleArn")
    given = parser.parse_args(arguments)
    try:
        config = configuration.read(given.config)
        checks.validate(config)
        if given.delete and not config.parameters.get("RemovalRoleArn"):
            raise PlanError(
                "parameters.RemovalRoleArn is not given: the buckets' policies let nobody delete; deploy with it first"
            )
        client = s3 or boto3.session.Session(profile_name=given.profile, region_name=config.region).client("s3")
        there = {b["Name"] for b in client.list_buckets()["Buckets"]}
        found = [
            look(client, name, now=now or datetime.now().astimezone(), delete=given.delete)
            for name in buckets(config)
            if name in there
        ]
    except (PlanError, BotoCoreError, ClientError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    for left in found:
        print(left)
    return 0 if all(left.versions == left.deleted for left in found) else 3


if __name__ == "__main__":
    sys.exit(main())
