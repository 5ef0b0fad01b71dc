"""The settings about records of the target's account: what is collected, from where, and how much of it.

A part of :class:`forensics.settings.Settings`, which is the whole list.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

_STORE = r"arn:aws[a-z-]*:cloudtrail:[a-z0-9-]{5,25}:\d{12}:eventdatastore/[a-f0-9-]{36}"


class RecordSettings(BaseModel):
    """Options of the section ``[forensics]``; the names are the options, in capitals in the environment."""

    cloud_evidence: bool = Field(
        default=True,
        description="collect and examine what the target's account recorded of API calls, network flows and DNS queries",
    )
    record_margin_hours: int = Field(
        default=24, ge=0, le=2160, description="hours before the first finding from which on records are collected"
    )
    record_objects: int = Field(default=20_000, ge=10, le=10_000_000, description="log files that one case reads")
    record_mib: int = Field(default=4096, ge=1, le=1_000_000, description="MiB of log files that one case reads")
    record_seconds: int = Field(
        default=900, ge=10, le=6000, description="seconds that the collection of records of one kind may take"
    )
    record_wait_seconds: int = Field(
        default=900,
        ge=0,
        le=7200,
        description="how long the collection waits for records of what happened before the case was opened",
    )
    record_data_stores: str = Field(
        default="",
        pattern=rf"^({_STORE}(\s*,\s*{_STORE}){{0,9}})?$",
        description="ARNs of event data stores of CloudTrail Lake that hold the members' calls, with commas between them; empty: those of the"
        " target's account",
    )
    record_lake_gib: int = Field(
        default=100,
        ge=0,
        le=100_000,
        description="GiB that the queries of one case may scan in CloudTrail Lake, which bills them; 0: Lake is not asked",
    )
