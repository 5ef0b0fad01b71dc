"""The product's settings: Airflow's configuration section ``[forensics]``.

Airflow and MWAA present the option ``forensics.case_table`` as the environment variable
``AIRFLOW__FORENSICS__CASE_TABLE``; this module reads only those variables, so that code without Airflow can use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

from pydantic import ConfigDict, Field, ValidationError

from forensics.deployment import DEFAULT, DEPLOYMENT, FORM
from forensics.errors import ConfigurationError
from forensics.people_settings import PeopleSettings
from forensics.record_settings import RecordSettings

PREFIX = "AIRFLOW__FORENSICS__"
LockMode: TypeAlias = Literal["GOVERNANCE", "COMPLIANCE"]
# Forms of text settings. An object's key is relative and goes nowhere but down.
_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*"
# Where keys of encrypted disks are stored: the prefix of their names, and a list of names.
DISK_KEY = f"{DEPLOYMENT}/disk-keys/"
DISK_KEYS = rf"^(/?{DISK_KEY}[A-Za-z0-9/_+=.@-]{{1,200}}(\s*,\s*/?{DISK_KEY}[A-Za-z0-9/_+=.@-]{{1,200}}){{0,15}})?$"
_ALIAS = r"^alias/[A-Za-z0-9/_-]{1,250}$"
_DAY, _WEEK = 86_400, 604_800
# The least for which EC2 locks a snapshot (LockSnapshot, LockDuration: "Allowed values: Min: 1").
DRILL_RETENTION_DAYS = 1


class Settings(PeopleSettings, RecordSettings):
    """All settings; the names are the options of the section, in capitals in the environment."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    forensic_account_id: str = Field(pattern=r"^\d{12}$")
    region: str
    case_table: str
    evidence_bucket: str
    landing_bucket: str
    tools_bucket: str
    queue_url: str
    dead_letter_queue_url: str
    urgent_queue_url: str = Field(
        default="",
        description="SQS queue of critical findings and people's orders, which is looked at first; empty: there is none, and they queue with the others",
    )
    topic_arn: str
    evidence_key_arn: str = Field(description="KMS key of evidence objects and snapshot copies")
    signing_key_id: str = Field(description="asymmetric KMS key that signs the custody ledger's head")
    document_key_id: str = Field(
        description="asymmetric KMS key that people sign documents and requests with; the pipeline can only verify"
    )
    external_id: str
    external_id_since: str = Field(
        default="",
        pattern=r"^(\d{4}-\d{2}-\d{2})?$",
        description="day on which the external id was made, for the alarm on its age; the deployment sets it",
    )
    watched_keys: str = Field(
        default="",
        description="comma-separated KMS keys whose state, rotation and age are looked at daily, besides those of evidence and signatures; the deployment sets it",
    )
    aws_conn_id: str = Field(
        default="",
        description="Airflow connection of type aws whose identity assumes the roles; empty: the process's own credentials",
    )
    deployment_id: str = Field(default=DEFAULT, pattern=FORM, description="first part of every name of this deployment")
    role_prefix: str = f"{DEPLOYMENT}-"
    ami_parameter: str = Field(
        default=f"/{DEPLOYMENT}/ami/current", description="SSM parameter with the forensic AMI id"
    )
    disk_keys: str = Field(
        default="",
        pattern=DISK_KEYS,
        description="names of SSM parameters and secrets with keys that every encrypted disk is tried with, with commas between them",
    )
    ami_statement: Literal["if-present", "required"] = Field(
        default="if-present",
        description="whether a forensic AMI without a signed statement of what it was built from is launched; a wrong statement always refuses",
    )
    ami_regions: str = Field(
        default="",
        description="comma-separated other Regions that each forensic AMI is copied to; empty: it stays at home",
    )
    image_pipeline_arn: str = Field(
        default="",
        pattern=r"^(arn:aws[a-z-]*:imagebuilder:[a-z0-9-]+:\d{12}:image-pipeline/[a-z0-9_-]+)?$",
        description="Image Builder pipeline of the forensic AMI",
    )
    analysis_subnet_id: str
    analysis_security_group_id: str
    analysis_instance_profile: str
    volume_initialization_mib_per_second: int = Field(
        default=300,
        ge=0,
        le=300,
        description="rate at which EBS fetches the blocks of an evidence volume, 100 to 300; 0: EBS's own, at no extra charge",
    )
    analysis_instance_types: str = Field(
        default="m6i.xlarge,m5.xlarge,m6a.xlarge",
        pattern=r"^[a-z0-9-]+\.[a-z0-9-]+(\s*,\s*[a-z0-9-]+\.[a-z0-9-]+)*$",
        description="in order of preference, with commas between them",
    )
    capture_tool_key: str = Field(
        default="tools/avml", pattern=f"^{_KEY}$", description="object of the memory capture tool"
    )
    capture_tool_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    capture_tool_arm64_key: str = Field(
        default="tools/avml-aarch64",
        pattern=f"^{_KEY}$",
        description="object of the capture tool for Graviton instances",
    )
    capture_tool_arm64_sha256: str = Field(
        default="", pattern=r"^([0-9a-f]{64})?$", description="empty: there is no such tool, and other methods are used"
    )
    static_collector_key: str = Field(
        default="tools/busybox",
        pattern=f"^{_KEY}$",
        description="object of a static busybox that a live response asks the same questions as the target's own programs",
    )
    static_collector_sha256: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64})?$",
        description="empty: there is none, and a live response is the word of the target's own programs alone",
    )
    static_collector_arm64_key: str = Field(
        default="tools/busybox-aarch64", pattern=f"^{_KEY}$", description="the same for Graviton instances"
    )
    static_collector_arm64_sha256: str = Field(
        default="", pattern=r"^([0-9a-f]{64})?$", description="empty: there is none for Graviton instances"
    )
    lime_list_key: str = Field(
        default="",
        pattern=f"^({_KEY})?$",
        description="object of the tools bucket with the signed list of prebuilt LiME modules; empty: none",
    )
    winpmem_key: str = Field(
        default="tools/winpmem.exe", pattern=f"^{_KEY}$", description="object of go-winpmem for Windows instances"
    )
    winpmem_sha256: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64})?$",
        description="empty: there is no such tool, and Windows instances get a live response only",
    )
    winpmem_domain_members: bool = Field(
        default=False, description="load go-winpmem's driver on members of a domain too, domain controllers included"
    )
    memory_compression: bool = Field(
        default=True, description="compress the parts of a memory image where the target has zstd"
    )
    url_seconds: int = Field(
        default=3600, ge=600, le=43_200, description="how long presigned URLs for a target are valid"
    )
    dual_stack_urls: bool = Field(
        default=False,
        description="presigned URLs name S3's dual-stack endpoint for every target, not only for those without IPv4",
    )
    live_response_seconds: int = Field(default=180, ge=30, le=3600)
    timestamp_authority_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s\"<>]{3,500})?$",
        description="time-stamping authority (RFC 3161) for the ledger's signed heads; empty: none",
    )
    retention_days: int = Field(default=365, ge=1, le=36_500, description="Object Lock and snapshot lock, in days")
    lock_mode: LockMode = "GOVERNANCE"
    snapshot_cool_off_hours: int = Field(
        default=0, ge=0, le=72, description="COMPLIANCE: hours in which a snapshot's lock can still be undone; 0: none"
    )
    audit_every_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="each evidence object is read and hashed again at least once in so many days",
    )
    audit_gib: int = Field(default=200, ge=1, le=1_000_000, description="GiB of evidence that one audit run may read")
    audit_requests: int = Field(
        default=20_000, ge=100, le=100_000_000, description="requests that one audit run may make"
    )
    isolate_from_severity: str = Field(
        default="",
        pattern="^(LOW|MEDIUM|HIGH|CRITICAL)?$",
        description="lowest severity at which a finding isolates, instead of the policy's threshold; empty: as the policy says",
    )
    policy_key: str = Field(
        default="",
        pattern=f"^({_KEY})?$",
        description="object of the tools bucket with the signed policy; empty: the packaged policy",
    )
    never_isolate_key: str = Field(
        default="",
        pattern=f"^({_KEY})?$",
        description="object of the tools bucket with the signed never-isolate list; empty: no list",
    )
    verify_findings: bool = Field(
        default=True,
        description="confirm findings with the service that sent them before an isolation is based on them",
    )
    isolation_cap_all: int = Field(
        default=30, ge=0, le=1000, description="isolations without approval per window, in total"
    )
    isolation_cap_account: int = Field(default=10, ge=0, le=1000, description="the same, per account")
    isolation_cap_group: int = Field(default=2, ge=0, le=1000, description="the same, per Auto Scaling group")
    isolation_window_minutes: int = Field(default=15, ge=1, le=1440)
    isolation_deadline_seconds: int = Field(
        default=3600,
        ge=60,
        le=_DAY,
        description="seconds after triage until the target is isolated even while the capture still runs",
    )
    approval_timeout_seconds: int = Field(
        default=3600, ge=60, le=_WEEK, description="how long a request for approval waits for an answer"
    )
    approval_valid_seconds: int = Field(
        default=4 * 3600,
        ge=300,
        le=_WEEK,
        description="how long an approval counts; it is used up when it was carried out",
    )
    approval_default: str = Field(
        default="refuse", pattern="^(refuse|isolate)$", description="what happens when nobody answers"
    )
    approval_two_persons: bool = Field(default=True, description="nobody approves what they asked for")
    drift_response: str = Field(
        default="announce",
        pattern="^(announce|close)$",
        description="what happens when a contained target is changed by others: people are told, or it is closed again as well",
    )
    containment_profile: str = Field(
        default=f"{DEPLOYMENT}-isolated",
        pattern=r"^[A-Za-z0-9+=,.@_-]{0,128}$",
        description="deny-all instance profile in the member accounts; empty: there is none",
    )
    break_tracked_flows: bool = True
    idle_flow_seconds: int = Field(default=0, ge=0, le=432000)
    revoke_role_sessions: bool = False
    legal_hold: bool = Field(default=True, description="put a legal hold on every evidence object")
    evidence_key_alias: str = Field(
        default=f"alias/{DEPLOYMENT}-evidence",
        pattern=_ALIAS,
        description="the forensic account's evidence key in other Regions",
    )
    member_key_alias: str = Field(
        default=f"alias/{DEPLOYMENT}-member",
        pattern=_ALIAS,
        description="a member account's forensic key, for disks under keys that cannot be shared",
    )
    cross_region_from: str = Field(
        default="",
        pattern=r"^(\*|[a-z0-9-]+(\s*,\s*[a-z0-9-]+)*)?$",
        description="comma-separated Regions whose disks may be copied to the home Region; * for all",
    )
    hash_source_snapshots: bool = Field(
        default=True, description="also hash the original snapshots and compare them with the copies"
    )
    export_raw_disks: bool = Field(
        default=False, description="store the written blocks of every disk in the evidence store"
    )
    guardduty_feedback: bool = Field(
        default=False, description="mark GuardDuty's findings as useful, with the case's id as comment"
    )
    accept_samples: bool = False
    administrator_accounts: str = Field(
        default="",
        pattern=r"^(\d{12}(\s*,\s*\d{12})*)?$",
        description="comma-separated accounts that send findings for others (delegated administrators)",
    )
    target_accounts: str = Field(
        default="",
        pattern=r"^(\d{12}(\s*,\s*\d{12})*)?$",
        description="comma-separated accounts whose findings this deployment handles, where two share an organization; empty: all",
    )
    member_accounts: str = Field(
        default="",
        description="comma-separated member accounts that the preflight tries and whose readiness is looked at",
    )
    member_regions: str = Field(
        default="", description="comma-separated Regions of targets, for the same; empty: the home Region"
    )
    recurrence_quiet_days: int = Field(
        default=7,
        ge=1,
        le=365,
        description="a finding of a closed case that was quiet for so many days, or whose target was released, is a new wave",
    )
    recurrence_opens_from: str = Field(
        default="MEDIUM",
        pattern="^(LOW|MEDIUM|HIGH|CRITICAL)$",
        description="a new wave of this severity or above opens a case; below, people are told",
    )
    posture_cases: str = Field(
        default="",
        pattern=r"^(?:(?:controls|vulnerabilities|patches|exposures|data)(?:, *)?)*$",
        description="comma-separated families of posture findings that open cases: controls, vulnerabilities, patches, exposures, data",
    )
    config_rules: str = Field(default="", description="comma-separated Config rules that may open a case; empty: all")
    memory_limit_gib: int = Field(default=1024, ge=1, le=32_768, description="the largest memory that is captured")
    memory_timeout_seconds: int = Field(
        default=3600, ge=60, le=_DAY, description="the least time that a memory capture gets, all attempts together"
    )
    memory_mib_per_second: int = Field(
        default=64, ge=1, le=10_000, description="a larger memory gets the time that this rate takes, 48 hours at most"
    )
    snapshot_timeout_seconds: int = Field(default=21600, ge=60, le=_WEEK)
    instance_timeout_seconds: int = Field(default=900, ge=60, le=_DAY)
    investigation_timeout_seconds: int = Field(default=7200, ge=60, le=_WEEK)
    orphan_after_hours: int = Field(
        default=12,
        ge=1,
        le=720,
        description="age at which a forensic instance or analysis volume is removed, case or not",
    )
    poll_seconds: float = Field(default=5.0, ge=0.1, le=300, description="seconds between two looks of a wait at AWS")
    case_restarts: int = Field(
        default=2,
        ge=0,
        le=10,
        description="how often a case whose run ended or was deleted before the case was closed is started again; 0: never",
    )
    queue_poll_seconds: float = Field(default=1.0, ge=0.1, le=60)
    timeline_cache_mib: int = Field(default=4096, ge=64, le=1_048_576, description="a web server's disk for timelines")


def of_a_drill(settings: Settings) -> Settings:
    """The settings under which a drill's case is processed: what it locks is locked for a day, and nothing is held."""
    return settings.model_copy(update={"retention_days": DRILL_RETENTION_DAYS, "legal_hold": False})


def names(value: str) -> tuple[str, ...]:
    """The items of a comma-separated setting."""
    return tuple(item.strip() for item in value.split(",") if item.strip())


def pairs(value: str) -> dict[str, str]:
    """The items ``name=value`` of a comma-separated setting; the last of two with one name counts."""
    return {name: found for name, _, found in (item.partition("=") for item in names(value))}


def static_collectors(settings: Settings) -> dict[str, tuple[str, str]]:
    """Architecture as ``uname -m`` names it → object of the tools bucket and SHA-256, of those that are configured."""
    known = {
        "x86_64": (settings.static_collector_key, settings.static_collector_sha256),
        "aarch64": (settings.static_collector_arm64_key, settings.static_collector_arm64_sha256),
    }
    return {machine: (key, sha256) for machine, (key, sha256) in known.items() if sha256}


def load(environment: Mapping[str, str]) -> Settings:
    """Read settings from an environment.

    Raises :class:`ConfigurationError` naming every option that is missing or wrong.
    """
    values = {k.removeprefix(PREFIX).lower(): v for k, v in environment.items() if k.startswith(PREFIX)}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"forensics.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        msg = f"Airflow configuration section [forensics] is incomplete: {wrong}"
        raise ConfigurationError(
            msg, next_action="set the options named above (docs/configuration.md lists them)"
        ) from error


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings of this process; where no address of the UI is configured, Airflow's own ``[api] base_url`` is it."""
    found = load(os.environ)
    return found if found.ui_url else found.model_copy(update={"ui_url": _base_url(os.environ)})


def _base_url(environment: Mapping[str, str]) -> str:
    """``[api] base_url`` as Airflow's environment variable has it, where it is an address and no path; empty otherwise."""
    address = environment.get("AIRFLOW__API__BASE_URL", "").rstrip("/")
    return address if re.fullmatch(r"https?://[^\s/]+(/\S*)?", address) else ""
