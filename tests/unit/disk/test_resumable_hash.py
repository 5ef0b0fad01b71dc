"""The resumable SHA-256 is hashlib's, also when it resumes from a saved state."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.disk import resumable_hash
from forensics.disk.resumable_hash import ResumableSha256


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_it_computes_what_hashlib_does(pieces: list[bytes]) -> None:
    digest = ResumableSha256()
    for piece in pieces:
        digest.update(piece)
    assert digest.hexdigest() == digest.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


@given(st.integers(0, 40), st.binary(max_size=200))
def test_it_resumes_from_a_saved_state(blocks: int, rest: bytes) -> None:
    first = ResumableSha256()
    first.update(b"\xa5" * 64 * blocks)
    state = first.state()
    assert state is not None
    again = ResumableSha256(state)
    again.update(rest)
    assert again.hexdigest() == hashlib.sha256(b"\xa5" * 64 * blocks + rest).hexdigest()


def test_a_length_beyond_32_bits_survives() -> None:
    digest = ResumableSha256("00000000" * 8 + f":{5 * 2**30}")
    assert digest.state() == "00000000" * 8 + f":{5 * 2**30}"


def test_the_middle_of_a_block_cannot_be_exported() -> None:
    digest = ResumableSha256()
    digest.update(b"x")
    assert digest.state() is None


def test_without_openssl_hashlib_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable_hash, "_library", lambda: None)
    digest = ResumableSha256()
    digest.update(b"abc")
    assert (digest.hexdigest(), digest.state()) == (hashlib.sha256(b"abc").hexdigest(), None)
    with pytest.raises(ValueError, match="starts over"):
        ResumableSha256("00000000" * 8 + ":64")
