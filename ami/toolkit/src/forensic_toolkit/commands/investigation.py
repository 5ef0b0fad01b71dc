"""One investigation: fetch and hash the evidence, examine it in a confined program, hash the device again."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from forensic_toolkit.commands import comparison, memory, outputs
from forensic_toolkit.commands.examination import Job, write_keys
from forensic_toolkit.errors import EvidenceError, ToolkitError
from forensic_toolkit.filesystems import block_device
from forensic_toolkit.manifest import Manifest, fetch
from forensic_toolkit.results import Results
from forensic_toolkit.rules import rule_packs
from forensic_toolkit.sandbox import confinement, subprograms
from forensic_toolkit.symbols import windows_symbols
from forensic_toolkit.times import now

# Results are read back into this process; a confined program under an attacker's control must not fill its memory.
MAX_RESULTS = 64 << 20
# Seconds kept for hashing the device again and for the upload.
_RESERVE = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for; ``seconds`` is the time limit for everything."""

    command: Literal["memory", "disk"]
    case: str
    evidence: str
    volume: str | None
    profile: str
    seconds: float
    platform: str = "linux"


@dataclass(frozen=True, slots=True)
class _Inputs:
    files: dict[str, Path]
    measured: block_device.Measured
    gaps: list[list[str]]
    keys: dict[str, bytes] = field(default_factory=dict, repr=False)


def investigate(request: Request, *, manifest: Manifest, work: Path) -> dict[str, Any]:
    """Write the outputs into ``work`` and return the content of results.json.

    Its ``failure`` says why there are no usable results; None when there are.
    """
    started = time.monotonic()
    results = Results(request.case, request.evidence, request.command, started=now())
    raw = work / "raw"
    raw.mkdir()
    try:
        inputs = (
            _memory(manifest, work=work)
            if request.command == "memory"
            else _device(str(request.volume), manifest=manifest, work=work)
        )
        results.input_sha256, results.input_bytes = inputs.measured.sha256, inputs.measured.bytes
        left = request.seconds - _RESERVE - (time.monotonic() - started)
        document = _confined(request, inputs=inputs, work=work, seconds=max(10.0, left))
        if request.command == "disk":
            _unchanged(inputs, document=document)
    except ToolkitError as error:
        results.failure = str(error)
        results.gap("analysis", str(error))
        outputs.clear(work)
        outputs.write(results, folder=work, raw=raw)
        document = _read(work)
    outputs.paths(work)["results"].write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    return document


def _memory(manifest: Manifest, *, work: Path) -> _Inputs:
    """Fetch the image and the kernel's files; digests are checked before anything parses them."""
    if "memory" not in manifest.gets:
        raise EvidenceError("the manifest offers no 'memory' to analyse")
    wanted = ("memory", memory.TABLE, windows_symbols.ARCHIVE, *memory.FACTS)
    fetched = {name: fetch(download, folder=work) for name, download in manifest.gets.items() if name in wanted}
    gaps = []
    if manifest.gets["memory"].sha256 is None:
        gaps.append(
            ["digest of the image", "the manifest states none, so the image was analysed as it arrived, unverified"]
        )
    image = fetched["memory"]
    measured = block_device.Measured(bytes=image.bytes, sha256=image.sha256)
    return _Inputs({name: item.path for name, item in fetched.items()}, measured, gaps)


def _device(volume: str, *, manifest: Manifest, work: Path) -> _Inputs:
    """The device, rule packs and earlier results that the manifest offers; one without a digest, or of another one, is not used."""
    packs = {name: item for name, item in manifest.gets.items() if rule_packs.is_pack(name)}
    for name, item in packs.items():
        if item.sha256 is None:
            raise EvidenceError(
                f"the manifest offers the rule pack '{name}' without a digest: name its sha256 in the registry"
            )
    if earlier := manifest.gets.get(comparison.QUICK_RESULTS):
        if earlier.sha256 is None:
            raise EvidenceError("the manifest offers the quick profile's results without a digest")
        packs[comparison.QUICK_RESULTS] = earlier
    fetched = {name: fetch(item, folder=work).path for name, item in packs.items()}
    device = block_device.locate(volume)
    gaps = []
    if block_device.is_read_only(device) is False:
        gaps.append(
            ["write protection", f"{device} is not write-protected by the kernel; it was opened for reading only"]
        )
    more = {f"other{number}": path for number, path in enumerate(block_device.others(device), start=1)}
    return _Inputs({"device": device, **more, **fetched}, block_device.measure(device), gaps, dict(manifest.keys))


def _confined(request: Request, *, inputs: _Inputs, work: Path, seconds: float) -> dict[str, Any]:
    """Run the examination and read its results. Raises EvidenceError when there are none."""
    files = {name: str(path) for name, path in inputs.files.items()}
    job = Job(
        command=request.command,
        case=request.case,
        evidence=request.evidence,
        folder=str(work),
        files=files,
        sha256=inputs.measured.sha256,
        bytes=inputs.measured.bytes,
        seconds=seconds,
        profile=request.profile,
        platform=request.platform,
        gaps=inputs.gaps,
        keys=str(work / "keys.json") if inputs.keys else "",
    )
    if inputs.keys:
        write_keys(Path(job.keys), inputs.keys)
    path = work / "job.json"
    job.write(path)
    limits = confinement.plan(
        inputs=[*inputs.files.values()], folder=work, input_bytes=inputs.measured.bytes, seconds=seconds
    )
    confinement.hand_over(work, limits)
    log = work / "examination.log"
    argv = [sys.executable, "-m", "forensic_toolkit.commands.examination", str(path)]
    began = time.monotonic()
    process = subprograms.start(argv, folder=work, stdout=log, confined=limits)
    ended = subprograms.finish(process, stdout=log, seconds=seconds, started=began)
    if ended.error is not None:
        raise EvidenceError(f"the confined examination failed: {ended.error}")
    return _read(work)


def _read(work: Path) -> dict[str, Any]:
    path = outputs.paths(work)["results"]
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_RESULTS:
        raise EvidenceError("the confined examination left no results.json of a plausible size")
    try:
        document = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise EvidenceError(f"the confined examination left a results.json that is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("gaps"), list):
        raise EvidenceError("the confined examination left a results.json with an unexpected structure")
    return document


def _unchanged(inputs: _Inputs, *, document: dict[str, Any]) -> None:
    """Record a failure when the device changed during the analysis: its findings are worthless."""
    device, before = inputs.files["device"], inputs.measured
    after = block_device.measure(device)
    if after != before:
        why = (
            f"{device} changed during the analysis: SHA-256 {before.sha256} before, {after.sha256} after; "
            "the findings must not be used; attach a fresh volume read-only and investigate again"
        )
        document["failure"] = why
        document["gaps"].append({"what": "analysis", "why": why})
