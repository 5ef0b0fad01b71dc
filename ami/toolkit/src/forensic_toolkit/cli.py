"""Analyse evidence on the forensic instance: arguments in, one JSON status line out."""

from __future__ import annotations

import argparse
import json
import lzma
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forensic_toolkit import __version__
from forensic_toolkit.commands import disk, investigation, outputs, symbol_library
from forensic_toolkit.errors import ToolkitError
from forensic_toolkit.manifest import load
from forensic_toolkit.printable import printable
from forensic_toolkit.symbols import isf

EXIT_FAILED = 1
# The command line that SSM documents pin says "fast" for the quick profile.
_PROFILES = {"fast": disk.QUICK, "full": disk.FULL}
_OF_THEIR_OWN = {"collect": disk.COLLECT, "compare": disk.COMPARE}


def _matching(pattern: str) -> Any:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise argparse.ArgumentTypeError(f"'{value[:80]}' does not match {pattern}")
        return value

    return check


def _seconds(value: str) -> float:
    if not re.fullmatch(r"[1-9][0-9]{1,5}", value):
        raise argparse.ArgumentTypeError(f"'{value[:80]}' is not a number of seconds from 10 to 999999")
    return float(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forensic-toolkit", description=__doc__)
    parser.add_argument("--version", action="version", version=f"forensic-toolkit {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("memory", "analyse a memory image"),
        ("disk", "analyse an evidence volume, read-only"),
        ("collect", "copy the files that findings name, logs and start-up files out of an evidence volume"),
        ("compare", "read an evidence volume with dissect as well, and compare the counts with the quick profile's"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--case", required=True, type=_matching(r"fc-[0-9]{8}-[0-9a-f]{10}"), help="case id")
        evidence = _matching(r"[a-z0-9][a-z0-9-]{2,62}")
        command.add_argument("--evidence", required=True, type=evidence, help="evidence id")
        command.add_argument("--manifest", required=True, help="presigned URL of the manifest")
        limit = "time limit for everything in seconds; what was found by then is uploaded (default: %(default)s)"
        command.add_argument("--seconds", type=_seconds, default=3600.0, help=limit)
        if name != "memory":
            volume = _matching(r"vol-[0-9a-f]{8,17}")
            command.add_argument("--volume", required=True, type=volume, help="EBS volume id of the evidence")
        else:
            platforms = "operating system of the imaged instance (default: %(default)s)"
            command.add_argument("--platform", choices=("linux", "windows"), default="linux", help=platforms)
        if name in _OF_THEIR_OWN:
            command.set_defaults(profile=_OF_THEIR_OWN[name])
            continue
        profiles = "the profile; fast: minutes; full: plaso's timeline or all plugins, hours (default: %(default)s)"
        command.add_argument("--lane", dest="profile", choices=_PROFILES, default="fast", help=profiles)
    library = commands.add_parser("library", help="build a symbol table from a distribution's debug package")
    library.add_argument("--manifest", required=True, help="presigned URL of the manifest: get package, put symbols")
    library.add_argument(
        "--seconds", type=_seconds, default=3600.0, help="time limit for everything in seconds (default: %(default)s)"
    )
    symbols = commands.add_parser(
        "symbols", help="build a symbol table for Volatility 3 from files of the running kernel"
    )
    for name, text in (
        ("--btf", "/sys/kernel/btf/vmlinux of that kernel"),
        ("--kallsyms", "/proc/kallsyms, read as root"),
        ("--kernel-version", "/proc/version"),
        ("--output", "file to write, .json.xz"),
    ):
        symbols.add_argument(name, required=True, type=Path, help=text)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and print its status line on stdout.

    Returns the exit status: 0 for ok and partial, 1 for failed; wrong arguments end the program with 2.
    """
    arguments = _parser().parse_args(argv)
    started = time.monotonic()
    try:
        status = _COMMANDS.get(arguments.command, _investigate)(arguments)
    except (ToolkitError, OSError, MemoryError) as error:
        # An OSError here comes from the work directory: full, or not writable.
        status = {"status": "failed", "reason": printable(f"{error or type(error).__name__}")}
    except Exception as error:
        # A bug in the toolkit must still end in a status line; the traceback is for whoever fixes it.
        traceback.print_exc()
        status = {
            "status": "failed",
            "reason": printable(f"internal error, {type(error).__name__}: {error}; see stderr"),
        }
    status["seconds"] = round(time.monotonic() - started, 1)
    sys.stdout.write(json.dumps(status) + "\n")
    return EXIT_FAILED if status["status"] == "failed" else 0


def _symbols(arguments: argparse.Namespace) -> dict[str, Any]:
    facts = isf.KernelFacts(
        btf=arguments.btf.read_bytes(),
        kallsyms=arguments.kallsyms.read_bytes(),
        version=arguments.kernel_version.read_bytes(),
    )
    table = isf.build(facts)
    packed = lzma.compress(isf.dump(table), preset=6)
    arguments.output.write_bytes(packed)
    return {"status": "ok", "reason": "", "symbols": len(table["symbols"]), "bytes": len(packed)}


def _library(arguments: argparse.Namespace) -> dict[str, Any]:
    manifest = load(arguments.manifest)
    with tempfile.TemporaryDirectory(prefix="forensic-", dir=os.environ.get("FORENSIC_WORK")) as name:
        made = symbol_library.build(manifest, work=Path(name), seconds=arguments.seconds)
    return {"status": "ok", "reason": "", **made}


def _investigate(arguments: argparse.Namespace) -> dict[str, Any]:
    manifest = load(arguments.manifest)
    with tempfile.TemporaryDirectory(prefix="forensic-", dir=os.environ.get("FORENSIC_WORK")) as name:
        work = Path(name)
        document = investigation.investigate(
            investigation.Request(
                command="memory" if arguments.command == "memory" else "disk",
                case=arguments.case,
                evidence=arguments.evidence,
                volume=getattr(arguments, "volume", None),
                profile=_PROFILES.get(arguments.profile, arguments.profile),
                seconds=arguments.seconds,
                platform=getattr(arguments, "platform", "linux"),
            ),
            manifest=manifest,
            work=work,
        )
        paths = outputs.paths(work)
        artifacts, problems = outputs.send(paths, manifest=manifest)
    failure = document.get("failure")
    if failure is None and "results" not in artifacts:
        failure = "; ".join(problems) or "results.json was not uploaded"
    shortcomings = [*problems, *(f"{gap['what']}: {gap['why']}" for gap in document["gaps"])]
    return {
        "status": "failed" if failure else "partial" if shortcomings else "ok",
        "reason": printable(failure or "; ".join(shortcomings)),
        "case_id": arguments.case,
        "evidence_id": arguments.evidence,
        "findings": int(document["counts"]["findings"]),
        "timeline_entries": int(document["counts"]["timeline_entries"]),
        "artifacts": {name: {"sha256": item.sha256, "bytes": item.bytes} for name, item in artifacts.items()},
    }


_COMMANDS = {"symbols": _symbols, "library": _library}
