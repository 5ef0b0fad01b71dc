"""What the agents ask of the lab's own AWS: instances and attachments from moto in this process, S3 over
HTTP.
"""

from __future__ import annotations

import functools
from typing import Any

import boto3
from botocore.config import Config

from lab.accounts import ROOT_SECRET, root_access_key


def instance_state(account: str, region: str, instance_id: str) -> str | None:
    """EC2's name of the instance's state, or None for an instance that moto does not know."""
    from moto.ec2.models import ec2_backends

    instance = ec2_backends[account][region].get_instance_by_id(instance_id)
    return None if instance is None else str(instance.state)


def attachments(account: str, region: str, instance_id: str) -> list[tuple[str, str]]:
    """(volume id, device name) of the volumes attached to an instance, its root device first."""
    from moto.ec2.models import ec2_backends

    backend = ec2_backends[account][region]
    instance = backend.get_instance_by_id(instance_id)
    root = getattr(instance, "root_device_name", None)
    found = [
        (volume.id, volume.attachment.device)
        for volume in list(backend.volumes.values())
        if volume.attachment is not None and volume.attachment.instance.id == instance_id
    ]
    return sorted(found, key=lambda item: (item[1] != root, item[1]))


def put_output(
    endpoint: str, *, account: str, region: str, bucket: str, outputs: dict[str, bytes], tries: int = 3
) -> None:
    """Store a command's full output as the agent does, with the instance's account. Raises botocore's
    errors.
    """
    client = _s3(endpoint, account=account, region=region, tries=tries)
    for key, body in outputs.items():
        client.put_object(Bucket=bucket, Key=key, Body=body, ContentType="text/plain; charset=utf-8")


@functools.lru_cache(maxsize=32)
def _s3(endpoint: str, *, account: str, region: str, tries: int) -> Any:
    settings = Config(
        s3={"addressing_style": "path"},
        connect_timeout=5,
        read_timeout=20,
        retries={"total_max_attempts": tries, "mode": "standard"},
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=root_access_key(account),
        aws_secret_access_key=ROOT_SECRET,
        config=settings,
    )
