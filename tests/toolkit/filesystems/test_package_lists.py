"""Which package owns a file: dpkg's lists, and a database that rpm 4.18 itself wrote (tests/toolkit/data/rpmdb.spec)."""

from __future__ import annotations

import hashlib
import lzma
import re
import sqlite3
from pathlib import Path

import pytest

from forensic_toolkit.rules import file_rules
from tests.toolkit.fake_tree import INSTALLED, LATER, Builder

DATABASE = lzma.decompress((Path(__file__).parents[1] / "data" / "rpmdb.sqlite.xz").read_bytes())
PROGRAM = b"#!/bin/sh\necho sample\n"
PLACES = ("/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite")


def amazon(place: str = PLACES[0], *, database: bytes = DATABASE, program: bytes = PROGRAM) -> Builder:
    """A system with one RPM package."""
    return Builder().add(place, database, born=INSTALLED).add("/usr/bin/sample", program, mode=0o755, born=LATER)


@pytest.mark.parametrize("place", PLACES)
def test_files_of_an_rpm_package_are_known_with_their_digests(place: str) -> None:
    lists = amazon(place).tree().packages
    assert lists.owned == {"/etc/sample.conf", "/usr/bin/sample", "/usr/share/sample", "/usr/share/sample/link"}
    # The configuration file's content is the administrator's, the link has none.
    assert lists.digests == {"/usr/bin/sample": ("sha256", hashlib.sha256(PROGRAM).hexdigest())}
    assert (lists.packages, lists.problems) == (1, [])


def test_a_changed_packaged_program_is_a_finding_and_an_unchanged_one_is_not() -> None:
    tree = amazon().tree()
    assert not list(file_rules.new_programs(tree)) and not list(file_rules.differing_programs(tree))
    found = list(file_rules.differing_programs(amazon(program=b"#!/bin/sh\nexec evil\n").tree()))
    assert [(item.source, item.severity, item.technique) for item in found] == [("/usr/bin/sample", "high", "T1554")]
    foreign = list(file_rules.new_programs(amazon().add("/usr/local/bin/evil", b"\x7fELF", mode=0o755).tree()))
    assert [(item.source, item.severity) for item in foreign] == [("/usr/local/bin/evil", "low")]


def test_debians_digests_are_compared_as_well() -> None:
    digest = hashlib.md5(b"\x7fELF", usedforsecurity=False).hexdigest()
    builder = Builder().add("/var/lib/dpkg/info/a.list", b"/bin/a\n/opt/b\n")
    builder.add("/var/lib/dpkg/info/a.md5sums", f"{digest}  bin/a\n{digest}  opt/b\nno line\n".encode())
    builder.add("/usr/bin/a", b"\x7fELF", mode=0o755).add("/opt/b", b"\x7fELF!", mode=0o755)
    assert [item.source for item in file_rules.differing_programs(builder.tree())] == ["/opt/b"]


def test_what_a_running_system_left_in_the_write_ahead_log_counts(tmp_path: Path) -> None:
    path = tmp_path / "rpmdb.sqlite"
    path.write_bytes(DATABASE)
    writer = sqlite3.connect(path)
    (blob,) = writer.execute("SELECT blob FROM Packages").fetchone()
    writer.execute("INSERT INTO Packages (blob) VALUES (?)", (blob.replace(b"sample", b"second"),))
    writer.commit()
    log = Path(f"{path}-wal").read_bytes()
    main = path.read_bytes()
    writer.close()
    tree = amazon(database=main).add(f"{PLACES[0]}-wal", log).tree()
    assert tree.packages.packages == 2 and "/usr/bin/second" in tree.packaged


@pytest.mark.parametrize(
    ("database", "says"),
    [
        (b"no database at all", "not a database"),
        (DATABASE[:9000], "malformed|no table|not a database"),
        (b"", "no Packages table"),
    ],
)
def test_a_database_that_cannot_be_read_is_named(database: bytes, says: str) -> None:
    problems = amazon(database=database).tree().packages.problems
    assert len(problems) == 1
    assert re.search(says, problems[0]), problems


def test_a_crafted_database_is_stopped_and_a_damaged_package_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "made-up.sqlite"
    writer = sqlite3.connect(path)
    writer.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)")
    writer.executemany("INSERT INTO Packages (blob) VALUES (?)", [(b"\xff" * 40,), (bytes(3),)])
    writer.commit()
    assert "2 of 2 packages are damaged" in amazon(database=path.read_bytes()).tree().packages.problems[0]
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS hnum, x AS blob FROM n"
    writer.execute("DROP TABLE Packages")
    writer.execute(f"CREATE VIEW Packages AS {endless}")
    writer.commit()
    assert "no Packages table" in amazon(database=path.read_bytes()).tree().packages.problems[0]


def test_older_database_formats_are_a_named_gap() -> None:
    problems = Builder().add("/var/lib/rpm/Packages", b"\0" * 99).tree().packages.problems
    assert "/var/lib/rpm/Packages" in problems[0] and "Berkeley DB" in problems[0]
