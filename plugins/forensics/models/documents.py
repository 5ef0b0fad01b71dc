"""One line of ``ssm_documents/registry.yaml`` as released: which SSM document does what, on what, when."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints

from forensics.models.base import Model, Sha256
from forensics.models.evidence import EvidenceKind

OfferName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")]


class Output(StrEnum):
    """What a document uploads: ``results.json`` as the contract has it, or only its raw output and a status line."""

    RESULTS = "results"
    RAW = "raw"


class OfferedFile(Model):
    """An object of the tools bucket that the host may fetch, for instance a set of signatures."""

    key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}$")
    sha256: Sha256


class Document(Model):
    """One document as released: its SSM name, the SHA-256 of its content, and when it is chosen."""

    name: str
    sha256: Sha256
    activity: str = Field(pattern=r"^[a-z][a-z0-9_]{2,40}$")
    platform: str = Field(pattern=r"^[a-z0-9]{2,16}$", description="of the target whose evidence it reads")
    description: str = ""
    os_version: str = Field(default="", description="start of 'name version' or of the version as SSM reports them")
    evidence: EvidenceKind | None = Field(default=None, description="set for documents that examine evidence")
    finding_types: tuple[str, ...] = Field(
        default=("*",), description="patterns with *; a person's request matches all"
    )
    tool: str = Field(default="", pattern=r"^[a-z0-9-]{0,40}$", description="folder of its artifacts")
    output: Output = Output.RESULTS
    offers: dict[OfferName, OfferedFile] = Field(default_factory=dict)
    enabled: bool = True
    follows: str = Field(default="", description="the activity whose results it gets, and compares with another tool's")
    takes_limit: bool = Field(default=False, description="it has the parameter ExecutionTimeout, seconds for its step")

    def fits(self, os: str) -> bool:
        """Whether it is for this operating system, given as ``<name> <version>``."""
        version = os.rsplit(" ", 1)[-1]
        return os.startswith(self.os_version) or version.startswith(self.os_version)

    def answers(self, finding_types: Iterable[str]) -> bool:
        """Whether it is to run for findings of these types; no type at all is a person's request, which runs every tool."""
        types = tuple(finding_types)
        return not types or any(fnmatchcase(t, pattern) for t in types for pattern in self.finding_types)
