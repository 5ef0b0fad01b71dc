"""One record of CloudTrail as AWS writes it, in the fields that a case asks for. Pure.

Source: AWS CloudTrail user guide, *CloudTrail record contents for management, data, and network activity events* and *CloudTrail
userIdentity element*. Callers choose many of its texts (user agent, session names, parameters), so it is an ``Outside``. A field
that a later version of the record adds is left alone: the stored record has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, JsonValue

from forensics.models.base import Utc
from forensics.models.outside import Outside

Parameters = dict[str, JsonValue]
# Services that do what a caller's template or click says, with the caller's identity.
_ERRANDS = frozenset({"cloudformation.amazonaws.com", "servicecatalog.amazonaws.com", "AWS Internal"})
# Paths of roles that only a service assumes (IAM user guide, *Service-linked roles*, *Create a role for an AWS service*).
_SERVICE_ROLES = (":role/aws-service-role/", ":role/service-role/AWSBackup", ":role/service-role/AWSDataLifecycle")


def _text(value: object) -> object:
    return "" if value is None else value


def _mapping(value: object) -> object:
    # null for a call without parameters; a text where CloudTrail left an element out because it was too large
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> object:
    return value if isinstance(value, list) else ()


Text = Annotated[str, BeforeValidator(_text)]
Mapping = Annotated[Parameters, BeforeValidator(_mapping)]


class _Element(Outside):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class SessionIssuer(_Element):
    """Who issued temporary credentials: for a role its ARN and name."""

    type: Text = ""
    arn: Text = ""
    account_id: Text = Field(default="", alias="accountId")
    user_name: Text = Field(default="", alias="userName")


class SessionContext(_Element):
    """Where temporary credentials come from."""

    issuer: SessionIssuer = Field(default=SessionIssuer(), alias="sessionIssuer")
    attributes: Mapping = Field(default_factory=dict)
    source_identity: Text = Field(default="", alias="sourceIdentity")
    delivery: Text = Field(
        default="", alias="ec2RoleDelivery", description="1.0 or 2.0: which version of IMDS gave them"
    )


class Identity(_Element):
    """Who made the call (``userIdentity``)."""

    type: Text = ""
    principal_id: Text = Field(default="", alias="principalId")
    arn: Text = ""
    account_id: Text = Field(default="", alias="accountId")
    access_key_id: Text = Field(default="", alias="accessKeyId")
    user_name: Text = Field(default="", alias="userName")
    invoked_by: Text = Field(default="", alias="invokedBy")
    session: SessionContext = Field(default=SessionContext(), alias="sessionContext")

    @property
    def session_name(self) -> str:
        """The name of an assumed role's session; EC2 gives an instance's sessions the instance's id. Empty for others."""
        return self.arn.rsplit("/", 1)[-1] if ":assumed-role/" in self.arn else ""

    @property
    def role_name(self) -> str:
        """The role behind a session; empty for others."""
        return self.session.issuer.user_name or (self.arn.split("/")[1] if ":assumed-role/" in self.arn else "")

    @property
    def name(self) -> str:
        """Who it was, for people: an ARN, a service, or what CloudTrail says."""
        return self.arn or self.invoked_by or self.user_name or self.principal_id or self.type or "unknown"

    @property
    def is_service(self) -> bool:
        """Whether an AWS service acted by itself.

        A service that carries out what a caller told it (CloudFormation, the console) acts with the caller's identity: that is the
        caller. Source: AWS CloudTrail user guide, *CloudTrail userIdentity element*, ``invokedBy``.
        """
        if self.type == "AWSService" or any(path in self.session.issuer.arn for path in _SERVICE_ROLES):
            return True
        return bool(self.invoked_by) and self.invoked_by not in _ERRANDS


class Resource(_Element):
    """A thing that a call was about, and whose it is."""

    arn: Text = Field(default="", validation_alias=AliasChoices("ARN", "arn"))
    account_id: Text = Field(default="", alias="accountId")
    type: Text = ""


class TrailRecord(_Element):
    """One call. ``time`` is when it was made; ``address`` is an address, or the name of an AWS service that called."""

    time: Utc = Field(alias="eventTime")
    event_id: str = Field(alias="eventID", min_length=1, max_length=100)
    name: str = Field(alias="eventName", max_length=200)
    service: Text = Field(default="", alias="eventSource")
    region: Text = Field(default="", alias="awsRegion")
    address: Text = Field(default="", alias="sourceIPAddress")
    agent: Text = Field(default="", alias="userAgent")
    identity: Identity = Field(default=Identity(), alias="userIdentity")
    error: Text = Field(default="", alias="errorCode")
    parameters: Mapping = Field(default_factory=dict, alias="requestParameters")
    answer: Mapping = Field(default_factory=dict, alias="responseElements")
    more: Mapping = Field(default_factory=dict, alias="additionalEventData")
    details: Mapping = Field(default_factory=dict, alias="serviceEventDetails", description="of an event of a service")
    resources: Annotated[tuple[Resource, ...], BeforeValidator(_listed)] = ()
    recipient: Text = Field(default="", alias="recipientAccountId")
    endpoint: Text = Field(default="", alias="vpcEndpointId")
    category: Text = Field(default="", alias="eventCategory")
    read_only: bool | None = Field(default=None, alias="readOnly")

    @property
    def ok(self) -> bool:
        """Whether the call was carried out."""
        return not self.error

    @property
    def short_service(self) -> str:
        """``ec2`` of ``ec2.amazonaws.com``."""
        return self.service.partition(".")[0]

    @property
    def call(self) -> str:
        """The call as people name it: ``ec2:RunInstances``."""
        return f"{self.short_service}:{self.name}"


def texts(value: JsonValue) -> Iterator[str]:
    """Every text in a JSON value, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def at(value: JsonValue, *path: str) -> JsonValue:
    """What stands at a path in a JSON value; None where there is nothing."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text_at(value: JsonValue, *path: str) -> str:
    """The text at a path; empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def items_at(value: JsonValue, *path: str) -> list[JsonValue]:
    """The list at a path, also in EC2's form ``{"items": [...]}``; empty where there is none."""
    found = at(value, *path)
    if isinstance(found, dict):
        found = found.get("items")
    return found if isinstance(found, list) else []
