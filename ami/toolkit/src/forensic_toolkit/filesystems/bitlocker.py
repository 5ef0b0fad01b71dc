"""BitLocker volumes, opened with a recovery password, a passphrase or a key file (.BEK) that a user offers.

Used by :mod:`.luks_runner` alone, in whose process the keys are. dissect.fve (AGPL) knows the format: regions, protectors, Vista's form, volumes that
are encrypted in part. AES-XTS, which Windows has used since 2015, is decrypted by OpenSSL, many times as fast as in Python.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.dissect_runner import Volume
from forensic_toolkit.filesystems.storage import Storage

_RECOVERY = re.compile(r"\d{6}(-\d{6}){7}")
_PROTECTORS = {
    0x0000: "a key in the clear", 0x0100: "the TPM", 0x0200: "a key file (.BEK)", 0x0300: "the TPM with a key file", 0x0500: "the TPM with a PIN",
    0x0800: "the recovery password", 0x1000: "a certificate", 0x2000: "a passphrase",
}  # fmt: skip
_RECOVERY_KIND = 0x0800


class BitLocker:
    """A BitLocker volume's metadata. Raises EvidenceError where no copy of them is sound."""

    def __init__(self, volume: Storage) -> None:
        from dissect.fve.bde import BDE

        self.volume = volume
        try:
            self.bde: Any = BDE(_Sized(volume))
            self.uuid = str(self.bde.information.dataset.identifier)
        except Exception as error:  # crafted metadata may raise anything in dissect
            raise EvidenceError(f"its metadata are damaged ({type(error).__name__}: {error})"[:300]) from error

    def protectors(self) -> list[str]:
        """What opens it, for people."""
        from dissect.fve.bde.c_bde import FVE_DATUM_ROLE, FVE_DATUM_TYPE

        found = []
        kinds = FVE_DATUM_ROLE.VOLUME_MASTER_KEY_INFO, FVE_DATUM_TYPE.VOLUME_MASTER_KEY_INFO
        with contextlib.suppress(Exception):  # only words for a gap
            for key in self.bde.information.dataset.find_datum(*kinds):
                kind = int(key._datum.Priority) & 0xFF00
                name = _PROTECTORS.get(kind, f"a protector of kind {kind:#x}")
                found.append(f"{name} {{{key.identifier}}}" if kind == _RECOVERY_KIND else name)
        return found

    def unlock(self, keys: list[tuple[str, bytes]]) -> tuple[Opened, str]:
        """The decrypted volume, and what opened it. Raises EvidenceError when nothing opens it, and why."""
        tried = []
        for how, action in self._ways(keys):
            try:
                action()
                found = Opened(self.bde, self.volume)
            except NotImplementedError as error:
                raise EvidenceError(f"a key fits, but the data cannot be decrypted: {error}"[:300]) from error
            except Exception as error:  # as above, and a wrong key
                tried.append(f"{how}: {error}")
            else:
                if found.read(510, 2) != b"\x55\xaa":
                    raise EvidenceError(
                        f"{how} fits, but what it decrypts begins with no boot sector: it was being encrypted when the snapshot was taken, in a "
                        "form that is not read, or it is damaged"
                    )
                return found, how
        wanted = ", ".join(self.protectors()) or "nothing that is known here"
        if not keys:
            raise EvidenceError(f"no key was offered for it: it needs {wanted}")
        names = ", ".join(name for name, _ in keys)
        why = f" ({'; '.join(tried)})" if tried else ""
        raise EvidenceError(f"none of the offered keys ({names}) opens it{why}: it needs {wanted}"[:900])

    def _ways(self, keys: list[tuple[str, bytes]]) -> Iterator[tuple[str, Callable[[], object]]]:
        bde = self.bde
        if bde.decrypted:
            yield "no key, as it is not encrypted (any more)", lambda: None
        elif bde.has_clear_key():
            yield "its own key in the clear, as its protection was suspended", bde.unlock_with_clear_key
        for name, key in keys:
            try:
                text = key.decode("utf-8-sig").strip()
            except UnicodeDecodeError:
                yield f"the key {name} (a key file)", partial(bde.unlock_with_bek, io.BytesIO(key))
                continue
            if _RECOVERY.fullmatch(text):
                yield f"the key {name} (recovery password)", partial(bde.unlock_with_recovery_password, text)
            elif bde.has_passphrase():
                yield f"the key {name} (passphrase)", partial(bde.unlock_with_passphrase, text)


class _Sized(Volume):
    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.size = storage.size


class Opened:
    """The decrypted bytes; ``size`` in bytes."""

    def __init__(self, bde: Any, volume: Storage) -> None:
        from dissect.fve.bde.bde import CIPHER_MAP

        self.cipher = CIPHER_MAP[bde._fvek_type] if bde.encrypted else "not encrypted"
        self._stream = bde.open()
        if "xts" in self.cipher:
            self._stream.cipher = _Xts(bde._fvek, bde.sector_size)
        self.size = volume.size // bde.sector_size * bde.sector_size
        self._turn = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        """As Storage.read."""
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        with self._turn:
            self._stream.seek(offset)
            return bytes(self._stream.read(end - offset))


class _Xts:
    """What dissect asks of a cipher, for AES-XTS with a sector's number as the tweak."""

    def __init__(self, key: bytes, sector: int) -> None:
        from cryptography.hazmat.primitives.ciphers import algorithms

        self._aes, self._sector = algorithms.AES(key), sector

    def decrypt(self, raw: bytes, sector: int) -> bytes:
        """Decrypt whole sectors, the first of which has this number."""
        from cryptography.hazmat.primitives.ciphers import Cipher, modes

        found = []
        for index, at in enumerate(range(0, len(raw), self._sector)):
            tweak = (sector + index).to_bytes(16, "little")
            found.append(Cipher(self._aes, modes.XTS(tweak)).decryptor().update(raw[at : at + self._sector]))
        return b"".join(found)
