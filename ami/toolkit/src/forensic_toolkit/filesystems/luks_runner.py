"""A separate program that opens a LUKS or BitLocker volume with one of the offered keys and gives its decrypted bytes to other programs.

Started by :mod:`.luks`; with :mod:`.bitlocker` the only module that imports dissect.fve (AGPL). The keys and what they open stay in this process: others get
bytes over a socket (:class:`forensic_toolkit.filesystems.storage.Served`). One line of stdin is the request::

    {"storage": as Storage.described, "keys": [[name, base64], ...], "socket": path}

One line of stdout is ``{"kind", "uuid", "how", "size", "cipher", "notes"}`` or ``{"error", "kind", "uuid"}``. It ends when stdin does.
On-disk formats: cryptsetup's "LUKS On-Disk Format Specification" 1.2.3 and "LUKS2 On-Disk Format Specification" 1.1.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socketserver
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems import signatures
from forensic_toolkit.filesystems.bitlocker import BitLocker
from forensic_toolkit.filesystems.dissect_runner import Volume
from forensic_toolkit.filesystems.signatures import LUKS_COPIES, LUKS_COPY, LUKS_FIRST
from forensic_toolkit.filesystems.storage import SERVED, Storage, opened

_BINARY, _MOST_HEADER = 4096, 4 << 20
_SECTOR = 512
_AT_A_TIME = 4 << 20
# The cipher that cryptsetup has used since 2013; OpenSSL decrypts it some twenty times faster than dissect's Python does.
_FAST = "aes-xts-plain64"
_DETACHED = (
    "its header says that the data lie on another volume (a detached header): header and data have to be on one volume to be examined; "
    "join them in a copy (data behind a header with --offset) or examine a decrypted copy"
)


class Header:
    """The header to use: the first one, or its copy where the first is damaged. Raises EvidenceError where neither is sound."""

    def __init__(self, volume: Storage) -> None:
        self.notes: list[str] = []
        first = volume.read(0, _BINARY)
        self.version = int.from_bytes(first[6:8], "big") if first[:6] == LUKS_FIRST else 2
        self.area = b""
        self.uuid = _text(first[168:208]) if first[:6] == LUKS_FIRST else ""
        if self.version == 1:
            return
        sound = [(at, area) for at, area in self._areas(volume) if _is_sound(area)]
        if not sound:
            raise EvidenceError(
                "LUKS2, and both copies of its header are damaged (their checksums do not fit): without a backup of the header "
                "(cryptsetup luksHeaderBackup) no key opens it"
            )
        # seqid: the copy that was written last
        at, self.area = max(sound, key=lambda one: struct.unpack_from(">Q", one[1], 16)[0])
        self.uuid = _text(self.area[168:208])
        if at or len(sound) < 2:
            which = "first header" if at else "second header"
            self.notes.append(f"its {which} is damaged or out of date; the other copy of it was used")

    @staticmethod
    def _areas(volume: Storage) -> Iterator[tuple[int, bytes]]:
        for at, magic in ((0, LUKS_FIRST), *((offset, LUKS_COPY) for offset in LUKS_COPIES)):
            head = volume.read(at, _BINARY)
            if head[:6] == magic and len(head) == _BINARY:
                size = struct.unpack_from(">Q", head, 8)[0]
                if _BINARY < size <= _MOST_HEADER:
                    yield at, volume.read(at, size)

    def over(self, volume: Storage) -> io.BufferedReader:
        """The volume as dissect reads it: with the sound header in both places, as dissect checks no checksum."""
        head = LUKS_FIRST + self.area[6:] if self.area else b""
        return io.BufferedReader(Volume(_Behind(head + head, volume)), 1 << 16)


class _Behind:
    """A storage with other bytes at its start."""

    def __init__(self, head: bytes, rest: Storage) -> None:
        self.head, self.rest, self.size = head, rest, rest.size

    def read(self, offset: int, length: int) -> bytes:
        own = self.head[offset : offset + length]
        return own + self.rest.read(offset + len(own), length - len(own)) if len(own) < length else own

    def described(self) -> dict[str, Any]:
        raise NotImplementedError("it exists in this program alone")


def _is_sound(area: bytes) -> bool:
    """Whether the checksum of a LUKS2 header and its JSON fits."""
    algorithm = _text(area[72:104])
    try:
        digest = hashlib.new(algorithm, area[:448] + bytes(64) + area[512:]).digest()
    except ValueError:
        return False
    return digest == area[448 : 448 + len(digest)]


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("ascii", "replace")


class Opened:
    """The decrypted bytes; ``size`` in bytes."""

    def __init__(self, volume: Storage, luks: Any, slot: int) -> None:
        segment = luks.find_segment(slot)
        self.cipher = str(segment.encryption)
        self._volume, self._sector = volume, int(segment.sector_size or _SECTOR)
        self._offset, self._tweak = int(segment.offset), int(segment.iv_tweak or 0)
        behind = volume.size - self._offset
        if self._offset == 0 or behind <= 0:
            raise EvidenceError(_DETACHED)
        wanted = behind if segment.size in (None, "dynamic") else int(segment.size)
        if wanted > behind:
            raise EvidenceError(
                f"its data have {wanted} bytes, of which the volume holds {behind}: was the image cut off?"
            )
        self.size = wanted // self._sector * self._sector
        self._decrypt = _xts(luks._active_volume_key, self._sector) if self.cipher == _FAST else _other(luks.open())

    def read(self, offset: int, length: int) -> bytes:
        """As Storage.read."""
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        first = offset // self._sector * self._sector
        raw = self._volume.read(self._offset + first, -(-(end - first) // self._sector) * self._sector)
        raw = raw[: len(raw) // self._sector * self._sector]  # half a sector decrypts to nothing
        return self._decrypt(raw, first // _SECTOR + self._tweak)[offset - first : end - first]


def _xts(key: bytes, sector: int) -> Callable[[bytes, int], bytes]:
    """AES-XTS of whole sectors, the number of 512 bytes as the tweak (kernel: Documentation/admin-guide/device-mapper/dm-crypt.rst)."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    aes = algorithms.AES(key)

    def decrypt(raw: bytes, number: int) -> bytes:
        found = []
        for at in range(0, len(raw), sector):
            tweak = (number + at // _SECTOR).to_bytes(16, "little")
            found.append(Cipher(aes, modes.XTS(tweak)).decryptor().update(raw[at : at + sector]))
        return b"".join(found)

    return decrypt


def _other(stream: Any) -> Callable[[bytes, int], bytes]:
    def decrypt(raw: bytes, number: int) -> bytes:
        data = bytearray(raw)
        stream.cipher.decrypt(data, number, data)
        return bytes(data)

    return decrypt


def unlock(volume: Storage, header: Header, keys: list[tuple[str, bytes]]) -> tuple[Opened, str, int]:
    """The decrypted volume, the name of the key and its slot. Raises EvidenceError when no key opens it, and why."""
    from dissect.fve.luks import LUKS

    try:
        luks: Any = LUKS(header.over(volume))
    except Exception as error:  # a crafted header may raise anything in dissect
        raise EvidenceError(f"its header is damaged ({type(error).__name__}: {error})"[:300]) from error
    _supported(luks)
    if not keys:
        raise EvidenceError("no key was offered for it")
    reasons: list[str] = []
    for name, key in keys:
        # A text editor, or echo, ends a file with a line break that belongs to no passphrase.
        for value in dict.fromkeys((key, key.removesuffix(b"\n"))):
            try:
                luks.unlock_with_passphrase(value)
            except Exception as error:  # as above
                reasons.extend(line for line in str(error).splitlines()[1:] if line not in reasons)
                continue
            slot = int(luks._active_keyslot_id)
            try:
                return Opened(volume, luks, slot), name, slot
            except (ValueError, KeyError, TypeError, NotImplementedError) as error:
                raise EvidenceError(f"a key fits, but the data cannot be decrypted: {error}"[:300]) from error
    names = ", ".join(name for name, _ in keys)
    damaged = f"; slots that could not be tried: {'; '.join(reasons)}" if reasons else ""
    slots = len(luks.keyslots)
    raise EvidenceError(
        f"none of the offered keys ({names}) opens one of its {slots} key slots: a wrong key, or a damaged slot{damaged}"[
            :900
        ]
    )


def _supported(luks: Any) -> None:
    metadata = luks.metadata
    segments = list(metadata.segments.values())
    needs = list(metadata.config.requirements or ()) if metadata.config else []
    if any(slot.type == "reencrypt" for slot in metadata.keyslots.values()) or len(segments) > 1:
        raise EvidenceError("it was being re-encrypted when the snapshot was taken: two keys at once are not read")
    if not segments or segments[0].type != "crypt":
        raise EvidenceError(f"its data are of type {segments[0].type if segments else 'none'}, which is not read")
    if segments[0].integrity is not None:
        raise EvidenceError("its sectors carry checksums (dm-integrity), which is not read")
    if not metadata.keyslots:
        raise EvidenceError("all of its key slots are erased (cryptsetup erase): no key opens it any more")
    if int(segments[0].offset) == 0:
        raise EvidenceError(_DETACHED)
    if needs:
        raise EvidenceError(f"it needs what is not read here: {', '.join(map(str, needs))[:200]}")


class _Decrypted(Protocol):
    size: int
    cipher: str

    def read(self, offset: int, length: int) -> bytes:
        """As Storage.read."""


class _Answers(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while len(asked := self.rfile.read(SERVED.size)) == SERVED.size:
            offset, length = SERVED.unpack(asked)
            data = self.server.contents.read(offset, min(length, _AT_A_TIME))  # type: ignore[attr-defined]
            self.wfile.write(struct.pack("<I", len(data)) + data)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, contents: _Decrypted) -> None:
        super().__init__(path, _Answers)
        self.contents = contents


def _send(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _luks(volume: Storage, keys: list[tuple[str, bytes]], facts: dict[str, Any]) -> _Decrypted:
    header = Header(volume)
    facts |= {"uuid": header.uuid, "notes": header.notes}
    contents, key, slot = unlock(volume, header, keys)
    facts |= {"kind": f"LUKS{header.version}", "how": f"the key {key} (slot {slot})"}
    return contents


def _bitlocker(volume: Storage, keys: list[tuple[str, bytes]], facts: dict[str, Any]) -> _Decrypted:
    facts["kind"] = signatures.BITLOCKER
    metadata = BitLocker(volume)
    facts["uuid"] = metadata.uuid
    contents, facts["how"] = metadata.unlock(keys)
    if "elephant" in contents.cipher:
        facts["notes"].append(
            "its cipher has a diffuser (Windows Vista to 8), which is decrypted slowly here: mind the limit on time"
        )
    return contents


def main() -> int:
    """Open the volume, say how, and serve it until stdin ends."""
    request = json.loads(sys.stdin.readline())
    facts: dict[str, Any] = {"kind": "LUKS", "uuid": "", "notes": []}
    try:
        volume = opened(request["storage"])
        keys = [(str(name), base64.b64decode(value)) for name, value in request["keys"]]
        contents = _bitlocker(volume, keys, facts) if signatures.is_bitlocker(volume) else _luks(volume, keys, facts)
        server = _Server(request["socket"], contents)
    except (EvidenceError, OSError, MemoryError) as error:
        _send({**facts, "error": str(error) or type(error).__name__})
        return 1
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _send({**facts, "size": contents.size, "cipher": contents.cipher})
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
