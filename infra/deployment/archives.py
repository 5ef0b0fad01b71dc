"""Archives that come out byte for byte the same from the same files: names sorted, times and owners fixed."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

# ZIP knows no time before 1980.
EPOCH = (1980, 1, 1, 0, 0, 0)
SKIPPED = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def tree(folder: Path) -> dict[str, bytes]:
    """Relative name → content of every file below a folder, without what Python and linters leave there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not SKIPPED & set(path.parts)
        and path.suffix != ".pyc"
        and ".egg-info" not in path.as_posix()
    }


def write_zip(file: Path, content: Mapping[str, bytes]) -> None:
    """Write a ZIP archive."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content[name])


def write_tar(file: Path, content: Mapping[str, bytes], *, programs: frozenset[str] = frozenset()) -> None:
    """Write a gzipped tar archive; ``programs`` are the names that may be executed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(content):
            entry = tarfile.TarInfo(name)
            entry.size = len(content[name])
            entry.mode = 0o755 if name in programs else 0o644
            archive.addfile(entry, io.BytesIO(content[name]))
    file.write_bytes(gzip.compress(buffer.getvalue(), 9, mtime=0))
