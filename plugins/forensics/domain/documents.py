"""Which SSM document does an activity on a platform, and what its content must hash to (R4).

``documents.json`` beside this file is compiled from ``ssm_documents/registry.yaml`` and the documents themselves by
``make documents``; a test keeps it in step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources

from pydantic import Field

from forensics.errors import UnsupportedTargetError
from forensics.models.base import Model
from forensics.models.evidence import EvidenceKind


class Document(Model):
    """One document as released, and when it is the one to run (``ssm_documents/registry.yaml``)."""

    name: str = Field(description="its name in SSM")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of its content")
    activity: str
    platform: str
    os_version: str = Field(default="", description="start of 'name version' or of the version as SSM reports them")
    evidence: EvidenceKind | None = Field(default=None, description="an investigation: the kind of evidence it reads")
    tool: str = Field(default="", pattern=r"^[a-z0-9-]{0,40}$", description="folder of its artifacts")
    finding_types: tuple[str, ...] = Field(default=(), description="shell patterns; empty: for every finding")
    takes_limit: bool = Field(default=False, description="it has the parameter ExecutionTimeout, seconds for its step")

    def fits(self, os: str) -> bool:
        """Whether it is for this operating system, given as ``<name> <version>``."""
        version = os.rsplit(" ", 1)[-1]
        return os.startswith(self.os_version) or version.startswith(self.os_version)

    def answers(self, finding_types: Iterable[str]) -> bool:
        """Whether it is wanted for a case with findings of these types."""
        if not self.finding_types:
            return True
        return any(fnmatchcase(found, pattern) for found in finding_types for pattern in self.finding_types)


@lru_cache(maxsize=1)
def released() -> dict[str, Document]:
    """All released documents by file name without its ending."""
    text = resources.files("forensics.domain").joinpath("documents.json").read_text("utf-8")
    return {key: Document.model_validate(value) for key, value in json.loads(text).items()}


def choose(activity: str, *, platform: str, os: str = "") -> Document:
    """Return the most specific document of an activity, or raise :class:`UnsupportedTargetError`."""
    found = [d for d in released().values() if (d.activity, d.platform) == (activity, platform) and d.fits(os)]
    if not found:
        msg = f"there is no SSM document for activity {activity} on platform {platform} {os}".rstrip()
        raise UnsupportedTargetError(
            msg, next_action="add ssm_documents/<activity>_<platform>.yaml and its entry in registry.yaml"
        )
    return max(found, key=lambda d: len(d.os_version))


def select(kind: EvidenceKind, *, platform: str, os: str = "", finding_types: Iterable[str] = ()) -> list[Document]:
    """Return every document that investigates a kind of evidence of this target, one for each activity, by name."""
    types = tuple(finding_types)
    wanted = [d for d in released().values() if d.evidence is kind and d.platform == platform and d.answers(types)]
    activities = sorted({d.activity for d in wanted if d.fits(os)})
    return [
        max((d for d in wanted if d.activity == a and d.fits(os)), key=lambda d: len(d.os_version)) for a in activities
    ]
