"""KMS keys that other services use in the caller's name: which key, and under which condition keys AWS asks."""

from __future__ import annotations

from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.kms.models import kms_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from lab.emulator.iam.policy import Request
from lab.emulator.iam.sessions import ORGANIZATION
from lab.emulator.patches.spreading import grants_in_effect


def request(action: str, key: str, *, via: str, grant: bool = False) -> Request:
    """A question about a key that a service asks in the caller's name."""
    context: dict[str, Any] = {
        "kms:ViaService": f"{via}.amazonaws.com",
        "aws:ResourceOrgID": ORGANIZATION,
        "aws:ResourceAccount": key.split(":")[4] if key.startswith("arn:") else None,
    }
    if grant:
        context["kms:GrantIsForAWSResource"] = "true"
    return Request(action, key, context)


def arn_of(account: str, region: str, name: str) -> str:
    """ARN of a key by its id or alias."""
    backend = kms_backends[account][region]
    if name.startswith("alias/") and backend.get_key_id_from_alias(name) is None:
        return f"arn:aws:kms:{region}:{account}:{name}"  # KMS says that there is no such alias
    key_id = backend.get_key_id(backend.any_id_to_key_id(name)) if name.startswith("alias/") else name
    return f"arn:aws:kms:{region}:{account}:key/{key_id}"


def policy_of(arn: str) -> str | None:
    """The key's policy, or None when the lab has no such key."""
    _, _, _, region, account, resource = arn.split(":", 5)
    if not resource.startswith("key/"):
        return None
    key = kms_backends[account][region].keys.get(resource.removeprefix("key/"))
    return None if key is None else str(key.policy)


def granted(request: Request, role_arn: str) -> bool:
    """Whether a grant that is in effect lets the role do this with a key (KMS developer guide, *Grants in AWS KMS*)."""
    if not request.action.startswith("kms:") or ":key/" not in request.resource:
        return False
    _, _, _, region, account, resource = request.resource.split(":", 5)
    key = kms_backends[account][region].keys.get(resource.removeprefix("key/"))
    operation = request.action.removeprefix("kms:")
    grants = grants_in_effect(key) if key is not None else []
    return any(g.grantee_principal == role_arn and operation in g.operations for g in grants)


def key_of(name: str | None, account: str, region: str) -> Any | None:
    """The lab's key behind an ARN, id or alias; None for AWS's own keys and where there is none."""
    if not name or name.startswith("alias/aws/"):
        return None
    arn = name if name.startswith("arn:") else arn_of(account, region, name)
    _, _, _, key_region, owner, resource = arn.split(":", 5)
    return kms_backends[owner][key_region].keys.get(resource.removeprefix("key/"))


def _full(account: str, region: str, key: str | None) -> list[str]:
    if not key or key.startswith("alias/aws/"):
        return []
    return [key if key.startswith("arn:") else arn_of(account, region, key)]


def of_table(account: str, region: str, name: str) -> list[str]:
    """Key of a DynamoDB table."""
    table = dynamodb_backends[account][region].tables.get(name)
    return _full(account, region, (table.sse_specification or {}).get("KMSMasterKeyId") if table else None)


def of_queue(account: str, region: str, name: str) -> list[str]:
    """Key of a queue."""
    queue = sqs_backends[account][region].queues.get(name)
    return _full(account, region, getattr(queue, "kms_master_key_id", None) if queue else None)


def of_topic(account: str, region: str, arn: str) -> list[str]:
    """Key of a topic."""
    topic = sns_backends[account][region].topics.get(arn)
    return _full(account, region, topic.kms_master_key_id if topic else None)
