"""The tree of a system's files."""

from __future__ import annotations

import pytest

from forensic_toolkit.filesystems.tree import Tree, is_unusual_place
from tests.toolkit.fake_tree import Builder


def test_links_are_followed_and_loops_end() -> None:
    builder = Builder().add("/bin", link="usr/bin").add("/a", link="b").add("/b", link="a")
    tree = builder.tree()
    bash = tree.get("/bin/bash")
    assert bash is not None and bash.path == "/usr/bin/bash"
    assert tree.get("/a") is None


def test_the_origin_of_a_file() -> None:
    builder = (
        Builder().add("/usr/local/bin/new", b"\x7fELF", mode=0o755).add("/usr/bin/updated", b"\x7fELF", mode=0o755)
    )
    builder.add("/var/lib/dpkg/info/a.list", b"/.\n/usr/bin/updated\n/usr/bin/bash\n")
    tree = builder.tree()
    new, updated, bash = (tree.get(path) for path in ("/usr/local/bin/new", "/usr/bin/updated", "/usr/bin/bash"))
    assert new is not None and updated is not None and bash is not None
    assert tree.is_foreign(new) and not tree.is_foreign(updated) and tree.is_late(updated) and not tree.is_late(bash)
    assert tree.origin(new) == (
        "no package owns it; it was created 2026-01-10T12:00:00.123457Z, after the system was installed"
    )
    assert tree.origin(bash) == "its origin is unremarkable"


def test_with_few_programs_nothing_is_late() -> None:
    builder = Builder().add("/usr/local/bin/new", b"\x7fELF", mode=0o755)
    whole = builder.tree()
    few = Tree([entry for entry in whole.entries if "/tool" not in entry.path])
    assert whole.installed_until_ns and not few.installed_until_ns
    new = few.get("/usr/local/bin/new")
    assert new is not None and not few.is_late(new) and whole.is_late(new)


@pytest.mark.parametrize(
    ("path", "unusual"),
    [
        ("/tmp/x", True),
        ("/dev/shm/x", True),
        ("/usr/lib/.x/run", True),
        ("/usr/lib/x/run", False),
        ("/home/a/.local/bin/tool", False),
    ],
)
def test_places_where_no_program_belongs(path: str, unusual: bool) -> None:
    assert is_unusual_place(path) is unusual
