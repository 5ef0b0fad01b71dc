"""The library command, against a server in place of S3."""

from __future__ import annotations

import hashlib
import json
import lzma
from typing import Any

import pytest

from forensic_toolkit import cli
from tests.toolkit import btf_blob, kernel_blob
from tests.toolkit.object_store import Store, status_of


def offer(store: Store, package: bytes, *, digest: str | None = None) -> str:
    """The URL of a manifest of one package."""
    store.objects["/package"] = package
    digest = digest or hashlib.sha256(package).hexdigest()
    lines = ["forensics-manifest 1", f"get package {digest} {store.url}/package", f"put symbols {store.url}/symbols"]
    store.objects["/manifest"] = ("\n".join(lines) + "\n").encode()
    return f"{store.url}/manifest"


@pytest.mark.usefixtures("store")
def test_the_command_uploads_a_table_with_its_account(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    package = kernel_blob.deb(kernel_blob.vmlinux())
    assert cli.main(["library", "--manifest", offer(store, package)]) == 0
    status: dict[str, Any] = status_of(capsys)
    assert status["banner"] == btf_blob.VERSION.decode().rstrip("\n")
    assert status["package_sha256"] == hashlib.sha256(package).hexdigest()
    assert status["sha256"] == hashlib.sha256(store.uploads["/symbols"]).hexdigest()
    assert "init_task" in json.loads(lzma.decompress(store.uploads["/symbols"]))["symbols"]


@pytest.mark.parametrize(
    ("package", "digest", "reason"),
    [
        (kernel_blob.deb(b"text"), None, "holds no vmlinux"),
        (kernel_blob.deb(kernel_blob.vmlinux()), "0" * 64, "is not what the manifest names"),
        (kernel_blob.deb(kernel_blob.vmlinux()), "-", "states no digest"),
    ],
)
def test_the_command_says_why_there_is_no_table(
    store: Store, capsys: pytest.CaptureFixture[str], package: bytes, digest: str | None, reason: str
) -> None:
    assert cli.main(["library", "--manifest", offer(store, package, digest=digest)]) == 1
    assert reason in str(status_of(capsys)["reason"])
    assert store.uploads == {}
