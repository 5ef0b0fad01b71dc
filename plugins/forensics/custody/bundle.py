"""The form of a case bundle: a tar archive with evidence objects, ledger, signed heads, keys and a signed manifest.

Pure: what the files are and how an archive holds them. ``verifier/`` checks bundles and shares no code with this.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from forensics.custody.chain import canonical
from forensics.errors import EvidenceTransferError
from forensics.models.base import Model, format_utc
from forensics.models.custody import SigningKey
from forensics.naming import case_prefix

SCHEMA = "forensics.bundle/1"
LEDGER, MANIFEST, SIGNATURE = "ledger.jsonl", "bundle.json", "bundle.sig.json"
_BLOCK = tarfile.BLOCKSIZE
_HEAD = re.compile(r"objects/custody/head-(\d{8,})-.*", re.DOTALL)
END = bytes(2 * _BLOCK)

README = """\
Case bundle {case_id}

Everything that is known of one forensic case, to be checked by somebody who has no access to AWS:

  bundle.json        table of contents: every file and object with its size and SHA-256
  bundle.sig.json    signature over bundle.json (AWS KMS, {algorithm} over the SHA-384 digest)
  ledger.jsonl       custody ledger: one event a line (RFC 8785), each with the SHA-256 of the one before
  keys/              public keys of the signatures, PEM
  objects/           the objects of the evidence store; objects/custody/ has the heads of the ledger that were signed and
                     stored under Object Lock at the end of each phase
  case.jsonld        the case in CASE/UCO, for other tools

Check it with forensics-verify (Python and the package "cryptography"; no AWS, no network):

  forensics-verify --fingerprint {fingerprint} <this file>

Get the fingerprint from somebody other than who gave you this file. To check it manually: `openssl dgst -sha384 -verify keys/….pem
-signature <bundle.sig.json's signature, base64-decoded> bundle.json`, and `sha256sum` of every file.

No claim is made as to the suitability of the contents as evidence in a court of law.
"""


class BundleEntry(Model):
    """One line of the manifest; ``included`` is false for an object that is listed by its digest only."""

    path: str
    size_bytes: int
    sha256: str
    uri: str | None = None
    version_id: str | None = None
    included: bool = True

    def as_listed(self) -> dict[str, object]:
        """The line as the manifest has it."""
        common = {"path": self.path, "bytes": self.size_bytes, "sha256": self.sha256}
        if self.uri is None:
            return common
        return {**common, "uri": self.uri, "version_id": self.version_id, "included": self.included}


def key_path(key: SigningKey) -> str:
    """Where a public key lies in the bundle."""
    return f"keys/{key.fingerprint[:16]}.pem"


def object_path(case_id: str, key: str) -> str:
    """Where an object of the evidence store lies in the bundle."""
    return f"objects/{key.removeprefix(case_prefix(case_id))}"


def manifest(
    *,
    case_id: str,
    exported_at: datetime,
    exported_by: str,
    product: str,
    events: Sequence[Mapping[str, object]],
    keys: Sequence[SigningKey],
    files: Sequence[BundleEntry],
    objects: Sequence[BundleEntry],
) -> bytes:
    """Canonical bytes of ``bundle.json``."""
    return canonical(
        {
            "schema": SCHEMA,
            "case_id": case_id,
            "exported_at": format_utc(exported_at),
            "exported_by": exported_by,
            "product": product,
            "ledger": {"path": LEDGER, "events": len(events), "head": events[-1]["digest"] if events else ""},
            "keys": [{"path": key_path(k), "sha256": k.fingerprint, "arn": k.arn} for k in keys],
            "files": [f.as_listed() for f in files],
            "objects": [o.as_listed() for o in objects],
        }
    )


def ledger_lines(events: Sequence[Mapping[str, object]]) -> bytes:
    """``ledger.jsonl``: the events exactly as they were hashed."""
    return b"".join(canonical(event) + b"\n" for event in events)


def holds(path: str) -> bool:
    """Whether an archive can hold a file of this name so that every reader finds it: others are listed by their digest only."""
    if not (path.isascii() and path.isprintable()) or set(path.split("/")) & {"", ".", ".."}:
        return False
    try:
        header(path, 0)
    except EvidenceTransferError:
        return False
    return True


def covers(path: str) -> int:
    """How many events of the ledger a signed head covers, by the name of its object; 0 for every other object."""
    found = _HEAD.fullmatch(path)
    return int(found[1]) if found else 0


def header(path: str, size: int) -> bytes:
    """The tar header of a file: POSIX ustar, mode 0444, no owner, time zero; from 8 GiB on the size is in base 256.

    Raises :class:`EvidenceTransferError` for a name that ustar cannot hold (255 bytes).
    """
    info = tarfile.TarInfo(path)
    info.mode, info.size = 0o444, min(size, 8**11 - 1)
    try:
        block = bytearray(info.tobuf(tarfile.USTAR_FORMAT, errors="strict"))
    except (ValueError, UnicodeEncodeError) as error:
        msg = f"{path} cannot be put into a bundle: {error}"
        raise EvidenceTransferError(msg, next_action="export the object by itself") from error
    if size >= 8**11:
        block[124:136] = b"\x80" + size.to_bytes(11, "big")
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padding(size: int) -> bytes:
    """Zeros up to the next block of 512 bytes."""
    return bytes(-size % _BLOCK)


def member(path: str, body: bytes) -> Iterator[bytes]:
    """A small file as it stands in the archive."""
    yield header(path, len(body)) + body + padding(len(body))
