"""SHA-256 whose state can be saved, so that a long read resumes where it was interrupted.

hashlib cannot export its state. OpenSSL's own functions (``SHA256_Init``, ``_Update``, ``_Final``; ``<openssl/sha.h>``)
work on a plain structure, at the same speed. They are checked against hashlib before they are used; where they are not
available, hashlib does the work and an interrupted read starts over.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
from functools import lru_cache

BLOCK = 64


class _Context(ctypes.Structure):
    """``SHA256_CTX``: eight words of state, the length in bits, and the unfinished block."""

    _fields_ = (
        ("h", ctypes.c_uint32 * 8),
        ("low", ctypes.c_uint32),
        ("high", ctypes.c_uint32),
        ("data", ctypes.c_uint32 * 16),
        ("num", ctypes.c_uint),
        ("md_len", ctypes.c_uint),
    )


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """OpenSSL's libcrypto, or None when it is missing or its digest differs from hashlib's."""
    name = ctypes.util.find_library("crypto")
    try:
        library = ctypes.CDLL(name) if name else None
        if library is None:
            return None
        library.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        library.SHA256_Final.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        library.SHA256_Init.argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError):
        return None
    probe = bytes(range(256)) * 5
    right = hashlib.sha256(probe).hexdigest()
    return library if _Native(library, None).update(probe).hexdigest() == right else None


class _Native:
    def __init__(self, library: ctypes.CDLL, state: str | None) -> None:
        self._library = library
        self._context = _Context()
        library.SHA256_Init(ctypes.byref(self._context))
        if state:
            words, length = state.split(":")
            bits = int(length) * 8
            self._context.h[:] = [int(words[i : i + 8], 16) for i in range(0, BLOCK, 8)]
            self._context.low, self._context.high = bits & 0xFFFFFFFF, bits >> 32

    def update(self, data: bytes) -> _Native:
        self._library.SHA256_Update(ctypes.byref(self._context), data, len(data))
        return self

    def state(self) -> str | None:
        bits = self._context.high << 32 | self._context.low
        if self._context.num:
            return None
        return "".join(f"{word:08x}" for word in self._context.h) + f":{bits // 8}"

    def hexdigest(self) -> str:
        out, copy = ctypes.create_string_buffer(32), _Context.from_buffer_copy(self._context)
        self._library.SHA256_Final(out, ctypes.byref(copy))
        return out.raw.hex()


class ResumableSha256:
    """SHA-256 of a stream; :meth:`state` exports it at a multiple of 64 bytes.

    :param state: what an earlier :meth:`state` returned; raises :class:`ValueError` when this machine cannot resume from it
    """

    def __init__(self, state: str | None = None) -> None:
        library = _library()
        if state and library is None:
            msg = "OpenSSL's SHA-256 is not available here: the read starts over"
            raise ValueError(msg)
        self._native = _Native(library, state) if library is not None else None
        self._plain = None if self._native else hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Hash more bytes; other threads run meanwhile."""
        if self._native:
            self._native.update(data)
        elif self._plain:
            self._plain.update(data)

    def state(self) -> str | None:
        """The state, or None when it cannot be exported at this point or on this machine."""
        return self._native.state() if self._native else None

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._native.hexdigest() if self._native else self._plain.hexdigest() if self._plain else ""
