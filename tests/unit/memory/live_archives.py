"""Archives of a live response as the document writes them, for the tests of what reads them."""

from __future__ import annotations

import hashlib
import io
import tarfile

MOMENT = "2026-11-21T02:05:00Z"


def line(name: str, body: bytes, *, state: str = "present", digest: str | None = None) -> str:
    """One line of the index."""
    found = digest or hashlib.sha256(body).hexdigest()
    return f"{name}\t{MOMENT}\t{MOMENT}\t0\t{len(body)}\t{found}\t{state}\n"


def tar(members: dict[str, bytes]) -> bytes:
    """An archive of these members, with the end that the document writes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, body in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
        size = archive.offset
    return out.getvalue()[:size] + bytes(1024)


def archive(members: dict[str, bytes]) -> bytes:
    """The members and their index."""
    index = "".join(line(name, body) for name, body in members.items())
    return tar({**members, "index.tsv": index.encode()})
