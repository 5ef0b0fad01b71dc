"""The pinned documents are the ones in the repository."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from forensics import document_registry as documents
from forensics.document_registry import choose, released, select
from forensics.errors import UnsupportedTargetError
from forensics.models.documents import Document
from forensics.models.evidence import EvidenceKind

ROOT = Path(__file__).resolve().parents[2]
PINNED = ROOT / "plugins" / "forensics" / "documents.json"


def compiler() -> Any:
    """The script behind `make documents`."""
    spec = importlib.util.spec_from_file_location("documents_manifest", ROOT / "scripts" / "documents_manifest.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_documents_json_is_in_step_with_the_documents() -> None:
    assert PINNED.read_text("utf-8") == compiler().manifest(), "run `make documents`"


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("activity: scan\n    platform: linux\n    document: scan_linux.yaml", "missing or unknown description"),
        ("activity: scan\n    platform: linux\n    document: gone_linux.yaml\n    description: x", "does not exist"),
        (
            "activity: scan\n    platform: linux\n    document: scan_linux.yaml\n    description: x\n    evidence: disk",
            "needs evidence",
        ),
        (
            "activity: scan\n    platform: linux\n    document: scan_linux.yaml\n    description: x\n    evidence: disk\n    tool: x",
            "call it investigate_",
        ),
    ],
)
def test_a_wrong_registry_entry_is_named(tmp_path: Path, entry: str, why: str) -> None:
    (tmp_path / "scan_linux.yaml").write_text("schemaVersion: '2.2'\n")
    (tmp_path / "registry.yaml").write_text(f"version: 1\ndocuments:\n  - {entry}\n")
    script = compiler()
    with pytest.raises(script.RegistryError, match=why):
        script.manifest(tmp_path)


def test_a_document_without_an_entry_is_named(tmp_path: Path) -> None:
    (tmp_path / "scan_linux.yaml").write_text("schemaVersion: '2.2'\n")
    (tmp_path / "registry.yaml").write_text("version: 1\ndocuments: []\n")
    script = compiler()
    with pytest.raises(script.RegistryError, match="look at: scan_linux"):
        script.manifest(tmp_path)


def document(activity: str, **more: Any) -> Document:
    """A registered disk tool."""
    return Document(
        name=f"forensics-{activity}_linux{more.get('os_version', '')}",
        sha256="0" * 64,
        activity=activity,
        platform=more.pop("platform", "linux"),
        evidence=EvidenceKind.DISK,
        tool="x",
        **more,
    )


def test_the_registry_selects_by_system_version_and_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [
        document("scan"),
        document("scan", os_version="Amazon Linux 2"),
        document("scan", os_version="Ubuntu 24"),
        document("miner", finding_types=("CryptoCurrency:*", "*/CryptoCurrency:*")),
        document("registry", platform="windows"),
        document("off", enabled=False),
    ]
    monkeypatch.setattr(documents, "released", lambda: {str(n): d for n, d in enumerate(known)})

    def chosen(os: str, *types: str) -> list[str]:
        return [d.name for d in select(EvidenceKind.DISK, platform="linux", os=os, finding_types=types).chosen]

    c2 = "Backdoor:EC2/C&CActivity.B"
    assert chosen("Debian GNU/Linux 12", c2) == ["forensics-scan_linux"]
    assert chosen("Debian GNU/Linux 12") == ["forensics-miner_linux", "forensics-scan_linux"], "a person wants all"
    assert chosen("Amazon Linux 2023", c2) == ["forensics-scan_linuxAmazon Linux 2"]
    assert chosen("Ubuntu 24.04", "CryptoCurrency:EC2/BitcoinTool.B") == [
        "forensics-miner_linux",
        "forensics-scan_linuxUbuntu 24",
    ]
    left_out = select(EvidenceKind.DISK, platform="linux", finding_types=[c2]).left_out
    assert "forensics-off_linux: switched off in the registry" in left_out
    with pytest.raises(UnsupportedTargetError, match="no SSM document examines memory of platform linux"):
        select(EvidenceKind.MEMORY, platform="linux")


def test_what_is_released_examines_memory_and_disk() -> None:
    for kind in (EvidenceKind.MEMORY, EvidenceKind.DISK):
        (found,) = select(kind, platform="linux").chosen
        assert found.activity == f"investigate_{kind.value}"


@pytest.mark.parametrize("activity", ["acquire_memory", "investigate_memory", "investigate_disk"])
def test_every_activity_has_a_linux_document(activity: str) -> None:
    document = choose(activity, platform="linux")
    assert document.name == f"forensics-{activity}_linux"
    assert len(document.sha256) == 64


def test_a_missing_document_says_how_to_add_one() -> None:
    with pytest.raises(UnsupportedTargetError, match="acquire_memory on platform freebsd") as caught:
        choose("acquire_memory", platform="freebsd")
    assert "registry.yaml" in caught.value.next_action


def test_all_of_the_file_is_released() -> None:
    assert set(released()) == set(json.loads(PINNED.read_text("utf-8")))
