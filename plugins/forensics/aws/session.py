"""Sessions: who we are in which account, Region and phase."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.loaders import Loader

from forensics.aws.error_map import aws_errors
from forensics.aws.request_log import watch

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 6},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=48,  # EBS direct reads 40 blocks at a time
    user_agent_extra="ec2-forensics",
    s3={"addressing_style": "path"},
)
SESSION_SECONDS = 3600
RENEW_BEFORE = 1800


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
        return {
            "account_id": self.account_id,
            "region": self.region,
            "phase": self.phase,
            "case_id": self.case_id,
            "instance_id": self.instance_id,
        }


class LazyClient:
    """A boto3 client that is made when it is first used: loading a service's model costs up to half a second."""

    def __init__(self, factory: ClientFactory, service: str) -> None:
        self._factory = factory
        self._service = service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory.client(self._service), name)


@dataclass
class ClientFactory:
    """Makes boto3 clients for one identity; thread-safe, clients are reused."""

    session: Any
    region: str
    _clients: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        """Return the client of a service in this factory's Region."""
        with self._lock:
            if service not in self._clients:
                config = _CONFIG.merge(Config(signature_version="s3v4")) if service == "s3" else _CONFIG
                self._clients[service] = self.session.client(service, region_name=self.region, config=config)
                watch(self._clients[service])
            return self._clients[service]

    def lazy(self, service: str) -> Any:
        """A client that is made on first use."""
        return LazyClient(self, service)


# One loader for every session of the process: it keeps the service models that it has read (the
# slowest part of making a client), also across the fork of a task.
_MODELS = Loader()
_PRELOADED = ("dynamodb", "ec2", "kms", "s3", "sns", "sqs", "ssm", "sts", "guardduty", "securityhub")


def _core() -> Any:
    core: Any = botocore.session.get_session()
    core.register_component("data_loader", _MODELS)
    return core


def preload_models() -> None:
    """Read the models of the services that nearly every step uses, in a process that will fork its tasks."""
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        _MODELS.load_data(name)
    for service in _PRELOADED:
        for kind in ("service-2", "endpoint-rule-set-1"):
            _MODELS.load_service_model(service, kind)


_home_lock = threading.Lock()
_home: dict[str, ClientFactory] = {}
_assumed: dict[tuple[str, ...], ClientFactory] = {}


def home(region: str) -> ClientFactory:
    """The process's own identity (on MWAA: the execution role in the forensic account)."""
    with _home_lock:
        if region not in _home:
            _home[region] = ClientFactory(session=boto3.session.Session(botocore_session=_core()), region=region)
        return _home[region]


def assume(
    scope: Scope,
    *,
    role_prefix: str,
    external_id: str,
    session_name: str,
    policy: dict[str, Any] | None = None,
) -> ClientFactory:
    """Assume the phase's role in the scope's account.

    The call always carries ExternalId, SourceIdentity = case id and a session name that CloudTrail shows.
    Sessions last one hour (role chaining's limit, STS AssumeRole) and are renewed here.
    """
    role_arn = f"arn:aws:iam::{scope.account_id}:role/{role_prefix}{scope.phase}"
    key = (role_arn, scope.region, scope.case_id, json.dumps(policy, sort_keys=True))
    with _home_lock:
        found = _assumed.get(key)
        if found:
            return found
    request: dict[str, Any] = {
        "RoleArn": role_arn,
        "RoleSessionName": session_name,
        "ExternalId": external_id,
        "SourceIdentity": scope.case_id,
        "DurationSeconds": SESSION_SECONDS,
        **({"Policy": json.dumps(policy)} if policy else {}),
    }

    def fetch() -> dict[str, str]:
        with aws_errors(f"assume role {role_arn} for {scope.case_id}"):
            answer = home(scope.region).client("sts").assume_role(**request)["Credentials"]
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }

    made = ClientFactory(session=_renewing(fetch, scope.region), region=scope.region)
    with _home_lock:
        if len(_assumed) > 256:
            _assumed.clear()
        _assumed[key] = made
    return made


def _renewing(fetch: Callable[[], dict[str, str]], region: str) -> Any:
    """A session whose credentials renew themselves: work on one large image outlives the hour of a chained role.

    They always have half an hour left, so that a URL presigned with them reaches its host in time.
    """
    core = _core()
    core._credentials = RefreshableCredentials.create_from_metadata(
        metadata=fetch(),
        refresh_using=fetch,
        method="sts-assume-role",
        advisory_timeout=RENEW_BEFORE + 300,
        mandatory_timeout=RENEW_BEFORE,
    )
    return boto3.session.Session(botocore_session=core, region_name=region)


def forget() -> None:
    """Drop every cached session, for a process whose credentials have changed."""
    with _home_lock:
        _home.clear()
        _assumed.clear()
