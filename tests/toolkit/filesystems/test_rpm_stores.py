"""Packages in the stores of older RPMs: Berkeley DB as its own tool wrote it (tests/toolkit/data/rpm_stores.py), and ndb by its format.

The readers were also run on a ``Packages`` of RHEL 8 and a ``Packages.db`` of SLE 15 (the test data of github.com/knqyf263/go-rpmdb), and the
indexes on those of four hosts of Amazon Linux 2, CentOS and RHEL whose ``Packages`` was lost (public repositories with whole file systems).
"""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

from forensic_toolkit.filesystems import rpm_stores
from forensic_toolkit.filesystems.package_lists import PackageLists
from forensic_toolkit.rules import file_rules
from tests.toolkit.fake_tree import INSTALLED, LATER, Builder

ARCHIVE = (Path(__file__).parents[1] / "data" / "rpm-stores.tar.xz").read_bytes()
PROGRAM = b"#!/bin/sh\necho sample\n"


def store(name: str) -> bytes:
    """One of the files."""
    with tarfile.open(fileobj=io.BytesIO(ARCHIVE), mode="r:xz") as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def ndb(*blobs: bytes) -> bytes:
    """The blobs as rpm's ``rpmpkg.c`` lays them out: header, slots, blobs in blocks of 16 bytes."""
    slots, bodies, at = b"", b"", 4096
    for number, blob in enumerate(blobs, start=1):
        body = struct.pack("<4sIII", b"BlbS", number, 1, len(blob)) + blob
        body += bytes(-len(body) % 16)
        slots += struct.pack("<4sIII", b"Slot", number, at // 16, len(body) // 16)
        bodies, at = bodies + body, at + len(body)
    head = struct.pack("<4sIIII12x", b"RpmP", 0, 1, 1, len(blobs) + 1)
    return (head + slots).ljust(4096, b"\0") + bodies


def lists(path: str, content: bytes, **more: bytes) -> PackageLists:
    """What a system with a database says."""
    builder = Builder().add(path, content, born=INSTALLED).add("/usr/bin/sample", PROGRAM, mode=0o755, born=LATER)
    for name, data in more.items():
        builder.add(f"/var/lib/rpm/{name}", data, born=INSTALLED)
    return builder.tree().packages


def test_a_berkeley_db_gives_the_files_of_each_package_with_their_digests() -> None:
    found = lists("/var/lib/rpm/Packages", store("Packages"))
    assert (found.packages, found.problems) == (2, [])
    assert {"/usr/bin/sample", "/etc/sample.conf", "/usr/bin/second"} <= found.owned
    assert found.digests["/usr/bin/sample"][0] == "sha256" and "/etc/sample.conf" in found.configurations


def test_a_changed_program_of_amazon_linux_2_is_a_finding() -> None:
    def differing(program: bytes) -> list[str]:
        builder = Builder().add("/var/lib/rpm/Packages", store("Packages"), born=INSTALLED)
        tree = builder.add("/usr/bin/sample", program, mode=0o755, born=LATER).tree()
        return [item.source for item in file_rules.differing_programs(tree)]

    assert differing(PROGRAM) == [] and differing(b"#!/bin/sh\nexec evil\n") == ["/usr/bin/sample"]


def test_ndb_gives_the_same() -> None:
    blobs = list(rpm_stores.headers(store("Packages")))
    found = lists("/usr/lib/sysimage/rpm/Packages.db", ndb(*blobs))
    assert found.owned == lists("/var/lib/rpm/Packages", store("Packages")).owned and found.problems == []


def test_a_lost_database_is_said_and_its_indexes_still_name_owners() -> None:
    builder = Builder()
    for name in ("Basenames", "Dirnames"):
        builder.add(f"/var/lib/rpm/{name}", store(name), born=INSTALLED)
    for path in ("/usr/bin/sample", "/etc/sample.conf", "/opt/tool", "/opt/sample", "/usr/bin/tool"):
        builder.add(path, PROGRAM, mode=0o755, born=LATER)
    found = builder.tree().packages
    assert found.owned == {"/usr/bin/sample", "/etc/sample.conf", "/opt/tool"}
    assert found.packages == 2 and "Packages is missing beside its indexes" in found.problems[0]


def test_damage_at_any_place_is_said_or_harmless() -> None:
    """Every page cut off, every byte of a page's head set: a reader of hostile files ends, and names what it could not read."""
    data = store("Packages")
    variants = [data[:cut] for cut in range(0, len(data), 1000)]
    variants += [
        data[:at] + b"\xff" + data[at + 1 :]
        for page in range(0, len(data), 4096)
        for at in range(page, min(page + 40, len(data)))
    ]
    for variant in variants:
        found = lists("/var/lib/rpm/Packages", variant)
        assert found.packages == 2 or found.problems
    assert "is no Berkeley DB" in lists("/var/lib/rpm/Packages", b"nothing").problems[0]


def test_an_overflow_chain_that_goes_in_a_circle_ends() -> None:
    data = bytearray(store("Packages"))
    for start in range(4096, len(data), 4096):
        if data[start + 25] == 7:  # an overflow page: it follows itself
            data[start + 16 : start + 20] = struct.pack("<I", start // 4096)
            data[start + 22 : start + 24] = bytes(2)
    found = lists("/var/lib/rpm/Packages", bytes(data))
    assert any("damaged" in problem for problem in found.problems)


def test_many_items_that_share_one_long_chain_are_read_within_the_pages_there_are() -> None:
    """Each of 100 pages with 300 items that all name the same circle: without a budget 120 million steps."""
    page, pages = 4096, 4000
    data = bytearray(page * pages)
    data[: 2 * page] = store("Packages")[: 2 * page]
    struct.pack_into("<I", data, 32, pages - 1)
    item = struct.pack("<B3xII", 3, 200, 1 << 30)
    for number in range(1, 101):
        start = number * page
        struct.pack_into("<H", data, start + 20, 300)
        data[start + 25] = 13
        struct.pack_into("<300H", data, start + 26, *[page - len(item)] * 300)
        data[start + page - len(item) : start + page] = item
    for number in range(200, pages):
        struct.pack_into("<I", data, number * page + 16, number + 1 if number + 1 < pages else 200)
        data[number * page + 25] = 7
    database = rpm_stores.BerkeleyDatabase(bytes(data))
    assert list(database.pairs()) == [] and database.damaged == 100 * 150 and database._steps == 0
