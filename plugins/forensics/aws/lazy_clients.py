"""The clients of a session, each with the type that boto3-stubs gives it and made when it is first used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, cast

from botocore.client import BaseClient

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudtrail import CloudTrailClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_config import ConfigServiceClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ebs import EBSClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_elb import ElasticLoadBalancingClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_guardduty import GuardDutyClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_imagebuilder import ImagebuilderClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_organizations import OrganizationsClient
    from mypy_boto3_route53resolver import Route53ResolverClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_securityhub import SecurityHubClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient


class _Clients(Protocol):
    def client(self, service: str) -> BaseClient:
        """The client of a service."""
        ...


class LazyClient:
    """A boto3 client that is made when it is first used: loading a service's model costs up to half a second."""

    def __init__(self, session: _Clients, service: str) -> None:
        self._session = session
        self._service = service

    def __getattr__(self, name: str) -> object:
        return getattr(self._session.client(self._service), name)


class TypedClients(ABC):
    """A session's clients by name; :meth:`client` is the session's own."""

    @abstractmethod
    def client(self, service: str) -> BaseClient:
        """The client of a service in the Region of the session."""

    # What boto3-stubs knows each client as; the stubs are not installed where the product runs.
    @cached_property
    def autoscaling(self) -> AutoScalingClient:
        return cast("AutoScalingClient", LazyClient(self, "autoscaling"))

    @cached_property
    def cloudtrail(self) -> CloudTrailClient:
        return cast("CloudTrailClient", LazyClient(self, "cloudtrail"))

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        return cast("CloudWatchClient", LazyClient(self, "cloudwatch"))

    @cached_property
    def config(self) -> ConfigServiceClient:
        return cast("ConfigServiceClient", LazyClient(self, "config"))

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        return cast("DynamoDBClient", LazyClient(self, "dynamodb"))

    @cached_property
    def ebs(self) -> EBSClient:
        return cast("EBSClient", LazyClient(self, "ebs"))

    @cached_property
    def ec2(self) -> EC2Client:
        return cast("EC2Client", LazyClient(self, "ec2"))

    @cached_property
    def ecs(self) -> ECSClient:
        return cast("ECSClient", LazyClient(self, "ecs"))

    @cached_property
    def elb(self) -> ElasticLoadBalancingClient:
        return cast("ElasticLoadBalancingClient", LazyClient(self, "elb"))

    @cached_property
    def elbv2(self) -> ElasticLoadBalancingv2Client:
        return cast("ElasticLoadBalancingv2Client", LazyClient(self, "elbv2"))

    @cached_property
    def guardduty(self) -> GuardDutyClient:
        return cast("GuardDutyClient", LazyClient(self, "guardduty"))

    @cached_property
    def iam(self) -> IAMClient:
        return cast("IAMClient", LazyClient(self, "iam"))

    @cached_property
    def imagebuilder(self) -> ImagebuilderClient:
        return cast("ImagebuilderClient", LazyClient(self, "imagebuilder"))

    @cached_property
    def kms(self) -> KMSClient:
        return cast("KMSClient", LazyClient(self, "kms"))

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        return cast("CloudWatchLogsClient", LazyClient(self, "logs"))

    @cached_property
    def organizations(self) -> OrganizationsClient:
        return cast("OrganizationsClient", LazyClient(self, "organizations"))

    @cached_property
    def resolver(self) -> Route53ResolverClient:
        return cast("Route53ResolverClient", LazyClient(self, "route53resolver"))

    @cached_property
    def s3(self) -> S3Client:
        return cast("S3Client", LazyClient(self, "s3"))

    @cached_property
    def securityhub(self) -> SecurityHubClient:
        return cast("SecurityHubClient", LazyClient(self, "securityhub"))

    @cached_property
    def sns(self) -> SNSClient:
        return cast("SNSClient", LazyClient(self, "sns"))

    @cached_property
    def sqs(self) -> SQSClient:
        return cast("SQSClient", LazyClient(self, "sqs"))

    @cached_property
    def ssm(self) -> SSMClient:
        return cast("SSMClient", LazyClient(self, "ssm"))

    @cached_property
    def sts(self) -> STSClient:
        return cast("STSClient", LazyClient(self, "sts"))
