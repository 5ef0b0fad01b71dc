"""The pinned documents are the ones in the repository."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from forensics.domain.documents import choose, released
from forensics.errors import UnsupportedTargetError

ROOT = Path(__file__).resolve().parents[3]
PINNED = ROOT / "plugins" / "forensics" / "domain" / "documents.json"


def test_documents_json_is_in_step_with_the_documents() -> None:
    spec = importlib.util.spec_from_file_location("documents_manifest", ROOT / "scripts" / "documents_manifest.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert PINNED.read_text("utf-8") == script.manifest(), "run `make documents`"


@pytest.mark.parametrize("activity", ["acquire_memory", "investigate_memory", "investigate_disk"])
def test_every_activity_has_a_linux_document(activity: str) -> None:
    document = choose(activity, platform="linux")
    assert document.name == f"forensics-{activity}_linux"
    assert len(document.sha256) == 64


def test_a_missing_document_says_how_to_add_one() -> None:
    with pytest.raises(UnsupportedTargetError, match="acquire_memory on platform windows") as caught:
        choose("acquire_memory", platform="windows")
    assert "registry.yaml" in caught.value.next_action


def test_all_of_the_file_is_released() -> None:
    assert set(released()) == set(json.loads(PINNED.read_text("utf-8")))
