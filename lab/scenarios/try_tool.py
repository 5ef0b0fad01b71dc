"""Runs one SSM document on one image in the sandbox of a forensic instance, and says what the pipeline would say.

``make try-tool DOC=ssm_documents/investigate_strings_linux.yaml IMAGE=disk.raw`` (``OUTPUT=raw`` unless the registry says otherwise).
Nothing of a lab or of AWS is needed. Exit status: 0 when the pipeline would take the result, 1 when not, 2 for wrong arguments.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import ValidationError

from forensics.aws.ssm import Invocation
from forensics.case.gaps import tool_gaps
from forensics.case.status_line import read_status
from forensics.errors import InvestigationError
from forensics.investigation.artifacts import EXPECTED
from forensics.investigation.raw_results import from_status_line
from forensics.manifest import render
from forensics.models.documents import Output
from forensics.models.evidence import Outcome
from forensics.models.results import Investigation, SentDocument, StoredArtifact, ToolResults, read_results
from forensics.models.status_lines import InvestigationStatus
from forensics.printable import count, visible
from lab.hosts.agent.interpolation import environment, splice
from lab.hosts.agent.tools import ToolsError, toolkit_view
from lab.hosts.sandbox.capability import capabilities
from lab.hosts.sandbox.gate import Gate
from lab.hosts.sandbox.runner import execute
from lab.hosts.sandbox.spec import Bind, Spec
from lab.scenarios.document_rules import problems
from lab.userland.bucket import QUERY, Bucket, bucket

CASE, VOLUME = "fc-20261124-0123456789", "vol-0123456789abcdef0"
SECONDS = 3600.0


def main(arguments: Sequence[str]) -> int:
    """``DOC IMAGE [raw|results]``."""
    if len(arguments) not in {2, 3} or not all(Path(name).is_file() for name in arguments[:2]):
        print(
            "usage: make try-tool DOC=<document.yaml> IMAGE=<file> [OUTPUT=raw|results]; both have to be files",
            file=sys.stderr,
        )
        return 2
    path, image = Path(arguments[0]), Path(arguments[1]).resolve()
    document = yaml.safe_load(path.read_text("utf-8"))
    if wrong := problems(document, size=path.stat().st_size):
        print(f"{path.name} breaks the contract of documents (docs/architecture.md):")
        print("\n".join(f"  - {problem}" for problem in wrong))
        return 1
    output = Output(arguments[2]) if len(arguments) == 3 else _registered(path) or Output.RAW
    with bucket() as store:
        found = _run(document, image, store=store, output=output)
        return _judge(found, store=store, output=output, name=path.stem)


def _registered(path: Path) -> Output | None:
    """The kind of output that the registry beside the document names for it."""
    registry = path.with_name("registry.yaml")
    entries = yaml.safe_load(registry.read_text("utf-8"))["documents"] if registry.is_file() else []
    entry = next((e for e in entries if e["document"] == path.name), None)
    return Output(entry.get("output", "results")) if entry else None


def _run(document: Mapping[str, Any], image: Path, *, store: Bucket, output: Output) -> Invocation:
    on_disk = "VolumeId" in document["parameters"]
    gets = {} if on_disk else {"memory": (_digest(image), f"{store.url}/memory{QUERY}")}
    if not on_disk:
        store.objects["/memory"] = image.read_bytes()
    puts = {name: f"{store.url}/{name}{QUERY}" for name in EXPECTED[output]}
    store.objects["/manifest"] = render(gets=gets, puts=puts).encode()
    given = {"CaseId": CASE, "EvidenceId": f"disk-{VOLUME}" if on_disk else "memory-i-0123456789abcdef0",
             "ManifestUrl": f"{store.url}/manifest{QUERY}", "VolumeId": VOLUME, "ExecutionTimeout": str(int(SECONDS))}  # fmt: skip
    parameters = {name: given[name] for name in document["parameters"]}
    (step,) = document["mainSteps"]
    script = "\n".join(
        splice(step["inputs"]["runCommand"], document=dict(document), parameters=parameters, script=True)
    )
    port = urlsplit(store.url).port or 0
    spec = _machine(
        image, script=script, port=port, on_disk=on_disk, variables=environment(dict(document), parameters=parameters)
    )
    out, err = bytearray(), bytearray()
    gate = Gate(("127.0.0.1", port), reachable=lambda: True)
    try:
        with tempfile.TemporaryDirectory(prefix="try-tool-") as folder:
            ended = execute(spec, timeout_seconds=SECONDS, stdout=out.extend, stderr=err.extend, gate=gate,
                            reduced=capabilities().mode == "reduced", scratch=Path(folder))  # fmt: skip
    finally:
        gate.close()
    print(f"ran {ended.seconds:.1f} s, exit status {ended.code}{f' ({ended.reason})' if ended.reason else ''}")
    for note in ended.notes:
        print(f"  note of the sandbox: {note}")
    return Invocation(command_id="try-tool", instance_id="sandbox", status="Success" if ended.code == 0 else "Failed",
                      exit_code=ended.code, stdout=out.decode("utf-8", "replace"), stderr=err.decode("utf-8", "replace"))  # fmt: skip


def _machine(image: Path, *, script: str, port: int, on_disk: bool, variables: dict[str, str]) -> Spec:
    """What a forensic instance shows: the volume as an NVMe device with its link, and the toolkit where it is set up."""
    binds, files = [], []
    try:
        shown, wrapper = toolkit_view(None)
        binds, files = list(shown), [wrapper]
    except ToolsError as error:
        print(f"  the toolkit is not shown: {error}")
    links: tuple[tuple[str, str], ...] = ()
    if on_disk:
        binds.append(Bind(str(image), "/dev/nvme0n1"))
        links = ((f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{VOLUME.replace('-', '')}", "../../nvme0n1"),)
    return Spec(
        script=script,
        hostname="forensic",
        binds=tuple(binds),
        files=tuple(files),
        links=links,
        disk_tmp=True,
        port=port,
        environment=variables,
    )


def _judge(found: Invocation, *, store: Bucket, output: Output, name: str) -> int:
    """What the pipeline makes of it; returns the exit status."""
    try:
        if found.status != "Success":
            raise InvestigationError(found.cause())
        status = read_status(found, InvestigationStatus, error=InvestigationError)
        stored = {part: _stored(part, store, status) for part in EXPECTED[output]}
        results = _results(found, store, output, name=name, raw=stored["raw"])
    except (InvestigationError, ValidationError, ValueError) as error:
        print(f"the pipeline would say FAILED: {visible(str(error))}")
        print("\n".join(f"  stderr: {visible(line)}" for line in found.stderr.splitlines()[-10:]))
        return 1
    missed = tool_gaps(results)
    print(
        f"the pipeline would say {'PARTIAL' if status.status == 'partial' else 'DONE'}: {count(len(results.findings), 'finding')}, {count(len(missed), 'gap')}"
    )
    for finding in results.findings[:20]:
        print(f"  {finding.severity.value:8} {visible(finding.title)} {visible(finding.source)}".rstrip())
    for gap in missed:
        print(f"  gap      {visible(str(gap))}")
    for part, item in stored.items():
        print(f"  stored   {part}: {item.bytes} bytes, SHA-256 {item.sha256}")
    return 0


def _stored(part: str, store: Bucket, status: InvestigationStatus) -> StoredArtifact:
    """An upload, held against what the last line says of it, as the pipeline does."""
    body = store.uploads.get(f"/{part}")
    if body is None:
        raise InvestigationError(f"nothing was uploaded to the manifest's put {part}")
    claim, digest = status.artifacts.get(part), hashlib.sha256(body).hexdigest()
    if claim is None or claim.sha256 != digest or claim.bytes not in {None, len(body)}:
        raise InvestigationError(
            f"{part}: {len(body)} bytes with SHA-256 {digest} were uploaded; the last line says {claim}"
        )
    return StoredArtifact(uri=f"s3://evidence/{part}", sha256=digest, bytes=len(body))


def _results(found: Invocation, store: Bucket, output: Output, *, name: str, raw: StoredArtifact) -> ToolResults:
    if output is Output.RESULTS:
        return read_results(store.uploads["/results"])
    tool = json.loads(found.stdout.strip().splitlines()[-1]).get("tool", name)
    item = Investigation(
        activity=name,
        tool=str(tool)[:60],
        evidence_id=f"disk-{VOLUME}",
        outcome=Outcome.PENDING,
        document=SentDocument(name=name),
    )
    return from_status_line(found.status_line(), case_id=CASE, item=item, raw=raw, ended=datetime.now(UTC))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
