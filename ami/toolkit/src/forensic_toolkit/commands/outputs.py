"""Writing and uploading the three outputs: results.json, timeline.jsonl, raw.tar.gz."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import heapq
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from forensic_toolkit.errors import ManifestError
from forensic_toolkit.manifest import Manifest, upload
from forensic_toolkit.results import Event, Results
from forensic_toolkit.times import now

NAMES = {"results": "results.json", "timeline": "timeline.jsonl", "raw": "raw.tar.gz"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """One uploaded output; its size in bytes."""

    sha256: str
    bytes: int


def paths(folder: Path) -> dict[str, Path]:
    """The paths of the outputs in a folder, by name."""
    return {name: folder / file for name, file in NAMES.items()}


def clear(folder: Path) -> None:
    """Remove whatever a confined program left at the paths of the outputs: a symbolic link there would be followed."""
    for path in paths(folder).values():
        path.unlink(missing_ok=True)


def write(results: Results, *, folder: Path, raw: Path) -> dict[str, Path]:
    """Write the outputs into ``folder``; ``raw`` is the folder with the tools' own output."""
    places = paths(folder)
    own = (json.dumps(event.as_timesketch(), ensure_ascii=False) + "\n" for event in results.in_order())
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(places["timeline"].open("w", encoding="utf-8"))
        more = stack.enter_context(results.more_timeline.open(encoding="utf-8")) if results.more_timeline else ()
        # Both are in order of time and are merged into one timeline.
        file.writelines(heapq.merge(own, more, key=_moment) if results.more_timeline else own)
        if not file.tell():
            # An empty file would look like a failed upload.
            none = Event(now(), "Nothing in this evidence carries a time; results.json says why", "toolkit", "Examined")
            file.write(json.dumps(none.as_timesketch(), ensure_ascii=False) + "\n")
    _pack(raw, into=places["raw"])
    document = results.as_dict(ended=now())
    places["results"].write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    return places


def _moment(line: str) -> str:
    """The time of a timeline line; ISO 8601 in UTC with microseconds sorts as text."""
    return str(json.loads(line)["datetime"])


def send(places: dict[str, Path], *, manifest: Manifest) -> tuple[dict[str, Artifact], list[str]]:
    """Upload the outputs that the manifest has URLs for. Returns the uploaded artifacts, and why others are missing."""
    sent: dict[str, Artifact] = {}
    problems: list[str] = []
    for name, path in places.items():
        url = manifest.puts.get(name)
        if url is None:
            problems.append(f"the manifest has no upload URL for '{name}'")
            continue
        if path.is_symlink() or not path.is_file():
            problems.append(f"{path.name} was not written")
            continue
        try:
            upload(name, url=url, path=path)
        except ManifestError as error:
            problems.append(str(error))
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        sent[name] = Artifact(sha256=digest, bytes=path.stat().st_size)
    return sent, problems


def _pack(folder: Path, *, into: Path) -> None:
    """A reproducible tar: sorted names, no times, no owners."""
    # Level 3 halves the time of level 6 and costs a tenth in size.
    with (
        into.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=3, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as content:
                    archive.addfile(entry, content)
