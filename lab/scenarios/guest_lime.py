"""``make guest GUEST_ARGS=--lime``: a LiME module for the guest's kernel, offered as an installation would offer it."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from lab.seed.accounts import Account
from lab.tools.memory.module_build import Builder

LIME_KEY, LIME_LIST = "tools/lime/guest.ko", "tools/lime/list.json"


def offer_lime(lab: dict[str, Any], work: Path, *, kernel: str, builder: Builder) -> None:
    """Build LiME for the guest's kernel from Debian's source package, and list it, signed, in the lab's tools bucket."""
    source = work / "lime"
    source.mkdir()
    subprocess.run(
        ["apt-get", "download", "-q", "lime-forensics-dkms"], cwd=source, check=True, stdout=subprocess.DEVNULL
    )
    subprocess.run(["dpkg-deb", "-x", str(next(source.glob("*.deb"))), str(source)], check=True)
    module = builder.build(next((source / "usr/src").iterdir()), into=work).read_bytes()
    fields = {
        "kernel": kernel, "architecture": builder.machine.uname, "key": LIME_KEY, "sha256": hashlib.sha256(module).hexdigest(),
    }  # fmt: skip
    listed = json.dumps({"version": 1, "modules": [fields]}).encode()
    account = Account(lab["accounts"]["forensic"], lab["endpoint"])
    signature = account.client("kms").sign(
        KeyId=lab["document_key_id"], Message=hashlib.sha384(listed).digest(), MessageType="DIGEST",
        SigningAlgorithm="ECDSA_SHA_384",
    )["Signature"]  # fmt: skip
    for key, body in ((LIME_KEY, module), (LIME_LIST, listed), (f"{LIME_LIST}.sig", base64.b64encode(signature))):
        account.client("s3").put_object(Bucket=lab["tools_bucket"], Key=key, Body=body)
