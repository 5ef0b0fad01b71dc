"""Route 53 Resolver: the query logging configurations that record a VPC, and where they write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_route53resolver import Route53ResolverClient


@dataclass(frozen=True)
class QueryLog:
    """A configuration: one of ``bucket`` (and ``prefix``), ``group`` and ``stream`` is where it writes; ``problem`` is Resolver's own."""

    config_id: str
    owner: str
    bucket: str = ""
    prefix: str = ""
    group: str = ""
    stream: str = ""
    problem: str = ""


class QueryLogGateway:
    """Resolver's query logging in one account and Region."""

    def __init__(self, client: Route53ResolverClient, *, account_id: str, region: str) -> None:
        self._resolver = client
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.resolver, account_id=session.account_id, region=session.region)

    def of_vpc(self, vpc_id: str) -> list[QueryLog]:
        """The configurations that are associated with a VPC (ListResolverQueryLogConfigAssociations, GetResolverQueryLogConfig)."""
        where = f"of {vpc_id} in account {self.account_id}, {self.region}"
        associated: list[dict[str, Any]] = []
        wanted: Any = [{"Name": "ResourceId", "Values": [vpc_id]}]
        with aws_errors(f"list the query logging {where}"):
            pages = self._resolver.get_paginator("list_resolver_query_log_config_associations").paginate(Filters=wanted)
            for page in pages:
                associated += [dict(a) for a in page["ResolverQueryLogConfigAssociations"]]
        found = []
        for item in associated:
            config_id = str(item.get("ResolverQueryLogConfigId", ""))
            with aws_errors(f"ask for query logging configuration {config_id} {where}"):
                config = self._resolver.get_resolver_query_log_config(ResolverQueryLogConfigId=config_id)
            problem = str(item.get("ErrorMessage") or "") if item.get("Error", "NONE") != "NONE" else ""
            found.append(_log(dict(config["ResolverQueryLogConfig"]), problem=problem))
        return found


def _log(config: dict[str, Any], *, problem: str) -> QueryLog:
    arn = str(config.get("DestinationArn", ""))
    known = {"config_id": str(config.get("Id", "")), "owner": str(config.get("OwnerId", "")), "problem": problem}
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if service == "s3":
        bucket, _, prefix = arn.rpartition(":")[2].partition("/")
        return QueryLog(**known, bucket=bucket, prefix=prefix)
    if service == "logs":
        return QueryLog(**known, group=arn.partition(":log-group:")[2].removesuffix(":*"))
    return QueryLog(**known, stream=arn)
