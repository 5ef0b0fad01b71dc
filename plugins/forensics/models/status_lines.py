"""What an SSM document says on the last line of its output: one model for each activity (docs/architecture.md).

These are claims of the host. The models check their form and bound their size; whether they are true is checked where they
are used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from forensics.models.base import Model, Sha256
from forensics.models.outside import HostText, Outside

TEXT_LIMIT = 1000  # characters of one text; the rest is cut off
CLAIM_LIMIT = 8000  # characters of everything that is kept of a target's line
LARGEST_IMAGE = 2**50  # bytes
LARGEST_LIVE_RESPONSE = 512 * 1024 * 1024  # bytes


def _text(value: object) -> object:
    if value is None:
        return ""
    return (value if isinstance(value, str) else str(value))[:TEXT_LIMIT]


def _count_or_none(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _object_or_none(value: object) -> object:
    return value if isinstance(value, dict | Model) else None


def _empty_object(value: object) -> object:
    return value or {}


Text = Annotated[str, BeforeValidator(_text)]
# A number that is shown and on which nothing depends: another type is not an error.
ShownCount = Annotated[int | None, BeforeValidator(_count_or_none)]


class ObjectClaim(Outside):
    """Digest and size in bytes of an object that the host uploaded."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: Text = ""
    bytes: ShownCount = None


ObjectClaims = Annotated[
    dict[HostText, Annotated[ObjectClaim | None, BeforeValidator(_object_or_none)]], BeforeValidator(_empty_object)
]


class DocumentStatus(Outside):
    """What every document says of a run that ended with exit status 0."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reason: Text = ""


class TargetStatus(DocumentStatus):
    """A line of the target, which may be under an intruder's control: no more of it is kept than the limits allow."""

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, line: object) -> object:
        if not isinstance(line, dict):
            return line
        kept = {
            name: value[:TEXT_LIMIT] if isinstance(value, str) else value
            for name, value in line.items()
            if name in cls.model_fields
        }
        if len(json.dumps(kept, default=str)) > CLAIM_LIMIT:
            msg = f"more than {CLAIM_LIMIT} characters"
            raise ValueError(msg)
        return kept


class CaptureStatus(TargetStatus):
    """``acquire_memory``: what was sent.

    ``more``: the command stopped before its URLs expired and another has to continue. A capture in several commands has no
    digest of the whole stream (``sha256`` is empty): no program on the target has seen all of it.
    """

    status: Literal["ok", "partial", "more"]
    bytes: int = Field(strict=True, ge=1, le=LARGEST_IMAGE)
    sha256: Annotated[str, BeforeValidator(lambda value: "" if value is None else value)] = Field(
        default="", pattern=r"^([0-9a-f]{64})?$"
    )
    list_sha256: Sha256
    parts: ShownCount = None
    stage: Text = ""
    method: Text = ""
    encoding: Literal["none", "zstd"]
    tool_sha256: Text = ""
    kernel: Text = ""
    boot: Text = ""
    resumed_at: ShownCount = None
    started: Text = ""
    ended: Text = ""
    symbols: ObjectClaims = Field(default_factory=dict, description="kernel facts by name")

    def began(self, *, not_before: datetime | None, not_after: datetime) -> datetime:
        """When the capture began by the target's clock, if that is within what the control plane has seen."""
        try:
            moment = datetime.fromisoformat(self.started)
        except ValueError:
            return not_before or not_after
        if moment.tzinfo is None or moment > not_after or (not_before and moment < not_before):
            return not_before or not_after
        return moment


LiveCount = Annotated[int, Field(strict=True, ge=0, le=LARGEST_LIVE_RESPONSE)]


class LiveResponseStatus(TargetStatus):
    """``live_response``: the archive that was sent, and how much is in it.

    ``sha256`` is empty where the target has no program for it, or its run was ended before the last part. ``hidden`` counts
    processes that a listing of /proc does not show, ``differences`` what the static ``collector`` (its SHA-256, or ``none``)
    and the target's programs say differently; ``container`` says why the agent may not see the instance, or ``none``.
    """

    status: Literal["ok", "partial"]
    bytes: LiveCount
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    parts: ShownCount = None
    items: LiveCount
    absent: ShownCount = None
    failed: ShownCount = None
    cut: ShownCount = None
    left_out: ShownCount = None
    process_images: LiveCount
    hidden: ShownCount = None
    differences: ShownCount = None
    collector: Text = ""
    container: Text = ""
    depth: Text = ""
    started: Text = ""
    ended: Text = ""


class InvestigationStatus(DocumentStatus):
    """``investigate_*``: what a tool on the forensic instance uploaded, by the name in its manifest."""

    status: Literal["ok", "partial"]
    artifacts: ObjectClaims = Field(default_factory=dict)


class SymbolsStatus(DocumentStatus):
    """``investigate_symbols``: the symbol table that was built, and from what."""

    status: Literal["ok"]
    banner: str = Field(min_length=20, max_length=1200)
    method: Literal["dwarf", "btf"]
    symbols: int = Field(gt=0)
    sha256: Sha256
    package_sha256: Sha256
    kernel_sha256: Sha256
    notes: tuple[str, ...] = ()


class Probe(Outside):
    """``probe``: what the target reports of itself. Nothing but the choice of the capture method depends on it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    os_id: str = Field(default="", max_length=400)
    os_version: str = Field(default="", max_length=400)
    architecture: str = Field(default="", max_length=400)
    kernel: str = Field(default="", max_length=400)
    banner: str = Field(default="", max_length=400)
    boot: str = Field(default="", max_length=400)
    clock: str = Field(default="", max_length=400)
    uptime_seconds: int = Field(default=0, ge=0)
    cpus: int = Field(default=1, ge=0)
    load_percent: int = Field(default=0, ge=0)
    memory_kib: int = Field(default=0, ge=0)
    available_kib: int = Field(default=0, ge=0)
    swap_kib: int = Field(default=0, ge=0)
    tmpfs: str = Field(default="", max_length=400)
    tmpfs_free_kib: int = Field(default=0, ge=0)
    tmpfs_exec: bool = True
    lockdown: str = Field(default="unknown", max_length=400)
    secure_boot: str = Field(default="unknown", max_length=400)
    container: str = Field(default="none", max_length=400)
    runtimes: str = Field(default="", max_length=400)
    kcore: bool = False
    crash: bool = False
    mem: bool = False
    modules_disabled: bool = False
    kallsyms: bool = False
    iomem: bool = False
    btf: bool = False
    bash: bool = True
    curl: bool = False
    python3: bool = False
    zstd: bool = False
    virtualization_security: bool = False
    credential_guard: bool = False
    memory_integrity: bool = False
    driver_blocklist: bool = False
    domain_joined: bool = False
    bitlocker: str = Field(default="", max_length=400)
    pagefile: str = Field(default="", max_length=400)
    hibernation: bool = False
    agent: str = Field(default="", max_length=400)

    @classmethod
    def read(cls, line: Mapping[str, object]) -> Self | None:
        """The probe's status line as this model; None when it is not of the agreed form."""
        if line.get("status") != "ok":
            return None
        try:
            return cls.model_validate(line)
        except ValidationError:
            return None
