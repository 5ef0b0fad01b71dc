"""The command line."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from forensics_verify import __version__
from forensics_verify.bundle import verify
from forensics_verify.container import ContainerError, open_bundle
from forensics_verify.problems import Findings
from forensics_verify.signatures import PublicKey, SignatureError
from forensics_verify.timestamps import certificates

RIGHT, WRONG, UNREADABLE, UNANCHORED = 0, 1, 2, 3

HELP = """\
Checks an exported case bundle on a computer that has no access to AWS and no network.

How an expert uses it:
  1. Take this program from a source that is independent of who gave you the bundle, and note its version.
  2. Get the fingerprint of the signing key from somebody other than who gave you the bundle: the owner of the AWS
     account reads it with `aws kms get-public-key` (docs/custody.md says how), or from the report or the notice of
     the case that was sent at the time. Give it with --fingerprint, or give the key itself with --key.
  3. Run: forensics-verify --fingerprint <64 hex digits> --case fc-… --not-before 2026-11-29T08:00:00Z case.tar
     The first lines are what the bundle says it is: case, time of the export, number of events. Compare them with the
     notice of the export: another case's bundle, or an older one of the same case, is right in itself. --case and
     --not-before do that.
  4. Anything that is wrong is named; the first line is the first thing that was found. What is not in the bundle
     (a large memory image, for instance) is listed by its digest: get it, and check it with --objects.

What is checked: the bundle's table of contents and its signature; the custody ledger, event by event; every signed
head against the ledger; the SHA-256 and size of every file; that the ledger's digests are those of the objects; that
source and copy were equal where the ledger says so. What is not: that the events were true when they were written,
and that the clock of AWS was right.

Exit status: 0 all right and signed by the key that you named; 1 something is wrong; 2 the bundle cannot be read;
3 all right in itself, but you named no key, so that only the bundle vouches for its own key.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="forensics-verify", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="the bundle: a .tar file, or the folder it was unpacked into")
    parser.add_argument("--fingerprint", action="append", default=[], help="SHA-256 of the signing key's DER form, hex")
    parser.add_argument("--key", action="append", default=[], type=Path, help="the signing key itself, PEM or DER")
    parser.add_argument("--objects", type=Path, help="folder with objects that the bundle lists but does not hold")
    parser.add_argument(
        "--tsa-certificate", action="append", default=[], type=Path,
        help="certificate of the time-stamping authority, or of who certifies it: PEM (also several in a file) or DER",
    )  # fmt: skip
    parser.add_argument("--case", help="the case that the bundle must be of: fc-…")
    parser.add_argument(
        "--not-before", type=_moment, help="the time before which it must not have been exported, ISO 8601"
    )
    parser.add_argument("--json", action="store_true", help="write the outcome as JSON")
    parser.add_argument("--version", action="version", version=f"forensics-verify {__version__}")
    given = parser.parse_args(arguments)
    try:
        trusted = [_fingerprint(text) for text in given.fingerprint]
        trusted += [PublicKey.load(path.read_bytes()).fingerprint for path in given.key]
        began = time.monotonic()
        apart = open_bundle(given.objects) if given.objects else None
        authorities = [der for path in given.tsa_certificate for der in certificates(path.read_bytes())]
        findings = verify(
            open_bundle(given.bundle), trusted=trusted, apart=apart, case_id=given.case, not_before=given.not_before,
            authorities=authorities,
        )  # fmt: skip
    except ContainerError as error:
        findings = Findings()
        findings.wrong(error.part, error.what)
        if not given.bundle.exists():
            return _unreadable(str(error))
    except (OSError, SignatureError) as error:
        return _unreadable(str(error))
    _say(findings, as_json=given.json, anchored=bool(trusted), seconds=time.monotonic() - began)
    if findings.problems:
        return WRONG
    return RIGHT if trusted else UNANCHORED


def _fingerprint(text: str) -> str:
    plain = text.replace(":", "").strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise SignatureError(f"{text!r} is not a fingerprint: 64 hex digits are expected")
    return plain


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time in ISO 8601, for example 2026-11-29T08:00:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unreadable(message: str) -> int:
    print(f"Error: {message}", file=sys.stderr)
    return UNREADABLE


def _say(findings: Findings, *, as_json: bool, anchored: bool, seconds: float) -> None:
    if as_json:
        outcome = {
            "right": not findings.problems,
            "about": findings.about,
            "anchored": anchored,
            "problems": [{"part": p.part, "what": p.what} for p in findings.problems],
            "checked": findings.checked,
            "remarks": findings.remarks,
            "seconds": round(seconds, 3),
        }
        print(json.dumps(outcome, indent=1))
        return
    for name, value in findings.about.items():
        print(f"says   {name}: {value}")
    for problem in findings.problems:
        print(f"WRONG  {problem}")
    for what, count in findings.checked.items():
        print(f"right  {count} {what}")
    for remark in findings.remarks:
        print(f"note   {remark}")
    if findings.problems:
        print(f"\nThe bundle is NOT what was exported. First: {findings.problems[0]}")
    elif anchored:
        print("\nThe bundle is what was exported: everything in it is right, and signed by the key that you named.")
    else:
        print(
            "\nThe bundle is right in itself, but you named no key: whoever made it anew could have signed it anew.\n"
            "Name the signing key with --fingerprint or --key (see --help)."
        )
