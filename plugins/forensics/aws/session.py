"""Sessions: who we are in which account, Region and phase."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, RefreshableCredentials
from botocore.loaders import Loader
from botocore.session import Session as CoreSession

from forensics.aws import reachability
from forensics.aws.error_map import aws_errors
from forensics.aws.lazy_clients import TypedClients
from forensics.aws.request_log import watch
from forensics.aws.session_policy import Policy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 6},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=48,  # EBS direct reads 40 blocks at a time
    user_agent_extra="ec2-forensics",
    s3={"addressing_style": "path"},
)
# Services whose answers nothing may wait for long: isolation of the network, and the plan, go on without them. IAM and Organizations
# have one Region for the whole partition, so they are the first that a VPC cannot reach.
_ELSEWHERE = frozenset({"iam", "organizations"})
_IMPATIENT = _ELSEWHERE | {"autoscaling", "elb", "elbv2"}
_SHORT = Config(connect_timeout=3, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 4})
_SHORTEST = _SHORT.merge(Config(read_timeout=5))
# For questions whose answer may be "nothing answers here": six tries of a time-out take minutes.
_CONNECT_SECONDS, _READ_SECONDS = 3, 10
# Another Region than home has a way of its own (docs/decisions/0012-reach.md), which may be missing: that is seen in seconds.
_ABROAD = Config(connect_timeout=3)
# Forty connections at a time read a snapshot; one of them that fails does not say that there is no way.
_PARALLEL = "ebs"
_AWS_S3 = re.compile(r"https://s3[.-][a-z0-9.-]*amazonaws\.com(\.cn)?")
SESSION_SECONDS = 3600
# Sessions of roles that a process keeps. One with an EC2 client was measured at 1.5 MB and 30 ms: these are 0.4 GB.
SESSIONS_KEPT = 256
RENEW_BEFORE = 1800


def _config(service: str) -> Config:
    if service == "s3":
        return _CONFIG.merge(Config(signature_version="s3v4"))
    if service in _IMPATIENT:
        return _CONFIG.merge(_SHORTEST if service in _ELSEWHERE else _SHORT)
    return _CONFIG


@dataclass(frozen=True)
class Scope:
    """Where calls go: account, Region, role phase and the case they are made for. Serialisable for triggers.

    ``instance_id`` is the case's target, in its own account: the session can touch no other instance.
    """

    account_id: str
    region: str
    phase: str
    case_id: str
    instance_id: str = ""

    def as_dict(self) -> dict[str, str]:
        """Plain values, for a trigger's arguments."""
        return asdict(self)


@dataclass(eq=False)
class AwsSession(TypedClients):
    """One identity in one account and Region, as boto3 clients that are made on first use and reused; thread-safe.

    Rooms build their gateways from it (``Ec2Gateway.of(session)``). ``role_arn`` is empty for the process's own
    identity; ``case_id`` is the source identity that CloudTrail shows. ``abroad``: not in the home Region.
    """

    boto: boto3.session.Session
    account_id: str
    region: str
    role_arn: str = ""
    case_id: str = ""
    limits: Config | None = None
    abroad: bool = False
    _clients: dict[str, BaseClient] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> BaseClient:
        """Return the client of a service in the Region of the session."""
        with self._lock:
            if service not in self._clients:
                config = _config(service).merge(_ABROAD) if self.abroad else _config(service)
                config = config if self.limits is None else config.merge(self.limits)
                # The stubs have an overload for each literal name; the name is a variable here.
                made: BaseClient = self.boto.client(service, region_name=self.region, config=config)  # type: ignore[call-overload]
                watch(made, region=self.region)
                if service in _IMPATIENT or (self.abroad and service != _PARALLEL):
                    reachability.fail_fast(made)
                self._clients[service] = made
            return self._clients[service]

    def impatient(self, factor: float = 1.0) -> AwsSession:
        """The same identity with time-outs of seconds (times ``factor``) and one retry."""
        return AwsSession(
            boto=self.boto,
            account_id=self.account_id,
            region=self.region,
            role_arn=self.role_arn,
            case_id=self.case_id,
            limits=Config(
                connect_timeout=_CONNECT_SECONDS * factor,
                read_timeout=_READ_SECONDS * factor,
                retries={"mode": "standard", "total_max_attempts": 2},
            ),
            abroad=self.abroad,
            _lock=self._lock,
        )

    def seconds_left(self) -> float | None:
        """Seconds until the credentials end, which is also when URLs signed with them end; None when they do not.

        Source: Amazon S3 user guide, "Download and upload objects with presigned URLs".
        """
        credentials = self.boto.get_credentials()
        if not isinstance(credentials, RefreshableCredentials):
            return None
        credentials.get_frozen_credentials()  # renewed now when they are due
        return float(credentials._seconds_remaining())  # type: ignore[attr-defined]

    def renewed_seconds_left(self, wanted: float) -> float | None:
        """:meth:`seconds_left`, after the credentials were renewed when they have less than ``wanted`` left.

        botocore signs with what it has: the credentials of an execution role may have ten minutes left (boto/botocore#2604).
        """
        credentials = self.boto.get_credentials()
        if isinstance(credentials, RefreshableCredentials):
            # botocore renews by its own margins and has no public call that renews earlier
            with credentials._refresh_lock:  # type: ignore[attr-defined]
                if credentials.refresh_needed(refresh_in=int(wanted)):
                    credentials._protected_refresh(is_mandatory=False)  # type: ignore[attr-defined]
        return self.seconds_left()

    @cached_property
    def s3_dual_stack(self) -> S3Client:
        """Signs URLs with S3's dual-stack host name, which has an IPv4 and an IPv6 address (Amazon S3 API reference, *Using Amazon
        S3 dual-stack endpoints*). An endpoint that is not AWS's own, the lab's, has no second name: then the usual client."""
        usual = str(self.client("s3").meta.endpoint_url)
        if not _AWS_S3.fullmatch(usual):
            return self.s3
        # A dictionary of its own: botocore writes the choice into the one that it is given.
        config = _config("s3").merge(Config(use_dualstack_endpoint=True, s3={"addressing_style": "path"}))
        return self.boto.client("s3", region_name=self.region, config=config)


# One loader for every session of the process: it keeps the service models that it has read (the
# slowest part of making a client), also across the fork of a task.
_MODELS = Loader()
_PRELOADED = ("dynamodb", "ec2", "kms", "s3", "sns", "sqs", "ssm", "sts", "guardduty", "securityhub")


def _core() -> CoreSession:
    core = botocore.session.get_session()
    core.register_component("data_loader", _MODELS)
    return core


def preload_models() -> None:
    """Read the models of the services that nearly every step uses, in a process that will fork its tasks."""
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        _MODELS.load_data(name)
    for service in _PRELOADED:
        for kind in ("service-2", "endpoint-rule-set-1"):
            _MODELS.load_service_model(service, kind)


class _EarlyRenewal(RefreshableCredentials):
    """Credentials that are renewed half an hour before they end."""

    _advisory_refresh_timeout = RENEW_BEFORE + 300
    _mandatory_refresh_timeout = RENEW_BEFORE


_cache_lock = threading.Lock()
_own: dict[tuple[str, str], AwsSession] = {}
_assumed: dict[tuple[str, ...], AwsSession] = {}
_BaseSession = Callable[[], CoreSession]


def own_session(account_id: str, region: str, *, connection: str = "", base: _BaseSession = _core) -> AwsSession:
    """The process's own identity (on MWAA: the execution role in the forensic account).

    ``base`` makes the botocore session behind it, for an identity that comes from an Airflow ``connection``.
    """
    key = (connection, region)
    with _cache_lock:
        if key not in _own:
            boto = boto3.session.Session(botocore_session=base())
            _own[key] = AwsSession(boto=boto, account_id=account_id, region=region)
        return _own[key]


def assume(
    scope: Scope,
    *,
    source: AwsSession,
    role_arn: str,
    external_id: str,
    session_name: str,
    policy: Policy | None = None,
) -> AwsSession:
    """Assume the phase's role in the scope's account, from the identity of ``source`` and by STS in its Region.

    STS is asked at home whatever the Region of the target: its answer is good for all Regions of the partition (AWS STS API
    reference, "Regions and endpoints"), and only at home there is an endpoint for it.

    The call always carries ExternalId, SourceIdentity = case id and a session name that CloudTrail shows.
    Sessions last one hour (role chaining's limit, STS AssumeRole) and renew themselves.
    """
    key = (role_arn, scope.region, scope.case_id, json.dumps(policy, sort_keys=True))
    with _cache_lock:
        found = _assumed.get(key)
        if found:
            _assumed[key] = _assumed.pop(key)  # used last, dropped last
            return found
    extra = {
        "RoleSessionName": session_name,
        "ExternalId": external_id,
        "SourceIdentity": scope.case_id,
        "DurationSeconds": SESSION_SECONDS,
        **({"Policy": json.dumps(policy)} if policy else {}),
    }
    made = AwsSession(
        boto=boto3.session.Session(
            botocore_session=_renewing(source, role_arn, extra, scope), region_name=scope.region
        ),
        account_id=scope.account_id,
        region=scope.region,
        role_arn=role_arn,
        case_id=scope.case_id,
        abroad=scope.region != source.region,
    )
    with _cache_lock:
        while len(_assumed) >= SESSIONS_KEPT:
            # the oldest one, and it alone: to drop them all makes many waits assume their roles again and again
            del _assumed[next(iter(_assumed))]
        _assumed[key] = made
    return made


def _renewing(source: AwsSession, role_arn: str, extra: dict[str, object], scope: Scope) -> CoreSession:
    """A session whose credentials renew themselves: work on one large image outlives the hour of a chained role.

    They always have half an hour left, so that a URL presigned with them reaches its host in time. The session factory
    of Airflow's Amazon provider can carry the same arguments, but renews only within botocore's own margin (15 minutes).
    """
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=lambda service, **_: source.client(service),
        source_credentials=source.boto.get_credentials(),
        role_arn=role_arn,
        extra_args=extra,
        expiry_window_seconds=RENEW_BEFORE + 300,
    )

    def fetch() -> dict[str, str]:
        with aws_errors(f"assume role {role_arn} for {scope.case_id}"):
            return dict(fetcher.fetch_credentials())

    core = _core()
    # botocore has a public setter for fixed credentials only
    core._credentials = _EarlyRenewal.create_from_metadata(  # type: ignore[attr-defined]
        metadata=fetch(), refresh_using=fetch, method="sts-assume-role"
    )
    return core


def forget() -> None:
    """Drop every cached session, for a process whose credentials have changed."""
    with _cache_lock:
        _own.clear()
        _assumed.clear()
    reachability.forget()
