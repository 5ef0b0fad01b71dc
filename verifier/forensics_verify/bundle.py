"""The order of the checks: manifest and its signature, ledger, signed heads, every digest, what they say of each other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from forensics_verify import heads, ledger
from forensics_verify.canonical import NotCanonicalError, parse
from forensics_verify.container import Container, ContainerError, read
from forensics_verify.contents import Bundle, anchored
from forensics_verify.problems import Findings, shown
from forensics_verify.signatures import PublicKey, SignatureError

MANIFEST, SIGNATURE = "bundle.json", "bundle.sig.json"
SCHEMA = "forensics.bundle/1"
MIB = 1024 * 1024
RECORD_LIMIT = 512 * MIB


def verify(
    container: Container,
    *,
    trusted: Sequence[str] = (),
    apart: Container | None = None,
    case_id: str | None = None,
    not_before: datetime | None = None,
    authorities: Sequence[bytes] = (),
) -> Findings:
    """Check a whole bundle.

    :param trusted: fingerprints of signing keys that are known from elsewhere (SHA-256 of the DER form, hex)
    :param apart: where objects lie that the bundle lists but does not hold
    :param case_id: the case that it must be of
    :param not_before: the moment before which it must not have been exported
    :param authorities: certificates (DER) of time-stamping authorities, or of who certifies them, known from elsewhere
    """
    findings = Findings()
    try:
        manifest = _manifest(container, findings)
        if manifest is None:
            return findings
        keys = _keys(container, manifest, findings)
        bundle = Bundle(container, manifest, keys, frozenset(trusted), findings, tuple(authorities))
        _about(bundle, case_id=case_id, not_before=not_before)
        _signed(bundle)
        events, digests = _ledger(bundle)
        heads.check(bundle, events=events, digests=digests)
        _files(bundle)
        _objects(bundle, apart=apart)
        _unlisted(bundle)
        _agree(bundle, events)
    except ContainerError as error:
        findings.wrong(error.part, error.what)
    return findings


def _manifest(container: Container, findings: Findings) -> dict[str, Any] | None:
    if MANIFEST not in container.names():
        findings.wrong(MANIFEST, "is missing: this is not a case bundle, or its table of contents was taken away")
        return None
    try:
        manifest = parse(read(container, MANIFEST, limit=RECORD_LIMIT))
    except NotCanonicalError as error:
        findings.wrong(MANIFEST, f"was changed after the export: {error}")
        return None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        findings.wrong(MANIFEST, f"is not of schema {SCHEMA}; a newer forensics-verify may read it")
        return None
    return manifest


def _about(bundle: Bundle, *, case_id: str | None, not_before: datetime | None) -> None:
    """What the bundle says it is, and whether that is what the reader expects: another case's, or an older one, is as right."""
    said, findings = bundle.manifest, bundle.findings
    kept = said.get("ledger")
    findings.say("case", said.get("case_id"))
    findings.say("exported at", said.get("exported_at"))
    findings.say("exported by", said.get("exported_by"))
    findings.say("ledger events", kept.get("events") if isinstance(kept, dict) else None)
    findings.say("made by", said.get("product"))
    if case_id is not None and said.get("case_id") != case_id:
        findings.wrong(MANIFEST, f"is of case {findings.about['case']}, not of {case_id}")
    if not_before is None:
        return
    try:
        exported = datetime.fromisoformat(str(said.get("exported_at")))
        early = exported < not_before
    except (ValueError, TypeError):
        findings.wrong(MANIFEST, f"does not say when it was exported ({findings.about['exported at']})")
        return
    if early:
        findings.wrong(
            MANIFEST, f"was exported at {exported.isoformat()}, before {not_before.isoformat()}: there is a later one"
        )


def _keys(container: Container, manifest: dict[str, Any], findings: Findings) -> dict[str, PublicKey]:
    """The bundle's public keys by fingerprint."""
    found = {}
    for entry in manifest.get("keys") or []:
        path, claimed = str(entry.get("path")), str(entry.get("sha256"))
        if path not in container.names():
            findings.wrong(path, "is missing: a public key that the bundle lists")
            continue
        try:
            key = PublicKey.load(read(container, path, limit=MIB))
        except SignatureError as error:
            findings.wrong(path, f"was changed: {error}")
            continue
        if key.fingerprint != claimed:
            findings.wrong(path, f"is another key: fingerprint {key.fingerprint}, the bundle lists {claimed}")
            continue
        found[claimed] = key
    return found


def _signed(bundle: Bundle) -> None:
    if SIGNATURE not in bundle.container.names():
        bundle.findings.wrong(SIGNATURE, "is missing: nothing vouches for the bundle's table of contents")
        return
    try:
        record = parse(read(bundle.container, SIGNATURE, limit=MIB))
        if not isinstance(record, dict) or set(record) != {"algorithm", "key_arn", "key_sha256", "signature"}:
            raise NotCanonicalError("it does not hold algorithm, key_arn, key_sha256 and signature")
        key = anchored(bundle, str(record["key_sha256"]), SIGNATURE)
        if key is None:
            return
        arns = {str(k.get("arn")) for k in bundle.manifest["keys"] if k.get("sha256") == key.fingerprint}
        if str(record["key_arn"]) not in arns:
            raise SignatureError(f"names the key {record['key_arn']}, the bundle lists {', '.join(sorted(arns))}")
        message = read(bundle.container, MANIFEST, limit=RECORD_LIMIT)
        key.check(message, signature=str(record["signature"]), algorithm=str(record["algorithm"]))
    except NotCanonicalError as error:
        bundle.findings.wrong(SIGNATURE, f"was changed: {error}")
    except SignatureError as error:
        bundle.findings.wrong(SIGNATURE, f"{MANIFEST} or its signature was changed or exchanged: {error}")
    else:
        bundle.findings.right("signature over the bundle's table of contents")


def _ledger(bundle: Bundle) -> tuple[list[dict[str, Any]], list[str]]:
    """Events, and the digests of those in an unbroken chain from the first on."""
    said = bundle.manifest.get("ledger") or {}
    path, findings = str(said.get("path")), bundle.findings
    if path not in bundle.container.names():
        findings.wrong("ledger", f"is missing: {path}")
        return [], []
    events = ledger.read(read(bundle.container, path, limit=RECORD_LIMIT), findings=findings)
    digests = ledger.check_chain(events, case_id=str(bundle.manifest.get("case_id")), findings=findings)
    if len(digests) == len(events):
        if len(events) < int(said.get("events", 0)):
            findings.wrong(
                f"ledger event {len(events) + 1}", f"is missing: the ledger was cut off after event {len(events)}"
            )
        elif (len(events), digests[-1:]) != (said.get("events"), [said.get("head")]):
            findings.wrong(
                f"ledger event {int(said.get('events', 0)) + 1}"
                if len(events) > int(said.get("events", 0))
                else "ledger",
                "was added or written anew: the ledger's end is not the one that was exported",
            )
    return events, digests


def _digest(container: Container, name: str) -> str:
    digest = hashlib.sha256()
    for piece in container.stream(name):
        digest.update(piece)
    return digest.hexdigest()


def _same(bundle: Bundle, entry: dict[str, Any], container: Container, name: str) -> bool:
    size, part = container.size(name), str(entry.get("path"))
    if size != entry.get("bytes"):
        bundle.findings.wrong(part, f"has {size} bytes, the bundle lists {entry.get('bytes')}")
        return False
    found = _digest(container, name)
    if found != entry.get("sha256"):
        bundle.findings.wrong(part, f"was changed: its SHA-256 is {found}, the bundle lists {entry.get('sha256')}")
        return False
    return True


def _files(bundle: Bundle) -> None:
    names = set(bundle.container.names())
    for entry in bundle.listed("files"):
        path = str(entry.get("path"))
        if path not in names:
            bundle.findings.wrong(path, "is missing from the bundle")
        elif _same(bundle, entry, bundle.container, path):
            bundle.findings.right("records with the listed digest")


def _objects(bundle: Bundle, *, apart: Container | None) -> None:
    names = set(bundle.container.names())
    elsewhere = set(apart.names()) if apart else set()
    for entry in bundle.listed("objects"):
        path = str(entry.get("path"))
        if entry.get("included"):
            if path not in names:
                bundle.findings.wrong(path, "is missing from the bundle")
            elif _same(bundle, entry, bundle.container, path):
                bundle.findings.right("evidence objects with the listed digest")
        elif apart and path.removeprefix("objects/") in elsewhere:
            if _same(bundle, entry, apart, path.removeprefix("objects/")):
                bundle.findings.right("evidence objects kept apart with the listed digest")
        else:
            bundle.findings.remark(f"not in the bundle, listed by digest only: {shown(entry.get('uri'))}")


def _unlisted(bundle: Bundle) -> None:
    entries = [*bundle.listed("files"), *bundle.listed("objects")]
    paths = [str(e.get("path")) for e in entries]
    for path in sorted({p for p in paths if paths.count(p) > 1}):
        bundle.findings.wrong(path, f"is listed twice in {MANIFEST}")
    for name in bundle.container.names():
        if name not in {MANIFEST, SIGNATURE, *paths}:
            bundle.findings.wrong(name, "was added: the bundle's table of contents does not list it")


def _agree(bundle: Bundle, events: list[dict[str, Any]]) -> None:
    """Ledger and contents say the same of every object, and what was compared was equal."""
    objects = {str(o.get("uri")): o for o in bundle.listed("objects")}
    mentioned: set[str] = set()
    for event in events:
        part = f"ledger event {event['seq']}"
        for uri, sha256 in ledger.stated(event):
            mentioned.add(uri)
            if uri not in objects:
                bundle.findings.wrong(part, f"speaks of {uri}, which the bundle does not list")
            elif objects[uri].get("sha256") != sha256:
                bundle.findings.wrong(part, f"says that {uri} has SHA-256 {sha256}, the bundle has another object")
            else:
                bundle.findings.right("digests that the ledger and the objects agree on")
        pairs = ledger.compared(event)
        if len({value for _, value in pairs}) > 1:
            named = "; ".join(f"{subject}: {value}" for subject, value in pairs)
            bundle.findings.wrong(part, f"source and copy of {event.get('evidence_id')} differ: {named}")
        elif len(pairs) > 1:
            bundle.findings.right("comparisons of source and copy, equal")
    for uri in sorted(set(objects) - mentioned):
        if "/custody/" not in uri:
            bundle.findings.remark(f"the ledger does not speak of {uri}; the bundle's own signature covers it")
