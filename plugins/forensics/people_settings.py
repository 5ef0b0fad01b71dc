"""The settings about what people and other systems get to see: findings that are written back, messages, drills.

A part of :class:`forensics.settings.Settings`, which is the whole list.
"""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from forensics.deployment import DEPLOYMENT

_PLUG = r"[a-z][a-z0-9-]{0,30}=[A-Za-z_][A-Za-z0-9_.]{0,150}:[A-Za-z_][A-Za-z0-9_]{0,80}"
_CHANNEL = r"[a-z][a-z0-9-]{0,30}=[A-Za-z0-9/_+=.@-]{1,200}"


# How ids of cross-Region inference profiles begin (Bedrock user guide, "Supported Regions and models for inference profiles").
_ACROSS_REGIONS = frozenset({"us", "us-gov", "eu", "apac", "ap", "jp", "au", "ca", "sa", "me", "af", "global"})


class PeopleSettings(BaseModel):
    """Options of the section ``[forensics]``; the names are the options, in capitals in the environment."""

    write_back: bool = Field(default=True, description="annotate findings with the id and state of their case")
    resolve_findings: bool = Field(default=True, description="a complete case resolves its findings")
    archive_guardduty: bool = Field(default=False, description="a complete case archives its GuardDuty findings")
    finding_visibility_seconds: int = Field(default=60, ge=10, le=43200)
    routine_runs: int = Field(
        default=30, ge=1, le=1000, description="active cases up to which findings below HIGH are started"
    )
    digest_minutes: int = Field(
        default=60,
        ge=0,
        le=1440,
        description="how long findings that join a case and steps that end well wait for others, to be one message; 0: each is one",
    )
    reminder_minutes: int = Field(
        default=20,
        ge=5,
        le=1440,
        description="a question that waits for an answer is brought back to mind so often, until it is answered or its time is over",
    )
    reminder_hours: int = Field(
        default=24,
        ge=1,
        le=720,
        description="the same for quarantined messages and cases without their seal",
    )
    case_metrics: bool = Field(
        default=True,
        description="put the seconds from a finding to each stage of its case to CloudWatch when it is closed",
    )
    chat_topic_arn: str = Field(
        default="",
        pattern=r"^(arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+)?$",
        description="topic of Amazon Q Developer in chat applications, which gets messages in its own schema; empty: none",
    )
    channels: str = Field(
        default="",
        pattern=rf"^({_CHANNEL}(\s*,\s*{_CHANNEL})*)?$",
        description="further channels: name=name of its secret in Secrets Manager, with commas between them",
    )
    channel_hosts: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9.-]{1,253}(\s*,\s*[A-Za-z0-9.-]{1,253})*)?$",
        description="hosts that webhooks and pushes may go to, with commas between them; no other gets anything",
    )
    pushes: str = Field(
        default="",
        pattern=rf"^({_CHANNEL}(\s*,\s*{_CHANNEL})*)?$",
        description="systems that ended cases are pushed to: name=name of its secret in Secrets Manager, with commas between them; empty: none",
    )
    push_plugs: str = Field(
        default="",
        pattern=rf"^({_PLUG}(\s*,\s*{_PLUG})*)?$",
        description="plugs of your own: kind=module:Class, with commas between them",
    )
    push_mib: int = Field(
        default=512, ge=1, le=100_000, description="MiB of a case's timeline, and of each artifact, that are pushed"
    )
    push_seconds: int = Field(
        default=1800, ge=30, le=6000, description="seconds that a push of one case to one system may take"
    )
    other_deployments: str = Field(
        default="",
        pattern=r"^([a-z][a-z0-9]{1,12}(\s*,\s*[a-z][a-z0-9]{1,12})*)?$",
        description="ids of other deployments of this product that may contain targets of the same accounts, with commas between them;"
        " what bears another id is taken for an imitation, and contained",
    )
    webhook_senders: str = Field(
        default="",
        pattern=rf"^({_CHANNEL}(\s*,\s*{_CHANNEL})*)?$",
        description="programs that may post findings: name=name of its secret in Secrets Manager, with commas between them",
    )
    summary_model: str = Field(
        default="",
        pattern=r"^([a-z0-9-]{1,63}\.[a-z0-9.:-]{1,120})?$",
        description="id of a foundation model of Bedrock in the home Region, which writes a cited summary of each report; empty: none",
    )
    summary_guardrail: str = Field(
        default="",
        pattern=r"^([a-z0-9]{1,64}:([1-9][0-9]{0,7}|DRAFT))?$",
        description="guardrail of Bedrock and its version, as id:version, that the model is asked under; empty: none",
    )
    summary_tokens: int = Field(default=2000, ge=200, le=8000, description="tokens that a summary may have")
    summary_seconds: int = Field(
        default=60, ge=10, le=300, description="seconds for which a report waits for its summary"
    )
    summary_records: int = Field(
        default=120, ge=10, le=400, description="findings and events that the model is given, the gravest first"
    )
    drill_account: str = Field(
        default="",
        pattern=r"^(\d{12})?$",
        description="member account in which drills launch their canary (stack forensics-drill); empty: there are no drills",
    )
    drill_region: str = Field(default="", description="Region of the canary; empty: the home Region")
    drill_launch_template: str = Field(
        default=f"{DEPLOYMENT}-drill-canary",
        pattern=r"^[a-zA-Z0-9().\-/_]{3,128}$",
        description="launch template of the canary, by name",
    )
    drill_schedule: str = Field(
        default="@monthly",
        pattern=r"^(never|@(monthly|weekly|daily)|[0-9*,/ -]{9,60})$",
        description="when drills begin: a cron expression in UTC, @monthly, @weekly, @daily, or never",
    )
    drill_timeout_minutes: int = Field(
        default=180,
        ge=10,
        le=1440,
        description="how long the case of a drill may take until the drill counts as failed",
    )
    ui_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/]+(/\S*)?)?$",
        description="address of the Airflow UI, for links in messages; empty: [api] base_url",
    )

    @field_validator("summary_model")
    @classmethod
    def _in_the_region(cls, model: str) -> str:
        if model.partition(".")[0] in _ACROSS_REGIONS:
            msg = "a cross-Region inference profile takes findings out of the Region: name a foundation model"
            raise ValueError(msg)
        return model
