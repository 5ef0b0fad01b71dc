"""Ways to tamper with a bundle. Each says which part a check must name first."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from forensics.custody import bundle
from forensics.custody.chain import canonical, event_digest

Files = dict[str, bytes]
Mutation = Callable[[Files, random.Random], tuple[Files, set[str]]]
MANIFEST, SIGNATURE, LEDGER = bundle.MANIFEST, bundle.SIGNATURE, bundle.LEDGER


def unpack(archive: Path) -> Files:
    """Every file of an archive, read by Python's own tar reader."""
    with tarfile.open(archive) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]


def pack(files: Files, path: Path) -> Path:
    """An archive in the bundle's form."""
    body = b"".join(piece for name, data in files.items() for piece in bundle.member(name, data))
    path.write_bytes(body + bundle.END)
    return path


def _lines(files: Files) -> list[bytes]:
    return files[LEDGER].splitlines(keepends=True)


def _event(line: bytes) -> dict[str, Any]:
    return json.loads(line)


def _ledger(files: Files, lines: list[bytes]) -> Files:
    return {**files, LEDGER: b"".join(lines)}


def _heads(files: Files) -> list[str]:
    return sorted(n for n in files if n.startswith("objects/custody/head-"))


def _evidence(files: Files) -> list[str]:
    return sorted(n for n in files if n.startswith("objects/evidence/") and files[n])


def _relist(files: Files) -> Files:
    """What a forger without the signing key can do: make the table of contents fit again."""
    manifest = json.loads(files[MANIFEST])
    for entry in [*manifest["files"], *manifest["objects"]]:
        if entry["path"] in files:
            body = files[entry["path"]]
            entry["bytes"], entry["sha256"] = len(body), hashlib.sha256(body).hexdigest()
    events = [_event(line) for line in _lines(files)]
    manifest["ledger"].update(events=len(events), head=events[-1]["digest"])
    return {**files, MANIFEST: canonical(manifest)}


def _rechain(lines: list[bytes]) -> list[bytes]:
    """Number and link events anew, as somebody does who writes the ledger over."""
    made, previous = [], "0" * 64
    for number, line in enumerate(lines, start=1):
        event = {**_event(line), "seq": number, "previous": previous}
        event["digest"] = previous = event_digest(event)
        made.append(canonical(event) + b"\n")
    return made


def flip_bit(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    """One bit of one file."""
    name = chance.choice(sorted(n for n in files if files[n]))
    body = bytearray(files[name])
    place = chance.randrange(len(body))
    body[place] ^= 1 << chance.randrange(8)
    parts = {name}
    if name == LEDGER:
        parts = {f"ledger event {files[LEDGER].count(10, 0, place) + 1}"}
    elif name == SIGNATURE:
        parts = {SIGNATURE}
    return {**files, name: bytes(body)}, parts


def drop_event(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    lines = _lines(files)
    gone = chance.randrange(len(lines))
    return _ledger(files, lines[:gone] + lines[gone + 1 :]), {f"ledger event {gone + 1}"}


def swap_events(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    lines = _lines(files)
    a, b = sorted(chance.sample(range(len(lines)), 2))
    lines[a], lines[b] = lines[b], lines[a]
    return _ledger(files, lines), {f"ledger event {a + 1}"}


def insert_event(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    """An invented event with a digest of its own that follows the one before it."""
    lines = _lines(files)
    place = chance.randrange(1, len(lines) + 1)
    before = _event(lines[place - 1])
    forged = {**before, "seq": place + 1, "previous": before["digest"], "detail": {"invented": chance.random()}}
    forged["digest"] = event_digest(forged)
    after = f"ledger event {place + 2}" if place < len(lines) else f"ledger event {place + 1}"
    return _ledger(files, [*lines[:place], canonical(forged) + b"\n", *lines[place:]]), {after}


def edit_event(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    lines = _lines(files)
    place = chance.randrange(len(lines))
    edited = {**_event(lines[place]), chance.choice(["actor", "action", "at"]): "somebody else"}
    lines[place] = canonical(edited) + b"\n"
    return _ledger(files, lines), {f"ledger event {place + 1}"}


def cut_ledger(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    lines = _lines(files)
    kept = chance.randrange(1, len(lines))
    return _ledger(files, lines[:kept]), {f"ledger event {kept + 1}"}


def cut_ledger_and_relist(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    changed, _ = cut_ledger(files, chance)
    return _relist(changed), {SIGNATURE}


def rewrite_ledger(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    """Edit, drop or move an event, link everything anew and make the table of contents fit."""
    change = chance.choice([drop_event, swap_events, insert_event, edit_event])
    changed, _ = change(files, chance)
    return _relist(_ledger(changed, _rechain(_lines(changed)))), {SIGNATURE}


def swap_signatures(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    """The signatures of two heads change places."""
    one, other = sorted(chance.sample(_heads(files), 2))
    a, b = json.loads(files[one]), json.loads(files[other])
    a["signature"], b["signature"] = b["signature"], a["signature"]
    return {**files, one: canonical(a), other: canonical(b)}, {one}


def swap_heads(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    one, other = sorted(chance.sample(_heads(files), 2))
    if files[one] == files[other]:
        return flip_bit(files, chance)
    return {**files, one: files[other], other: files[one]}, {one}


def edit_statement(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    name = chance.choice(_heads(files))
    head = json.loads(files[name])
    statement = json.loads(head["statement"])
    statement[chance.choice(["phase", "head", "signed_at"])] = "f" * 64
    head["statement"] = canonical(statement).decode()
    return {**files, name: canonical(head)}, {name}


def sign_with_another_key(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    """A forger with a key of their own writes and signs everything anew: only the fingerprint gives them away."""
    key = ec.generate_private_key(ec.SECP384R1())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_key().public_bytes(serialization.Encoding.DER, form)
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, form)

    def sign(message: bytes) -> str:
        return base64.b64encode(key.sign(message, ec.ECDSA(hashes.SHA384()))).decode()

    changed = dict(files)
    for name in _heads(files):
        head = json.loads(files[name])
        head.update(signature=sign(head["statement"].encode()), public_key_der=base64.b64encode(der).decode())
        changed[name] = canonical(head)
    manifest = json.loads(files[MANIFEST])
    path, fingerprint = manifest["keys"][0]["path"], hashlib.sha256(der).hexdigest()
    changed[path], manifest["keys"][0]["sha256"] = pem, fingerprint
    changed = _relist({**changed, MANIFEST: canonical(manifest)})
    record = {**json.loads(files[SIGNATURE]), "key_sha256": fingerprint, "signature": sign(changed[MANIFEST])}
    return {**changed, SIGNATURE: canonical(record)}, {SIGNATURE}


def remove_file(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    name = chance.choice(sorted(files))
    return {n: b for n, b in files.items() if n != name}, {"ledger" if name == LEDGER else name}


def add_file(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    name = f"objects/evidence/memory/planted-{chance.getrandbits(32):08x}.bin"
    return {**files, name: chance.randbytes(100)}, {name}


def swap_objects(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    names = _evidence(files)
    if len(names) < 2:
        return flip_bit(files, chance)
    one, other = sorted(chance.sample(names, 2))
    return {**files, one: files[other], other: files[one]}, {one}


def exchange_object_and_relist(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    names = _evidence(files)
    if not names:
        return flip_bit(files, chance)
    name = chance.choice(names)
    return _relist({**files, name: files[name] + b"x"}), {SIGNATURE}


def cut_file(files: Files, chance: random.Random) -> tuple[Files, set[str]]:
    name = chance.choice(sorted(n for n in files if files[n] and n != LEDGER))
    return {**files, name: files[name][: chance.randrange(len(files[name]))]}, {name}


MUTATIONS: dict[str, Mutation] = {
    function.__name__: function
    for function in (
        flip_bit, drop_event, swap_events, insert_event, edit_event, cut_ledger, cut_ledger_and_relist, rewrite_ledger,
        swap_signatures, swap_heads, edit_statement, sign_with_another_key, remove_file, add_file, swap_objects,
        exchange_object_and_relist, cut_file,
    )
}  # fmt: skip
