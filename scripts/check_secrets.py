"""Looks for credentials in tracked files (or in the files named): part of `make lint` and of the pre-commit hooks.

Exit status 1 when something was found. A value that a document needs as an example ends with ``EXAMPLE``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECRETS = {
    "AWS access key": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "AWS secret key": rb"(?i)secret_?access_?key[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
    "AWS session token": rb"(?i)(?:session_?token|X-Amz-Security-Token)[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+=%]{100}",
    "private key": rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{20}",
    "token of a source host": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60}|glpat-[\w-]{20})",
    "token of a chat service": rb"\bxox[abprs]-[A-Za-z0-9-]{20}",
    "password in an address": rb"\b[a-z][a-z0-9+]*://[^\s/:@\"'{}$<>]+:[^\s/:@\"'{}$<>]{8,}@[a-z0-9.-]+\.[a-z]{2,}",
}
# examples, and the key ids that the lab gives the root users of its accounts
_HARMLESS = re.compile(rb".*EXAMPLE|AKIA\d{12}ROOT", re.DOTALL)
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in SECRETS.items()}


def found(body: bytes) -> Iterator[tuple[int, str]]:
    """Line number and kind of every credential in a file's content; the value itself is never repeated."""
    for kind, pattern in _PATTERNS.items():
        for match in pattern.finditer(body):
            if not _HARMLESS.fullmatch(match[0]):
                yield body.count(b"\n", 0, match.start()) + 1, kind


def tracked() -> list[Path]:
    """The files that Git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


def check(files: Iterable[Path]) -> list[str]:
    """One line for each credential. What is not there (removed, not yet checked out) is passed over."""
    return [
        f"{file}:{line}: {kind}" for file in files if file.is_file() for line, kind in sorted(found(file.read_bytes()))
    ]


def main(names: list[str]) -> int:
    """Print what was found in the named files, in all tracked ones without names."""
    files = [Path(name) for name in names] or tracked()
    lines = check(files)
    print("\n".join(lines) or f"{len(files)} files, no credential")
    if lines:
        print(
            "Remove the value, and revoke it wherever it was valid: history keeps what was committed.", file=sys.stderr
        )
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
