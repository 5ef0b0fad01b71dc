"""A disk's records read what earlier releases wrote, and write the same JSON."""

from __future__ import annotations

import json

import pytest

from forensics.errors import StoredItemError
from forensics.models.disk import KeyCase, Route, SnapshotLock
from forensics.models.evidence import DiskEvidence, read_evidence

STORED = {
    "evidence_id": "disk-vol-1",
    "kind": "disk",
    "outcome": "ACQUIRED",
    "origin": {
        "volume_id": "vol-1",
        "snapshot_id": "snap-1",
        "copy_id": "copy-1",
        "key_case": "customer key of the account",
        "route": "grant the key, share",
        "block_manifest": {"uri": "s3://e/k", "sha256": "a", "blocks": 4},
    },
    "lock": {
        "snapshot": {"state": "governance-cooloff", "until": "2027-11-24T08:00:00+00:00"},
        "copy": {"state": "governance", "until": ""},
    },
}


def test_a_stored_disk_is_read_as_its_model_and_written_as_it_was() -> None:
    disk = read_evidence(STORED)
    assert isinstance(disk, DiskEvidence)
    assert (disk.origin.key_case, disk.origin.route) == (KeyCase.CUSTOMER, Route.GRANT)
    assert disk.lock["copy"] == SnapshotLock(state="governance", until="")
    written = json.loads(disk.model_dump_json(exclude_none=True))
    assert written["origin"].pop("key_ids") == {}, "a later release's, with its default"
    assert {name: written[name] for name in STORED} == STORED
    assert disk.origin.stated()["route"] == "grant the key, share"


@pytest.mark.parametrize(
    "change",
    [{"origin": {"route": "by carrier pigeon"}}, {"origin": {"size_gib": "many"}}, {"lock": {"copy": "x"}}],
)
def test_what_no_release_wrote_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(StoredItemError, match="cannot be read by this release"):
        read_evidence({**STORED, **change})
