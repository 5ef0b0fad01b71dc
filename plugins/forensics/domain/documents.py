"""Which SSM document does an activity on a platform, and what its content must hash to (R4).

``documents.json`` beside this file is generated from ``ssm_documents/`` by ``make documents``; a test keeps it in step.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources

from forensics.errors import UnsupportedTargetError
from forensics.models.base import Model


class Document(Model):
    """One document as released: its SSM name and the SHA-256 of its content."""

    name: str
    sha256: str


@lru_cache(maxsize=1)
def released() -> dict[str, Document]:
    """All released documents by ``<activity>_<platform>``."""
    text = resources.files("forensics.domain").joinpath("documents.json").read_text("utf-8")
    return {key: Document.model_validate(value) for key, value in json.loads(text).items()}


def choose(activity: str, *, platform: str) -> Document:
    """Return the document, or raise :class:`UnsupportedTargetError`."""
    try:
        return released()[f"{activity}_{platform}"]
    except KeyError:
        msg = f"there is no SSM document for activity {activity} on platform {platform}"
        raise UnsupportedTargetError(
            msg, next_action="add ssm_documents/<activity>_<platform>.yaml and its line in registry.yaml"
        ) from None
