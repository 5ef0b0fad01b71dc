"""Writes a case bundle as a stream of bytes: bounded memory, every object hashed as it passes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.s3_archive import EvidenceArchive, StoredVersion
from forensics.custody import bundle
from forensics.custody.bundle import BundleEntry, key_path
from forensics.custody.chain import canonical, stated_digests
from forensics.custody.ledger import CustodyLedger
from forensics.errors import CustodyChainError, DigestMismatchError
from forensics.models.base import Model
from forensics.models.custody import SIGNATURE_ALGORITHM, SigningKey
from forensics.naming import case_prefix

MIB = 1024 * 1024


class ExportOrder(Model):
    """What goes into a bundle, and who asked for it."""

    case_id: str
    exported_by: str
    product: str
    largest_mib: int | None = None


class CaseExport:
    """One export: iterate :meth:`chunks` to the end, then read :attr:`manifest`."""

    def __init__(
        self, *, order: ExportOrder, store: CaseStore, ledger: CustodyLedger, archive: EvidenceArchive
    ) -> None:
        self._order = order
        self._store = store
        self._ledger = ledger
        self._archive = archive
        self._objects: list[BundleEntry] = []
        self._files: list[BundleEntry] = []
        self.manifest = b""

    def chunks(self, extra: dict[str, bytes] | None = None) -> Iterator[bytes]:
        """The archive's bytes. ``extra`` are further records of the bundle, by path.

        Steps of the case may go on meanwhile. The ledger is read first, so that every object it speaks of is there when the
        objects are listed; heads that are signed after that cover more than the bundle's ledger, and are left to the next one.

        Raises :class:`DigestMismatchError` when an object is not what the ledger says.
        """
        case_id = self._order.case_id
        events = [data for _, data in self._store.items(case_id, case_keys.CUSTODY_EVENT)]
        if not events:
            msg = f"case {case_id} has no custody ledger, so nothing can be exported"
            raise CustodyChainError(msg, next_action="check the case id")
        known = dict(pair for event in events for pair in stated_digests(event))
        for version in self._originals(events=len(events)):
            yield from self._object(version, known.get(version.uri))
        keys = self._keys()
        for path, body in {**self._records(events, keys), **(extra or {})}.items():
            self._files.append(BundleEntry(path=path, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest()))
            yield from bundle.member(path, body)
        yield from self._signed(events, keys)
        yield bundle.END

    def _originals(self, *, events: int) -> list[StoredVersion]:
        """The first version of every object; the bucket is create-only, a second one would be an attempt to replace it."""
        first: dict[str, StoredVersion] = {}
        for version in self._archive.versions(case_prefix(self._order.case_id)):
            newer = bundle.covers(bundle.object_path(self._order.case_id, version.key)) > events
            if not newer and not version.key.startswith(f"{case_prefix(self._order.case_id)}bundle/"):
                first.setdefault(version.key, version)
        return list(first.values())

    def _object(self, version: StoredVersion, known: str | None) -> Iterator[bytes]:
        limit = self._order.largest_mib
        path = bundle.object_path(self._order.case_id, version.key)
        digest = hashlib.sha256()
        # without its heads nothing proves the ledger
        wanted = limit is None or version.size_bytes <= limit * MIB or bundle.covers(path) > 0
        included = wanted and bundle.holds(path)
        if included:
            yield bundle.header(path, version.size_bytes)
        seen = 0
        if included or known is None:
            for piece in self._archive.stream(version):
                digest.update(piece)
                seen += len(piece)
                if included:
                    yield piece
        found = digest.hexdigest() if included or known is None else known
        if known and found != known:
            msg = f"{version.uri} has SHA-256 {found}, the custody ledger says {known}"
            raise DigestMismatchError(msg)
        if included and seen != version.size_bytes:
            msg = f"{version.uri} gave {seen} bytes, S3 lists {version.size_bytes}"
            raise DigestMismatchError(msg)
        if included:
            yield bundle.padding(version.size_bytes)
        self._objects.append(
            BundleEntry(
                path=path,
                size_bytes=version.size_bytes,
                sha256=found,
                uri=version.uri,
                version_id=version.version_id,
                included=included,
            )
        )

    def _keys(self) -> list[SigningKey]:
        """Keys of the signed heads, and the one that signs this bundle."""
        found = {
            key.fingerprint: key
            for head in self._ledger.signed_heads(self._order.case_id)
            for key in [SigningKey(arn=head.key_arn, der=base64.b64decode(head.public_key_der))]
        }
        signer = self._ledger.key.public_key()
        return list({**found, signer.fingerprint: signer}.values())

    def _records(self, events: list[dict[str, object]], keys: list[SigningKey]) -> dict[str, bytes]:
        signer = self._ledger.key.public_key().fingerprint
        text = bundle.README.format(case_id=self._order.case_id, algorithm=SIGNATURE_ALGORITHM, fingerprint=signer)
        return {
            bundle.LEDGER: bundle.ledger_lines(events),
            **{key_path(key): _pem(key.der) for key in keys},
            "README.txt": text.encode(),
        }

    def _signed(self, events: list[dict[str, object]], keys: list[SigningKey]) -> Iterator[bytes]:
        order = self._order
        self.manifest = bundle.manifest(
            case_id=order.case_id,
            exported_at=datetime.now(UTC),
            exported_by=order.exported_by,
            product=order.product,
            events=events,
            keys=keys,
            files=self._files,
            objects=self._objects,
        )
        made = self._ledger.key.sign(self.manifest, what=f"the bundle of {order.case_id}")
        record = {
            "algorithm": SIGNATURE_ALGORITHM,
            "key_arn": made.key.arn,
            "key_sha256": made.key.fingerprint,
            "signature": made.signature,
        }
        yield from bundle.member(bundle.MANIFEST, self.manifest)
        yield from bundle.member(bundle.SIGNATURE, canonical(record))


def _pem(der: bytes) -> bytes:
    lines = re.findall(".{1,64}", base64.b64encode(der).decode())
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()
