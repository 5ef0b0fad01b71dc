"""Disks against the lab: read through EBS direct over HTTP, equal to sha256sum of the raw image, and to the original."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.digest_operators import DigestDisksOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.settings import get_settings
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage

GIB = 1024**3


def raw_sha256(path: Path) -> str:
    """SHA-256 of an image as a volume of one GiB."""
    digest = hashlib.sha256(path.read_bytes())
    left = GIB - path.stat().st_size
    while left > 0:
        digest.update(bytes(min(left, 2**26)))
        left -= 2**26
    return digest.hexdigest()


def copied(lab: SmallLab, name: str = "web-server") -> str:
    case_id = open_case(lab, name)
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    perform(CopySnapshotsOperator(task_id="copy_snapshots"), case_id=case_id)
    return case_id


def test_each_disk_gets_its_digest_without_mounting(
    lab: SmallLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__FORENSICS__EXPORT_RAW_DISKS", "true")
    get_settings.cache_clear()
    case_id = copied(lab)
    found = perform(DigestDisksOperator(task_id="digest_disks"), case_id=case_id)
    assert perform(DigestDisksOperator(task_id="digest_disks"), case_id=case_id) == found, "a cleared task"
    volumes = lab.facts["instances"]["web-server"]["volumes"]
    images = {
        f"disk-{volumes[d]}": tmp_path / "cache" / f"{n}.raw"
        for d, n in (("/dev/xvda", "web-server"), ("/dev/sdf", "tiny"))
    }
    assert found == {item: raw_sha256(path) for item, path in images.items()}
    recorder, s3 = recorder_of(case_id, step="test"), lab.client("s3")
    for disk in recorder.evidence(EvidenceKind.DISK):
        assert [d.value for d in disk.digests] == [found[disk.evidence_id]] * 2, "copy and original"
        assert disk.size_bytes == GIB
        bucket, key = disk.origin.block_manifest.uri.removeprefix("s3://").split("/", 1)
        manifest = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        assert (manifest["sha256"], manifest["blocks"]) == (found[disk.evidence_id], 4)
        data = s3.get_object(Bucket=bucket, Key=manifest["data"][0].split("/", 3)[3])["Body"].read()
        assert data == images[disk.evidence_id].read_bytes()[: len(data)] and len(data) == 4 * 512 * 1024
    verified = [e for e in recorder.gateways.ledger.events(case_id) if e.action is CustodyAction.EVIDENCE_VERIFIED]
    assert len(verified) == 2 and all(e.facts and len({d.value for d in e.facts.digests}) == 1 for e in verified)


def test_a_copy_that_is_not_the_original_is_an_alarm(lab: SmallLab, tmp_path: Path) -> None:
    with pytest.raises(AirflowSkipException, match="nothing to hash"):
        perform(DigestDisksOperator(task_id="digest_disks"), case_id=open_case(lab))
    case_id = copied(lab, "db-server")
    (disk,) = recorder_of(case_id, step="test").evidence(EvidenceKind.DISK)
    snapshot = tmp_path / "images" / f"{disk.origin.copy_id}.raw"
    body = bytearray(snapshot.read_bytes())
    body[1000] ^= 1
    snapshot.unlink()
    snapshot.write_bytes(body)
    with pytest.raises(AirflowFailException, match="the copy is not the original"):
        perform(DigestDisksOperator(task_id="digest_disks"), case_id=case_id, try_number=1)
    assert any("FAILED: digest_disks" in m["subject"] for m in lab.mail())
    (disk,) = recorder_of(case_id, step="test").evidence(EvidenceKind.DISK)
    assert disk.outcome is Outcome.FAILED and "not the original" in str(disk.reason)
