"""The offline store of symbol tables for Windows; nothing is downloaded.

Tables lie in ``windows/<pdb>/<GUID>-<age>.json.xz``, as Volatility names them: below the folder that FORENSIC_SYMBOLS
names (the AMI's), and in an archive that the manifest offers as ``symbols_windows`` (an object of the tools bucket).
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from forensic_toolkit.errors import SymbolError

ARCHIVE = "symbols_windows"
INSTALLED = Path("/opt/forensic-toolkit/symbols")
MAX_FILES, MAX_BYTES = 5000, 4 << 30
_MEMBER = re.compile(r"(?:[^/]+/)?windows/([A-Za-z0-9_.-]{1,64})/([0-9A-Fa-f]{32}-[0-9]{1,4}\.json(?:\.xz)?)")


def prepare(files: Mapping[str, Path], *, work: Path) -> Path:
    """A folder with symbol tables for Volatility. Raises SymbolError when there is none."""
    folder = work / "tables"
    if ARCHIVE in files and unpack(files[ARCHIVE], folder=folder):
        return folder
    installed = Path(os.environ.get("FORENSIC_SYMBOLS", INSTALLED))
    if any((installed / "windows").glob("*/*.json*")):
        return installed
    raise SymbolError(
        f"no symbol table for Windows: the manifest offers no '{ARCHIVE}', and there is none below {installed}/windows"
    )


def unpack(archive: Path, *, folder: Path) -> int:
    """Extract the tables, and nothing else, within limits; returns their number. Raises SymbolError."""
    count, size = 0, 0
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                match = _MEMBER.fullmatch(member.filename)
                if match is None:
                    continue
                count, size = count + 1, size + member.file_size
                if count > MAX_FILES or size > MAX_BYTES:
                    raise SymbolError(
                        f"the archive of symbol tables holds more than {MAX_FILES} files or {MAX_BYTES >> 30} GiB"
                    )
                place = folder / "windows" / match[1]
                if match[1] in (".", ".."):
                    continue
                place.mkdir(parents=True, exist_ok=True)
                (place / match[2]).write_bytes(packed.read(member))
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise SymbolError(f"the archive of symbol tables cannot be unpacked: {error}") from error
    return count
