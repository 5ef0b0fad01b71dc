"""The ``library`` command: fetch a debug package, build a symbol table from it in a confined program, upload the table."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from forensic_toolkit.errors import ManifestError, SymbolError
from forensic_toolkit.manifest import Manifest, fetch, upload
from forensic_toolkit.printable import printable, printable_data
from forensic_toolkit.sandbox import confinement, subprograms

PACKAGE, TABLE = "package", "symbols"
MAX_TABLE = 64 << 20
_FACTS = ("banner", "method", "symbols", "kernel_sha256", "notes")


def build(manifest: Manifest, *, work: Path, seconds: float) -> dict[str, Any]:
    """Build and upload the table; returns its facts for the status line. Raises ToolkitError."""
    if PACKAGE not in manifest.gets or TABLE not in manifest.puts:
        raise ManifestError(f"the manifest must offer '{PACKAGE}' and an upload URL for '{TABLE}'")
    if manifest.gets[PACKAGE].sha256 is None:
        raise ManifestError(
            "the manifest states no digest of the package, so its origin cannot be verified; nothing was built"
        )
    package = fetch(manifest.gets[PACKAGE], folder=work)
    folder = work / "build"
    folder.mkdir()
    limits = confinement.plan(inputs=[package.path], folder=folder, input_bytes=package.bytes, seconds=seconds)
    confinement.hand_over(work, limits)
    log = folder / "said"
    argv = [sys.executable, "-m", "forensic_toolkit.symbols.kernel_package", str(package.path), str(folder)]
    started = time.monotonic()
    process = subprograms.start(argv, folder=folder, stdout=log, confined=limits)
    ended = subprograms.finish(process, stdout=log, seconds=seconds, started=started)
    if ended.error is not None:
        raise SymbolError(f"no table was built: {printable(ended.error)}")
    made = folder / TABLE
    if made.is_symlink() or not made.is_file() or not 0 < made.stat().st_size <= MAX_TABLE:
        raise SymbolError("the confined program left no table of a plausible size")
    try:
        said = json.loads(log.read_text("utf-8"))
        facts = {name: printable_data(said[name], limit=600) for name in _FACTS}
    except (ValueError, KeyError, TypeError) as error:
        raise SymbolError(f"the confined program's description of the table is not valid: {error}") from error
    upload(TABLE, url=manifest.puts[TABLE], path=made)
    content = made.read_bytes()
    return {
        **facts,
        "package_sha256": package.sha256,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
