"""An intruder reads the capture's manifest on the target and tries what its URLs are good for: one write each, nothing else."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.models.evidence import EvidenceKind, Outcome
from lab.accounts import ROOT_SECRET
from lab.progress import wait_until
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_memory_flow import body, case_with_memory, evidence
from tests.lab.emulator.patches.test_storage import http


def ask(method: str, url: str, content: bytes | None = None) -> int:
    """The answer's status; what is sent goes without a form's content type, as the sender's does."""
    kind = {"Content_Type": "application/octet-stream"} if content is not None else {}
    return http(method, url, content, **kind)[0]


def steal(lab: SmallLab, held: dict[str, Any]) -> None:
    """As root on the target: the agent's command has the manifest's URL, the manifest all others. Tried while they are valid."""
    ssm = lab.client("ssm", "member")
    instance = lab.facts["instances"]["web-server"]["instance_id"]

    def used() -> bool:
        commands = ssm.list_commands(InstanceId=instance)["Commands"]
        urls = [c["Parameters"]["ManifestUrl"][0] for c in commands if "ManifestUrl" in c.get("Parameters", {})]
        if urls:
            held["manifest"] = http("GET", urls[0])[1].decode()
            held["manifest_url"] = urls[0]
            gets = [line.split()[-1] for line in held["manifest"].splitlines() if line.startswith("get ")]
            held["own_use"] = {url: ask("GET", url) for url in [*gets, urls[0]]}
            held["statuses"] = misuse(lab, held["manifest"], urls[0])
        return bool(urls)

    wait_until(used, what="a command with a manifest's URL", progress=lambda: lab.control("activity"), pause=0.1)


def misuse(lab: SmallLab, manifest: str, manifest_url: str) -> dict[str, int]:
    """Status of everything that must be refused."""
    evidence, landing = lab.facts["evidence_bucket"], lab.facts["landing_bucket"]
    lines = [line.split() for line in manifest.splitlines()]
    puts = [line[-1] for line in lines if line[0] in {"put", "part"}]
    gets = [line[-1] for line in lines if line[0] == "get"] + [manifest_url]
    assert puts and len(gets) > 1
    puts = puts[:8] + puts[-8:]  # there are as many as parts are allowed
    tried: dict[str, int] = {}
    for number, url in enumerate(puts):
        tried |= {f"{method} of put {number}": ask(method, url) for method in ("GET", "HEAD", "DELETE", "POST")}
        for what, changed in altered(url, evidence):
            tried[f"{what} of put {number}"] = ask("PUT", changed, b"the intruder's")
    for number, url in enumerate(gets):
        tried[f"PUT of get {number}"] = ask("PUT", url, b"the intruder's")
        tried[f"DELETE of get {number}"] = ask("DELETE", url)
        for what, changed in altered(url, evidence):
            tried[f"{what} of get {number}"] = ask("GET", changed)
    for bucket in (landing, evidence):
        tried[f"list {bucket}"] = ask(
            "GET", urlsplit(manifest_url)._replace(path=f"/{bucket}", query="list-type=2").geturl()
        )
        for url in (puts[0], gets[0]):
            parts = urlsplit(url)
            place = f"{parts.scheme}://{parts.netloc}/{bucket}?list-type=2"
            tried[f"list {bucket} with {url[:60]}"] = ask("GET", f"{place}&{parts.query}")
    return tried


def altered(url: str, evidence: str) -> list[tuple[str, str]]:
    """The same signature for another key, another bucket, another part, another upload, a longer life."""
    parts = urlsplit(url)
    changed = [
        ("another key", url.replace(parts.path, f"{parts.path}.x")),
        ("no signature", url.replace(f"?{parts.query}", "")),
        ("the evidence bucket", url.replace(parts.path, re.sub("^/[^/]+", f"/{evidence}", parts.path))),
        ("a longer life", re.sub(r"X-Amz-Expires=\d+", "X-Amz-Expires=604800", url)),
        ("another part", re.sub(r"partNumber=\d+", "partNumber=9999", url)),
        ("another upload", re.sub(r"uploadId=[^&]+", "uploadId=0", url)),
    ]
    return [(what, other) for what, other in changed if other != url]


def test_no_url_of_a_manifest_is_good_for_anything_but_its_own_use(lab: SmallLab, tmp_path: Path) -> None:
    case_id, files = case_with_memory(lab, tmp_path / "larger", mib=20, rate=3)
    held: dict[str, Any] = {}
    thief = threading.Thread(target=steal, args=(lab, held), daemon=True)
    thief.start()
    perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    thief.join(30)
    assert "statuses" in held, f"the intruder got no further than {sorted(held)}"
    assert set(held["own_use"].values()) == {200}, "URLs that open nothing prove nothing"
    allowed = {what: status for what, status in held["statuses"].items() if status != 403}
    assert not allowed, f"{len(allowed)} of {len(held['statuses'])} tries were not refused: {allowed}"
    assert len(held["statuses"]) > 100
    assert ROOT_SECRET not in held["manifest"]
    # The parts' own use is the capture itself: it was not hurt, and what was stolen opens nothing any more.
    perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)
    memory = evidence(case_id, EvidenceKind.MEMORY)
    assert memory.outcome is Outcome.ACQUIRED, memory.reason
    assert body(lab, memory) == files["memory"].read_bytes()
    assert ask("GET", held["manifest_url"]) == 404
