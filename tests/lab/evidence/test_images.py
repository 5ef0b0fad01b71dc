"""Where images are kept, and that they are unpacked once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.evidence.images import Images, image_cache
from lab.paths import ROOT


def test_cache_is_beside_a_state_outside_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_CACHE", raising=False)
    assert image_cache(tmp_path / "state") == tmp_path / "cache"
    assert image_cache(ROOT / ".lab" / "demo") == ROOT / ".lab" / "cache"
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "elsewhere"))
    assert image_cache(ROOT / ".lab") == tmp_path / "elsewhere"


def test_images_are_unpacked_once(tmp_path: Path) -> None:
    images = Images(tmp_path / "cache")
    first = images.disk("tiny")
    before = first.image.stat().st_mtime_ns
    assert images.disk("tiny") == first
    assert first.image.stat().st_mtime_ns == before
    assert sorted(images.memory()) == ["btf", "facts", "iomem", "kallsyms", "memory", "version"]
