"""The archive of a live response: whole and what its index says, or why not; bounded whatever the host sends."""

from __future__ import annotations

import pytest

from forensics.memory.live_archive import MEMBERS, LiveArchive, in_one_line
from tests.unit.memory.live_archives import archive, line, tar

STATES = {"20-process-states": b"1 (init) S 0", "21-empty": b"", "70-packages": bytes(range(256)) * 30}
WHOLE = archive(STATES)


def read(data: bytes, *, step: int = 1 << 20) -> LiveArchive:
    found = LiveArchive()
    out = b"".join(found.through(data[at : at + step] for at in range(0, len(data), step)))
    assert out == data, "what is stored is what was sent"
    return found


@pytest.mark.parametrize("step", [1, 7, 512, 100_000])
def test_a_whole_archive_has_no_problem_however_it_is_cut_into_chunks(step: int) -> None:
    found = read(WHOLE, step=step)
    assert found.problems(indexed=True) == []
    assert set(found.members) == {*STATES, "index.tsv"}
    assert [i.state for i in found.items.values()] == ["present"] * 3


def test_states_and_reasons_are_read() -> None:
    index = line("27-sockets", b"", state="absent: ss is not on the instance", digest="-")
    found = read(tar({"index.tsv": index.encode()}))
    item = found.items["27-sockets"]
    assert (item.state, item.why) == ("absent", "ss is not on the instance")
    assert found.problems(indexed=True) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (WHOLE[:-1024], "the archive has no end: its last parts did not leave the host"),
        (WHOLE[:2000], "the archive has no end"),
        (tar(STATES), "the archive has no complete index"),
        (WHOLE.replace(b"(init)", b"(evil)"), "20-process-states is not what the index says"),
        (tar({"index.tsv": line("a", b"x").encode()}), "a is in the index and not in the archive"),
        (tar({"b": b"x", "index.tsv": b""}), "b is in the archive and not in the index"),
        (tar({"index.tsv": b"one\ttwo\n"}), "a line of index.tsv is not of the agreed form"),
        (WHOLE[:512].replace(b"20-", b"21-") + WHOLE[512:], "after 0 members comes something that is no member"),
        (b"\0" * 100 + b"x" * 500, "after 0 members comes something that is no member"),
        (tar({"../etc/passwd": b"x"}), "after 0 members comes something that is no member"),
        (tar({"a": b"x"})[:1024] * 2 + bytes(1024), "the member a comes twice"),
        (b"", "the archive has no end"),
    ],
    ids=["no end", "cut", "no index", "changed", "missing", "more", "index form", "checksum", "no tar", "path", "twice", "empty"],
)  # fmt: skip
def test_what_is_wrong_is_named(data: bytes, problem: str) -> None:
    assert any(problem in found for found in read(data).problems(indexed=True))


def test_pax_headers_that_some_systems_put_before_members_are_no_members() -> None:
    """SUSE builds tar with DEFAULT_ARCHIVE_FORMAT=POSIX: a header of type x stands before every member."""
    data = bytearray(WHOLE)
    data[257:265] = b"ustar  \0"  # GNU's own form is read as well
    data[148:156] = b"%06o\0 " % (sum(data[:512]) - sum(data[148:156]) + 256)
    assert read(bytes(data)).problems(indexed=True) == []


def test_an_archive_without_an_index_is_whole_where_the_document_writes_none() -> None:
    assert read(tar(STATES)).problems(indexed=False) == []


def test_more_members_than_there_can_be_end_the_reading() -> None:
    found = read(tar({f"m{n}": b"" for n in range(MEMBERS + 1)}))
    assert found.problems(indexed=True) == [f"it has more than {MEMBERS} members"]
    assert len(found.members) == MEMBERS


def test_an_index_that_is_larger_than_one_can_be_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forensics.memory.live_archive.INDEX_LIMIT", 50)
    assert read(WHOLE).problems(indexed=True) == ["its indexes have more than 50 bytes"]


def test_many_problems_are_counted_and_the_first_are_named() -> None:
    assert in_one_line([f"p{n}" for n in range(7)]) == "p0; p1; p2; p3; p4 and 2 more"
