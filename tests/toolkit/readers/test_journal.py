"""systemd's journal files, written here object by object as its Journal File Format describes them (systemd.io/JOURNAL_FILE_FORMAT)."""

from __future__ import annotations

import lzma
import struct

import pytest
import zstandard

from forensic_toolkit.readers.journal import MAX_FIELD, Journal, unpack_field

HEADER = 208
REALTIME = 1_767_323_045_250_000  # 2026-01-02T03:04:05.25Z
FIELDS = ("MESSAGE=Accepted publickey for admin", "_PID=42", "SYSLOG_IDENTIFIER=sshd", "_HOSTNAME=web", "_BOOT_ID=x")


def data_object(payload: bytes, *, flags: int = 0, compact: bool = False) -> bytes:
    """A DATA object: head, hash, four offsets, count; two more words in compact files; payload; padding to eight bytes."""
    size = (72 if compact else 64) + len(payload)
    head = struct.pack("<BB6xQ", 1, flags, size).ljust(72 if compact else 64, b"\0")
    return head + payload + bytes(-size % 8)


def journal(
    fields: tuple[str, ...] = FIELDS, *, compact: bool = False, flags: int = 0, announced: int = 1, pack: bool = False
) -> bytes:
    """A journal of one entry; ``pack`` compresses every field by the method of ``flags``."""
    body, offsets = b"", []
    for field in fields:
        payload = field.encode()
        if pack:
            payload = lzma.compress(payload) if flags == 1 else zstandard.compress(payload)
        offsets.append(HEADER + len(body))
        body += data_object(payload, flags=flags, compact=compact)
    items = b"".join(struct.pack("<I" if compact else "<QQ", *((at,) if compact else (at, 0))) for at in offsets)
    tail = HEADER + len(body)
    entry = struct.pack("<BB6xQ", 3, 0, 64 + len(items)) + struct.pack("<QQQ16sQ", 7, REALTIME, 1, bytes(16), 0) + items
    body += entry + bytes(-len(entry) % 8)
    head = struct.pack("<8sIIB7x64xQQ", b"LPKSHHRH", 0, 16 if compact else 0, 0, HEADER, len(body))
    head = head.ljust(136, b"\0") + struct.pack("<QQQ", tail, len(fields) + 1, announced)
    return (head.ljust(HEADER, b"\0") + body).ljust(512, b"\0")


@pytest.mark.parametrize("compact", [False, True])
def test_an_entry_reads_like_a_line_of_rsyslog(compact: bool) -> None:
    file = Journal(journal(compact=compact))
    (record,) = file.records()
    assert record.line == "2026-01-02T03:04:05.250000+00:00 web sshd[42]: Accepted publickey for admin"
    assert record.sequence == 7 and "_BOOT_ID" not in record.fields
    assert (file.expected, file.read, file.problems) == (1, 1, [])


@pytest.mark.parametrize("flags", [1, 4], ids=["xz", "zstd"])
def test_compressed_fields_are_decompressed(flags: int) -> None:
    (record,) = Journal(journal(flags=flags, pack=True)).records()
    assert record.fields["MESSAGE"] == "Accepted publickey for admin"


def test_a_compressed_field_that_is_damaged_is_a_problem_and_the_entry_is_kept() -> None:
    file = Journal(journal(flags=4))
    (record,) = file.records()
    assert record.fields == {} and len(file.problems) == 1 and "cannot be decompressed" in file.problems[0]


def test_a_field_is_never_larger_than_the_limit() -> None:
    bomb = zstandard.compress(bytes(4 * MAX_FIELD))
    assert len(bomb) < 1000 and len(unpack_field(bomb, flags=4)) == MAX_FIELD
    assert len(unpack_field(lzma.compress(bytes(4 * MAX_FIELD)), flags=1)) == MAX_FIELD


def test_truncated_and_damaged_files_say_what_is_missing() -> None:
    whole = journal()
    file = Journal(whole[:400])
    assert list(file.records()) == [] and "bytes are missing" in file.problems[0]
    damaged = bytearray(whole)
    damaged[HEADER : HEADER + 1] = b"\x99"
    file = Journal(bytes(damaged))
    assert list(file.records()) == []
    assert file.problems == [
        f"damaged at byte {HEADER}: there is no valid object",
        "0 of 1 entries could be read",
    ]
    file = Journal(journal(announced=3))
    assert len(list(file.records())) == 1 and file.problems == ["1 of 3 entries could be read"]
    file = Journal(b"LPKSHHRX" + whole[8:])
    assert list(file.records()) == [] and "not a journal file" in file.problems[0]
