"""Signed heads: what the ledger was at the end of each phase, as it was stored under Object Lock."""

from __future__ import annotations

import hashlib
from typing import Any

from forensics_verify import timestamps
from forensics_verify.canonical import NotCanonicalError, parse
from forensics_verify.container import read
from forensics_verify.contents import Bundle, anchored
from forensics_verify.signatures import SignatureError, decode

PREFIX = "objects/custody/head-"
LIMIT = 512 * 1024 * 1024


def check(bundle: Bundle, *, events: list[dict[str, Any]], digests: list[str]) -> None:
    """Check every head of the bundle against the ledger."""
    paths = sorted(str(o.get("path")) for o in bundle.listed("objects") if str(o.get("path")).startswith(PREFIX))
    if not paths:
        bundle.findings.wrong("heads", "there is no signed head of the ledger")
    for path in paths:
        if path not in bundle.container.names():
            bundle.findings.wrong(path, "is missing from the bundle")
            continue
        try:
            _check(bundle, path, events=events, digests=digests)
        except NotCanonicalError as error:
            bundle.findings.wrong(path, f"was changed: {error}")
        except SignatureError as error:
            bundle.findings.wrong(path, f"statement or signature was changed or exchanged: {error}")


def _check(bundle: Bundle, path: str, *, events: list[dict[str, Any]], digests: list[str]) -> None:
    record = parse(read(bundle.container, path, limit=LIMIT))
    fields = {"statement", "signature", "algorithm", "key_arn", "public_key_der", "events"}
    if not isinstance(record, dict) or set(record) - {"timestamp"} != fields:
        raise NotCanonicalError(f"it does not hold exactly {', '.join(sorted(fields))}")
    fingerprint = hashlib.sha256(decode(str(record["public_key_der"]))).hexdigest()
    key = anchored(bundle, fingerprint, path)
    if key is None:
        return
    message = str(record["statement"]).encode()
    key.check(message, signature=str(record["signature"]), algorithm=str(record["algorithm"]))
    said = parse(message)
    wrong = _disagrees(said, record["events"], case_id=bundle.manifest.get("case_id"), events=events, digests=digests)
    if wrong:
        bundle.findings.wrong(path, wrong)
    else:
        bundle.findings.right("signed heads that fit the ledger")
    timestamps.check(bundle, path, record=record, signed_at=str(said.get("signed_at")))


def _disagrees(
    said: dict[str, Any], kept: Any, *, case_id: Any, events: list[dict[str, Any]], digests: list[str]
) -> str | None:
    number, digest = said.get("seq"), said.get("head")
    if said.get("case_id") != case_id:
        return f"is the head of another case ({said.get('case_id')})"
    if not isinstance(number, int) or number < 1:
        return "does not say how many events it covers"
    if number > len(events):
        return f"covers {number} events, the ledger has {len(events)}: it was cut off"
    if number <= len(digests) and digests[number - 1] != digest:
        return f"covers another event {number} than the one in the ledger: the ledger was written anew"
    if not isinstance(kept, list) or len(kept) != number:
        return f"should hold the {number} events that it covers"
    for place, (one, other) in enumerate(zip(kept, events, strict=False), start=1):
        if one != other:
            return f"holds another event {place} than the ledger"
    return None
