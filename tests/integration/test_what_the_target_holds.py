"""An intruder reads the capture's manifest on the target and tries what its URLs are good for: one write each, nothing else."""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from forensics.operators.memory import CaptureMemoryOperator
from tests import memory_image
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage
from tests.integration.test_memory_flow import change_target

MIB = 1024 * 1024


def ask(method: str, url: str, body: bytes | None = None) -> int:
    """The answer's status; a body goes without a form's content type, as the sender's does."""
    headers = {"Content-Type": "application/octet-stream"} if body is not None else {}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)  # noqa: S310 (the lab's own address)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def steal(lab: SmallLab, held: dict[str, Any]) -> None:
    """As root on the target: the agent's command has the manifest's URL, the manifest all others. Tried while they are valid."""
    ssm = lab.client("ssm", "member")
    instance = lab.facts["instances"]["web-server"]["instance_id"]
    for _ in range(300):
        commands = ssm.list_commands(InstanceId=instance)["Commands"]
        urls = [c["Parameters"]["ManifestUrl"][0] for c in commands if "ManifestUrl" in c.get("Parameters", {})]
        if urls:
            with urllib.request.urlopen(urls[0], timeout=20) as answer:  # noqa: S310
                held["manifest"] = answer.read().decode()
            held["manifest_url"] = urls[0]
            held["statuses"] = misuse(lab, held["manifest"], urls[0])
            return
        time.sleep(0.1)


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
        for url in (puts[0], gets[0]):
            parts = urlsplit(url)
            place = f"{parts.scheme}://{parts.netloc}/{bucket}?list-type=2"
            tried[f"list {bucket} with {url[:60]}"] = ask("GET", f"{place}&{parts.query}")
            tried[f"list {bucket}"] = ask("GET", place)
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


def test_no_url_of_a_manifest_is_good_for_anything_but_its_own_use(lab: SmallLab, tmp_path: Any) -> None:
    files = memory_image.write(tmp_path / "larger", size=20 * MIB)
    kernel = {name: str(path) for name, path in files.items() if name != "memory"}
    change_target(lab, memory=str(files["memory"]), kernel=kernel, capture_rate_mib_s=3)
    case_id = open_case(lab)
    triage(case_id)
    held: dict[str, Any] = {}
    thief = threading.Thread(target=steal, args=(lab, held), daemon=True)
    thief.start()
    perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    thief.join(30)
    statuses = held["statuses"]
    allowed = {what: status for what, status in statuses.items() if status not in {403, 405}}
    assert not allowed, f"{len(allowed)} of {len(statuses)} tries were not refused: {allowed}"
    assert len(statuses) > 50
    # the capture was not hurt, and what was stolen opens nothing any more
    assert ask("GET", held["manifest_url"]) in {403, 404}
    assert "AWS_SECRET" not in held["manifest"] and "X-Amz-Security-Token=FwoG" not in held["manifest"]
