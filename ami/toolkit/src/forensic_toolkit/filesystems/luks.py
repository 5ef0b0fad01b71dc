"""LUKS and BitLocker volumes, opened with keys that a user offers, in a program of its own (:mod:`.luks_runner`).

The evidence is only read: no device mapper, no mount. The keys go to that program over a pipe and to no file.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.storage import Served, Storage
from forensic_toolkit.sandbox import subprograms
from forensic_toolkit.sandbox.pipe_protocol import PipeProtocol

# Argon2id of cryptsetup takes up to 1 GiB; a header that asks for more was made to exhaust this machine.
MEMORY = 3 << 30
SECONDS = 300.0
WHAT_TO_DO = (
    "store a passphrase, key file or (BitLocker) recovery password of it as an SSM parameter (SecureString) or secret below forensics/disk-keys/ in the forensic account "
    "and run the investigation of this disk with it (DAG forensic_profile, parameter disk_keys; docs/investigation.md, Encrypted disks)"
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a user offers: the name that it is stored under, and its bytes."""

    name: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unlocked:
    """The decrypted volume; ``words`` say how it was opened, ``notes`` what a reader has to know beside that."""

    storage: Storage
    title: str
    words: str
    notes: tuple[str, ...]


class Vault:
    """The keys on offer and the programs that serve what they opened; the volumes can be read until it is closed."""

    def __init__(self, keys: Sequence[Key] = (), *, seconds: float = SECONDS) -> None:
        self._keys = tuple(keys)
        self._seconds = seconds
        self._folder = tempfile.TemporaryDirectory(prefix="luks-")
        self._programs: list[PipeProtocol] = []

    def close(self) -> None:
        """Stop all programs: their volumes cannot be read any more."""
        for program in self._programs:
            program.end()
        self._programs.clear()
        with contextlib.suppress(OSError):
            self._folder.cleanup()

    __del__ = close

    def open(self, volume: Storage) -> Unlocked:
        """The volume behind a header of LUKS or BitLocker. Raises EvidenceError with the reason and what to do."""
        number = len(self._programs) + 1
        work = Path(self._folder.name) / str(number)
        work.mkdir()
        keys = [[key.name, base64.b64encode(key.value).decode("ascii")] for key in self._keys]
        request = {"storage": volume.described(), "keys": keys, "socket": str(work / "socket")}
        argv = [sys.executable, "-m", "forensic_toolkit.filesystems.luks_runner"]
        program = subprograms.start_pipe_protocol(argv, folder=work, memory_bytes=MEMORY)
        self._programs.append(program)
        program.send(json.dumps(request).encode("ascii") + b"\n")
        try:
            found = json.loads(program.line(deadline=time.monotonic() + self._seconds))
        except ValueError as error:
            raise EvidenceError("unexpected answer from the program that opens encrypted volumes") from error
        if "error" in found:
            program.end()
            raise EvidenceError(
                f"{found['kind']}, encrypted{self._named(found['uuid'])}: {found['error']}; nothing in it was examined; {WHAT_TO_DO}"
            )
        title = f"{found['kind']} {found['uuid']}"
        words = (
            f"{title} ({found['cipher']}) was opened with {found['how']}; "
            "the evidence is only read, what is examined is decrypted as it is read"
        )
        served = Served(str(work / "socket"), int(found["size"]))
        return Unlocked(served, title, words, tuple(map(str, found["notes"])))

    @staticmethod
    def _named(uuid: str) -> str:
        return f", UUID {uuid}" if uuid else ""
