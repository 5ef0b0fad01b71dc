"""The tree of a system's files."""

from __future__ import annotations

from tests.toolkit.fake_tree import Builder


def test_links_are_followed_and_loops_end() -> None:
    builder = Builder().add("/bin", link="usr/bin").add("/a", link="b").add("/b", link="a")
    tree = builder.tree()
    bash = tree.get("/bin/bash")
    assert bash is not None and bash.path == "/usr/bin/bash"
    assert tree.get("/a") is None
