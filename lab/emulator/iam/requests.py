"""What a call asks for: the IAM actions, resources and condition keys of one API request.

Service authorization reference: an API call may need several authorizations (RunInstances asks about image, subnet, groups, interface,
instance and volume), and some that other services ask for in the caller's name (KMS keys, passed roles).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from lab.emulator.iam import ec2, keys, s3, services
from lab.emulator.iam.policy import Request
from lab.emulator.iam.sessions import ORGANIZATION


@dataclass(frozen=True)
class Asked:
    """One API call, its parameters flattened (``query``) or as JSON (``document``)."""

    service: str
    action: str
    account: str
    region: str
    query: dict[str, str]
    document: dict[str, Any]
    headers: dict[str, str]
    path: str
    method: str
    body: bytes = b""

    def arn(self, service: str, resource: str, *, region: bool = True) -> str:
        """An ARN in the caller's account."""
        return f"arn:aws:{service}:{self.region if region else ''}:{self.account}:{resource}"


def asked(call: Any, environ: dict[str, Any], body: bytes) -> Asked:
    """Read a request. ``call`` is the gateway's record of it."""
    text = environ.get("QUERY_STRING", "")
    form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded") and call.service != "s3"
    query = {k: v[0] for k, v in parse_qs(text, keep_blank_values=True).items()}
    if form or (call.service == "ec2" and body):
        query |= {k: v[0] for k, v in parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True).items()}
    is_json = body[:1] == b"{" and call.service != "s3"
    return Asked(
        service=call.service,
        action=call.action,
        account=call.account,
        region=call.region,
        query=query,
        document=json.loads(body) if is_json else {},
        headers={k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")},
        path=unquote(environ.get("PATH_INFO", "/")),
        method=environ.get("REQUEST_METHOD", "GET"),
        # the one request whose body an authorization is about
        body=body if call.action == "PutObjectLegalHold" else b"",
    )


def authorizations(given: Asked) -> list[Request]:
    """Every authorization that AWS would ask for."""
    known = {
        "ec2": ec2.authorizations, "s3": s3.authorizations, "sts": _sts, "ssm": _ssm, "dynamodb": _dynamodb, "sqs": _sqs,
        "sns": _sns, "kms": _kms, "ebs": services.ebs, "autoscaling": services.autoscaling, "iam": services.iam,
        "elasticloadbalancing": services.balancing, "securityhub": services.securityhub, "guardduty": services.guardduty,
        "cloudtrail": services.cloudtrail, "imagebuilder": services.imagebuilder, "ecs": services.ecs, "organizations": services.organizations, "monitoring": services.cloudwatch,
        "logs": services.logs, "route53resolver": services.resolver, "secretsmanager": _secrets, "bedrock": services.bedrock,
    }  # fmt: skip
    return list(known.get(given.service, services.anything)(given))


def _sts(given: Asked) -> Iterator[Request]:
    if given.action == "GetCallerIdentity":
        return  # AWS STS: no permission is required
    role = given.query.get("RoleArn", "*")
    context = {"aws:ResourceOrgID": ORGANIZATION, "sts:SourceIdentity": given.query.get("SourceIdentity")}
    yield Request(f"sts:{given.action}", role, context)
    if given.query.get("SourceIdentity"):
        yield Request("sts:SetSourceIdentity", role, context)


_SECRETS = "/aws/reference/secretsmanager/"


def _ssm(given: Asked) -> Iterator[Request]:
    document = given.document
    match given.action:
        case "SendCommand":
            yield Request("ssm:SendCommand", given.arn("ssm", f"document/{document['DocumentName']}"))
            for instance in document.get("InstanceIds", []):
                tags = ec2.tags_of(given.account, given.region, instance)
                context = {f"ssm:resourceTag/{k}": v for k, v in tags.items()}
                yield Request("ssm:SendCommand", given.arn("ec2", f"instance/{instance}"), context)
        case "DescribeDocument" | "GetDocument":
            yield Request(f"ssm:{given.action}", given.arn("ssm", f"document/{document['Name']}"))
        case "GetParameter" if document["Name"].startswith(_SECRETS):
            yield Request("ssm:GetParameter", given.arn("ssm", f"parameter/{document['Name'].lstrip('/')}"))
            # "Parameter Store honors IAM policies attached to Secrets Manager secrets" (AWS Systems Manager user guide); six characters are
            # added to a secret's name in its ARN.
            secret = document["Name"].removeprefix(_SECRETS)
            yield Request("secretsmanager:GetSecretValue", given.arn("secretsmanager", f"secret:{secret}-a1b2c3"))
        case "GetParameter" | "PutParameter":
            yield Request(f"ssm:{given.action}", given.arn("ssm", f"parameter/{document['Name'].lstrip('/')}"))
        case _:
            yield Request(f"ssm:{given.action}", "*")


def _secrets(given: Asked) -> Iterator[Request]:
    """By name or ARN; six characters are added to a secret's name in its ARN."""
    name = str(given.document.get("SecretId", "*"))
    arn = name if name.startswith("arn:") else given.arn("secretsmanager", f"secret:{name}-a1b2c3")
    yield Request(f"secretsmanager:{given.action}", arn)


def _dynamodb(given: Asked) -> Iterator[Request]:
    document = given.document
    items = [(name, entry) for item in document.get("TransactItems", []) for name, entry in item.items()]
    asked_for = [
        (f"{name}Item" if name != "ConditionCheck" else "ConditionCheckItem", e["TableName"]) for name, e in items
    ]
    tables = asked_for or [(given.action, document.get("TableName", "*"))]
    for action, table in dict.fromkeys(tables):
        index = f"/index/{document['IndexName']}" if "IndexName" in document else ""
        yield Request(f"dynamodb:{action}", given.arn("dynamodb", f"table/{table}{index}"))
    for key in keys.of_table(given.account, given.region, tables[0][1]):
        yield keys.request("kms:Decrypt", key, via=f"dynamodb.{given.region}")


def _sqs(given: Asked) -> Iterator[Request]:
    name = given.document.get("QueueUrl", given.query.get("QueueUrl", "*")).rsplit("/", 1)[-1]
    # a batch needs the permission of the single call
    yield Request(f"sqs:{given.action.removesuffix('Batch')}", given.arn("sqs", name))
    needs = {"SendMessage": ("kms:GenerateDataKey", "kms:Decrypt"), "ReceiveMessage": ("kms:Decrypt",)}
    for key in keys.of_queue(given.account, given.region, name):
        for action in needs.get(given.action, ()):
            yield keys.request(action, key, via=f"sqs.{given.region}")


def _sns(given: Asked) -> Iterator[Request]:
    topic = given.query.get("TopicArn", "*")
    yield Request(f"sns:{given.action}", topic)
    if given.action == "Publish":
        for key in keys.of_topic(given.account, given.region, topic):
            for action in ("kms:GenerateDataKey", "kms:Decrypt"):
                yield keys.request(action, key, via=f"sns.{given.region}")


def _kms(given: Asked) -> Iterator[Request]:
    key = str(given.document.get("KeyId", "*"))
    if not re.match(r"arn:", key):
        key = keys.arn_of(given.account, given.region, key)
    context: dict[str, Any] = {"aws:ResourceOrgID": ORGANIZATION}
    if given.action == "CreateGrant":
        context |= {
            "kms:GranteePrincipal": given.document.get("GranteePrincipal"),
            "kms:GrantOperations": given.document.get("Operations", []),
        }
    yield Request(f"kms:{given.action}", key, context)
