"""What a target says about its memory."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from forensics.models.base import Model


class Probe(Model):
    """What the probe document reports (docs/architecture.md); the target says it, so nothing but the choice rests on it."""

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
    curl: bool = False
    python3: bool = False
    zstd: bool = False
    virtualization_security: bool = False
    credential_guard: bool = False
    memory_integrity: bool = False
    driver_blocklist: bool = False
    agent: str = Field(default="", max_length=400)
