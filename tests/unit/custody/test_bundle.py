"""The form of a bundle: what any tar reader sees."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from forensics.custody import bundle
from forensics.custody.bundle import BundleEntry
from forensics.errors import EvidenceTransferError
from forensics.models.custody import SigningKey
from tests.unit.builders import CASE_ID, NOW

KEY = SigningKey(arn="arn:aws:kms:::key/k", der=b"der")


def test_members_are_read_by_any_tar_reader() -> None:
    files = {"bundle.json": b"{}", f"objects/{'d' * 90}/{'f' * 90}.bin": b"x" * 513, "empty": b""}
    archive = b"".join(b"".join(bundle.member(path, body)) for path, body in files.items()) + bundle.END
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        found = {m.name: opened.extractfile(m).read() for m in opened}  # type: ignore[union-attr]
        assert {(m.mode, m.mtime, m.uid, m.uname) for m in opened.getmembers()} == {(0o444, 0, 0, "")}
    assert found == files


@pytest.mark.parametrize("size", [0, 8**11 - 1, 8**11, 5 * 10**12])
def test_sizes_beyond_ustars_octal_field_are_kept(size: int) -> None:
    info = tarfile.TarInfo.frombuf(bundle.header("image", size), "utf-8", "strict")
    assert (info.name, info.size) == ("image", size)


def test_a_name_that_ustar_cannot_hold_is_refused() -> None:
    with pytest.raises(EvidenceTransferError, match="cannot be put into a bundle"):
        bundle.header("x" * 300, 1)


def test_the_manifest_is_canonical_and_lists_everything() -> None:
    events = [{"seq": 1, "digest": "a"}, {"seq": 2, "digest": "b"}]
    uri = "s3://evidence/cases/c/x"
    made = bundle.manifest(
        case_id=CASE_ID,
        exported_at=NOW,
        exported_by="Ada",
        product="p 1",
        events=events,
        keys=[KEY],
        files=[BundleEntry(path="README.txt", size_bytes=3, sha256="c")],
        objects=[BundleEntry(path="objects/x", size_bytes=9, sha256="d", uri=uri, version_id="v", included=False)],
    )
    document = json.loads(made)
    assert made == json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert document["ledger"] == {"path": "ledger.jsonl", "events": 2, "head": "b"}
    assert document["keys"] == [{"path": bundle.key_path(KEY), "sha256": KEY.fingerprint, "arn": KEY.arn}]
    assert document["files"] == [{"path": "README.txt", "bytes": 3, "sha256": "c"}]
    assert document["objects"][0] | {"uri": uri, "version_id": "v", "included": False} == document["objects"][0]
    assert bundle.ledger_lines(events) == b'{"digest":"a","seq":1}\n{"digest":"b","seq":2}\n'


def test_objects_lie_where_the_case_has_them() -> None:
    assert bundle.object_path(CASE_ID, f"cases/{CASE_ID}/custody/head.json") == "objects/custody/head.json"
