"""The store of prebuilt LiME modules: one module for exactly one kernel and architecture, by its SHA-256. Pure.

Modules are never built on a target (docs/memory.md); the list of them is a signed document of the tools bucket.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forensics.models.base import Model
from forensics.models.status_lines import Probe
from forensics.triage.policy import read_document


class LimeModule(Model):
    """One module: the kernel release (``uname -r``) and architecture (``uname -m``) that it was built for."""

    kernel: str = Field(pattern=r"^[A-Za-z0-9._+~-]{1,100}$")
    architecture: Literal["x86_64", "aarch64"]
    key: str = Field(pattern=r"^[A-Za-z0-9._+~/-]{1,500}$", description="object of the tools bucket")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class LimeList(Model):
    """The list as it is signed."""

    version: Literal[1]
    modules: tuple[LimeModule, ...] = ()


def parse_module_list(body: bytes, *, origin: str) -> tuple[LimeModule, ...]:
    """Read the list (YAML or JSON); :class:`ConfigurationError` names every field that is wrong."""
    return read_document(body, shape=LimeList, origin=origin).modules


def module_for(modules: tuple[LimeModule, ...], *, probe: Probe | None) -> LimeModule | None:
    """The module for exactly the kernel and architecture that the probe reports, or None."""
    if probe is None:
        return None
    return next((m for m in modules if (m.kernel, m.architecture) == (probe.kernel, probe.architecture)), None)
