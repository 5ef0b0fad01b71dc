"""Copy and original are hashed, must agree, and the manifest is evidence; a disk that cannot be read is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.aws import ebs_direct
from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.disk.disk_digests import DiskDigests, hashable
from forensics.errors import AccessDeniedError, DigestMismatchError, SnapshotError
from forensics.models.custody import CustodyAction
from forensics.models.evidence import DiskEvidence, EvidenceKind, Outcome
from tests.unit.accounts import FORENSIC, settings
from tests.unit.builders import ACCOUNT, CASE_ID, REGION, evidence
from tests.unit.disk.raw_volume import RawVolume, raw_image, sha256sum
from tests.unit.recorders import FakeRecorder

UNIT = 8 * 1024**2
PREFIX = f"cases/{CASE_ID}/evidence/disk/disk-vol-1/copy-1/"


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let EBS count in 8 MiB instead of GiB."""
    monkeypatch.setattr(ebs_direct, "GIB", UNIT)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return raw_image(tmp_path / "disk.raw", written=[1, 5, 15], size=UNIT)


def gateway(image: Path, account: str) -> EbsDirectGateway:
    return EbsDirectGateway(RawVolume(image, gib=UNIT), account_id=account, region=REGION)  # type: ignore[arg-type]


class World:
    """A case with one acquired disk whose copy and original are raw images."""

    def __init__(self, copy: Path, original: Path | None = None, **changes: object) -> None:
        self.recorder = FakeRecorder()
        self.regions: list[str] = []
        self.originals_read = 0
        origin = {"volume_id": "vol-1", "snapshot_id": "snap-1", "copy_id": "copy-1", "copy_region": REGION}
        self.recorder.save_evidence(evidence(EvidenceKind.DISK, origin=origin))

        def copies(region: str) -> EbsDirectGateway:
            self.regions.append(region)
            return gateway(copy, FORENSIC)

        def originals() -> EbsDirectGateway:
            self.originals_read += 1
            if original is None:
                raise AccessDeniedError("list blocks of snap-1: AccessDenied")
            return gateway(original, ACCOUNT)

        self.digests = DiskDigests(self.recorder, settings(**changes), copies=copies, originals=originals)

    @property
    def disk(self) -> DiskEvidence:
        (found,) = self.recorder.disks()
        return found

    def digest(self) -> dict[str, str]:
        return self.digests.digest_all(hashable(self.recorder))


def test_copy_and_original_are_hashed_and_the_manifest_is_evidence(image: Path) -> None:
    world = World(image, image)
    assert world.digest() == {"disk-vol-1": sha256sum(image)}
    assert world.regions == [REGION]
    disk = world.disk
    assert [d.value for d in disk.digests] == [sha256sum(image)] * 2
    assert [d.subject.split("; ")[1] for d in disk.digests] == ["copy copy-1", "original snap-1"]
    assert (disk.size_bytes, disk.origin.source_comparison) == (UNIT, "original and copy were read and are equal")
    manifest = disk.origin.block_manifest
    assert manifest is not None and (manifest.uri, manifest.blocks) == (f"s3://evidence/{PREFIX}disk-digest.json", 3)
    body = json.loads(world.recorder.evidence_store.objects[f"{PREFIX}disk-digest.json"])
    assert (body["sha256"], body["blocks"], body["data"]) == (sha256sum(image), 3, [])
    assert body["segments"][0]["uri"] == f"s3://evidence/{PREFIX}blocks-00000.txt"
    verified = world.recorder.ledger.last(CustodyAction.EVIDENCE_VERIFIED)
    assert verified.detail["block_manifest"] == manifest.model_dump()
    assert verified.facts is not None and verified.facts.size_bytes == UNIT
    assert world.recorder.ledger.signed == ["disk-digest"]


def test_what_was_hashed_is_not_read_again(image: Path) -> None:
    world = World(image, image)
    first = world.digest()
    assert world.digest() == first
    assert (world.regions, world.originals_read) == ([REGION], 1)


def test_the_data_is_exported_when_the_setting_asks_for_it(image: Path) -> None:
    world = World(image, image, export_raw_disks=True)
    world.digest()
    data = world.recorder.evidence_store.objects[f"{PREFIX}data-00000.bin"]
    assert len(data) == 3 * 512 * 1024


def test_a_copy_that_differs_is_failed_for_good(image: Path, tmp_path: Path) -> None:
    changed = bytearray(image.read_bytes())
    changed[600_000] ^= 1
    other = tmp_path / "other.raw"
    other.write_bytes(changed)
    world = World(other, image)
    with pytest.raises(DigestMismatchError, match="disk-vol-1: the copy is not the original"):
        world.digest()
    assert world.disk.outcome is Outcome.FAILED and sha256sum(image) in str(world.disk.reason)
    assert hashable(world.recorder) == []


def test_an_original_that_cannot_be_read_is_said(image: Path) -> None:
    world = World(image)
    world.digest()
    assert len(world.disk.digests) == 1
    assert "the original snap-1 could not be read: list blocks" in str(world.disk.origin.source_comparison)


def test_the_original_is_not_read_when_the_setting_says_so(image: Path) -> None:
    world = World(image, image, hash_source_snapshots=False)
    world.digest()
    assert world.originals_read == 0
    assert "forensics.hash_source_snapshots is off" in str(world.disk.origin.source_comparison)


def test_one_disk_that_cannot_be_read_does_not_stop_the_others(image: Path) -> None:
    world = World(image, image)
    broken = world.disk.model_copy(
        update={
            "evidence_id": "disk-vol-0",
            "origin": world.disk.origin.model_copy(update={"copy_region": "us-east-1"}),
        }
    )
    world.recorder.save_evidence(broken)
    whole = world.digests._copies

    def copies(region: str) -> EbsDirectGateway:
        if region == "us-east-1":
            raise AccessDeniedError("assume role: AccessDenied")
        return whole(region)

    world.digests._copies = copies
    with pytest.raises(SnapshotError, match="no digest of disk-vol-0: assume role: AccessDenied"):
        world.digest()
    hashed = world.recorder.disk("disk-vol-1")
    assert hashed is not None and hashed.digests[0].value == sha256sum(image)
