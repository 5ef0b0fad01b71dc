"""Which SSM documents a case runs, and the SHA-256 of each one's content: the registry decides, not the code.

``documents.json`` beside this file is generated from ``ssm_documents/`` by ``make documents``; a test keeps it up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from forensics.deployment import named
from forensics.errors import UnsupportedTargetError
from forensics.models.documents import Document
from forensics.models.evidence import EvidenceKind

_HOW_TO_ADD = "add ssm_documents/<activity>_<platform>.yaml and its line in registry.yaml (docs/adding-a-tool.md)"


@dataclass(frozen=True)
class Selection:
    """The documents for one kind of evidence of one case, and why others of the registry were left out."""

    chosen: tuple[Document, ...]
    left_out: tuple[str, ...]


@lru_cache(maxsize=1)
def released() -> dict[str, Document]:
    """All released documents by the name of their file."""
    text = resources.files("forensics").joinpath("documents.json").read_text("utf-8")
    return {
        key: Document.model_validate(value | {"name": named(value["name"])}) for key, value in json.loads(text).items()
    }


def choose(activity: str, *, platform: str, os: str = "") -> Document:
    """The most specific document of an activity; raises :class:`UnsupportedTargetError` when there is none."""
    fitting = [
        d for d in released().values() if d.enabled and d.activity == activity and d.platform == platform and d.fits(os)
    ]
    if not fitting:
        msg = f"there is no SSM document for activity {activity} on platform {platform} {os}".rstrip()
        raise UnsupportedTargetError(msg, next_action=_HOW_TO_ADD)
    return max(fitting, key=lambda d: len(d.os_version))


def profiles(platform: str = "") -> list[Document]:
    """The documents that examine evidence, of one platform or of all, one of each activity: what a person can order by name."""
    found = [d for d in released().values() if d.evidence is not None and platform in {"", d.platform}]
    return [*{d.activity: d for d in sorted(found, key=lambda d: (d.activity, len(d.os_version)))}.values()]


def select(
    evidence: EvidenceKind,
    *,
    platform: str,
    os: str = "",
    finding_types: Iterable[str] = (),
    only: str = "",
    following: bool = False,
) -> Selection:
    """Every document that examines this kind of evidence of this target, for these findings.

    Findings without a type (a person's request) match every pattern: a requested case runs all tools. With ``only`` it is that
    activity alone, also where the registry switches it off or has it for other findings: a person has ordered it. ``following``: only
    what follows another activity, which may be nothing; otherwise only what follows none. Raises
    :class:`UnsupportedTargetError` when no document reads this evidence of this platform at all.
    """
    types = tuple(finding_types)
    chosen: dict[str, Document] = {}
    left_out = []
    reading = [d for d in released().values() if d.evidence is evidence and only in {"", d.activity}]
    reading = [d for d in reading if only or bool(d.follows) is following]
    if only:
        reading, types = [d.model_copy(update={"enabled": True, "finding_types": ()}) for d in reading], ()
    for document in sorted(reading, key=lambda d: (d.activity, len(d.os_version))):
        reason = _unfit(document, platform=platform, os=os, types=types)
        if reason is None:
            chosen[document.activity] = document  # the most specific one comes last
        else:
            left_out.append(f"{document.name}: {reason}")
    if not chosen and not following:
        msg = f"no SSM document examines {evidence.value} of platform {platform} {os}".strip()
        raise UnsupportedTargetError(f"{msg} ({'; '.join(left_out) or 'none is registered'})", next_action=_HOW_TO_ADD)
    return Selection(tuple(chosen.values()), tuple(left_out))


def _unfit(document: Document, *, platform: str, os: str, types: tuple[str, ...]) -> str | None:
    if not document.enabled:
        return "switched off in the registry"
    if document.platform != platform:
        return f"for platform {document.platform}"
    if not document.fits(os):
        return f"for {document.os_version}"
    if not document.answers(types):
        return f"for finding types {', '.join(document.finding_types)}"
    return None
