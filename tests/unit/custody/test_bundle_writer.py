"""Writing a bundle: what goes in, what is listed by its digest only, and what ends an export."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest

from forensics.custody.bundle_writer import CaseExport, ExportOrder
from forensics.custody.signatures import fits
from forensics.errors import CustodyChainError, DigestMismatchError
from forensics.models.custody import CustodyAction
from tests.unit.builders import CASE_ID
from tests.unit.custody.archive import ArchiveInMemory
from tests.unit.recorders import LedgerInMemory, StoreInMemory
from tests.unit.signing import SigningKms, signing_key

LARGE = b"x" * (1024 * 1024 + 1)


class Exported:
    """A case with a small and a large object, exported."""

    def __init__(self, *, largest_mib: int | None = None, stated: bytes = b"abc", empty: bool = False) -> None:
        self.kms = SigningKms()
        store = StoreInMemory()
        ledger = LedgerInMemory(store)
        ledger.key = signing_key(self.kms)
        archive = ArchiveInMemory()
        small = archive.put(f"cases/{CASE_ID}/evidence/small", b"abc")
        archive.put(f"cases/{CASE_ID}/evidence/small", b"a later version")
        archive.put(f"cases/{CASE_ID}/evidence/large", LARGE)
        archive.put(f"cases/{CASE_ID}/bundle/1/old.tar", b"an earlier bundle")
        if not empty:
            digest = hashlib.sha256(stated).hexdigest()
            ledger.append(CASE_ID, CustodyAction.ARTIFACT_STORED, detail={"uri": small, "sha256": digest})
        order = ExportOrder(case_id=CASE_ID, exported_by="Ada", product="p", largest_mib=largest_mib)
        self.export = CaseExport(order=order, store=store, ledger=ledger, archive=archive)
        archive_bytes = b"".join(self.export.chunks({"case.jsonld": b"{}"}))
        with tarfile.open(fileobj=io.BytesIO(archive_bytes)) as opened:
            self.files = {m.name: opened.extractfile(m).read() for m in opened}  # type: ignore[union-attr]
        self.manifest = json.loads(self.files["bundle.json"])


def test_a_bundle_has_first_versions_ledger_keys_and_a_signed_manifest() -> None:
    made = Exported()
    assert made.files["objects/evidence/small"] == b"abc" and made.files["objects/evidence/large"] == LARGE
    assert not any("old.tar" in name for name in made.files), "an earlier bundle is not part of a later one"
    assert {o["path"]: o["included"] for o in made.manifest["objects"]} == {
        "objects/evidence/large": True,
        "objects/evidence/small": True,
    }
    assert {f["path"] for f in made.manifest["files"]} == set(made.files) - {
        "bundle.json",
        "bundle.sig.json",
        "objects/evidence/small",
        "objects/evidence/large",
    }
    for entry in [*made.manifest["files"], *made.manifest["objects"]]:
        assert hashlib.sha256(made.files[entry["path"]]).hexdigest() == entry["sha256"]
    signed = json.loads(made.files["bundle.sig.json"])
    assert fits(made.files["bundle.json"], signature=signed["signature"], public_key_der=made.kms.key.der())
    assert made.export.manifest == made.files["bundle.json"]
    assert f"--fingerprint {signed['key_sha256']}" in made.files["README.txt"].decode()
    assert made.files[made.manifest["keys"][0]["path"]].startswith(b"-----BEGIN PUBLIC KEY-----\n")


def test_an_object_above_the_limit_is_listed_by_its_digest() -> None:
    made = Exported(largest_mib=1)
    (large,) = [o for o in made.manifest["objects"] if not o["included"]]
    assert large["path"] == "objects/evidence/large" and large["path"] not in made.files
    assert (large["sha256"], large["bytes"]) == (hashlib.sha256(LARGE).hexdigest(), len(LARGE))


def test_an_object_that_is_not_what_the_ledger_says_ends_the_export() -> None:
    with pytest.raises(DigestMismatchError, match="the custody ledger says"):
        Exported(stated=b"something else")


def test_a_case_without_a_ledger_cannot_be_exported() -> None:
    with pytest.raises(CustodyChainError, match="nothing can be exported"):
        Exported(empty=True)
