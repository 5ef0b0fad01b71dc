"""What became of each kind of artifact is said by its readers, not taken from the examination as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forensic_toolkit.commands import disk, windows_disk
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.results import Results, ToolRun
from forensic_toolkit.rules import artifacts, persistence_rules
from forensic_toolkit.times import now
from tests.toolkit.fake_tree import INSTALLED, Builder


def said(tree: Tree, results: Results | None = None) -> dict[str, dict[str, Any]]:
    results = results or Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    kinds = (*artifacts.KINDS, *windows_disk.KINDS)
    return {state["name"]: state for state in artifacts.states(tree, results=results, kinds=kinds)}


def empty() -> Results:
    return Results("fc-20260101-0123456789", "disk-1", "disk", started=now())


def test_what_is_not_on_the_disk_is_absent() -> None:
    tree = Builder().add("/var/log/wtmp", b"").tree()
    states = said(tree)
    assert states["cron"]["state"] == states["journal"]["state"] == "absent"
    assert (states["log-in records"]["state"], states["log-in records"]["paths"]) == ("empty", ["/var/log/wtmp"])
    assert states[artifacts.TIMELINE]["state"] == "examined"


def test_a_file_is_examined_once_a_rule_had_its_content() -> None:
    tree = Builder().add("/etc/cron.d/job", b"* * * * * root /bin/true\n").tree()
    assert said(tree)["cron"]["state"] == "unreadable"
    assert said(tree)["cron"]["why"] == "/etc/cron.d/job: no reader had its content"
    list(persistence_rules.cron(tree))
    assert said(tree)["cron"] == {
        "name": "cron",
        "state": "examined",
        "files": 1,
        "paths": ["/etc/cron.d/job"],
        "why": "",
    }


def test_a_packages_own_file_was_looked_at_without_its_content() -> None:
    unit = "/usr/lib/systemd/system/a.service"
    tree = (
        Builder()
        .add(unit, b"[Service]\nExecStart=/usr/bin/a\n", born=INSTALLED)
        .add("/var/lib/dpkg/info/a.list", f"/.\n{unit}\n".encode(), born=INSTALLED)
        .tree()
    )
    list(persistence_rules.started(tree))
    assert said(tree)["systemd units"]["state"] == "examined"


def test_a_rule_that_failed_and_a_log_that_was_not_understood_are_named() -> None:
    tree = (
        Builder()
        .add("/etc/cron.d/job", b"* * * * * root /bin/true\n")
        .add("/var/log/auth.log", b"\x00\x01" * 40)
        .add("/var/log/syslog", b"x\n" * 40)
        .tree()
    )
    results = empty()
    results.gap("rule persistence_rules.cron", "the rule failed with ValueError: x; its findings may be incomplete")
    results.gap("rule log /var/log/syslog", "120 seconds have passed; the rule was stopped")
    coverage = Coverage([Artifact("log-in log", "/var/log/auth.log", 80, lines=1, parsed=0)])
    coverage.report(results)
    for entry in tree.entries:
        entry.read()
    states = said(tree, results)
    assert (states["cron"]["state"], states["system log"]["state"]) == ("in part", "in part")
    assert "ValueError" in states["cron"]["why"]
    assert "120 seconds" in states["system log"]["why"]
    assert states["log-in log"]["state"] == "unreadable"
    assert states["log-in log"]["why"] == "/var/log/auth.log: 0 of 1 lines were parsed"


def test_a_folder_that_cannot_be_listed_makes_nothing_absent() -> None:
    tree = Builder().tree()
    assert tree.entries[0].filesystem is not None
    tree.entries[0].filesystem.problems.append("directory /var/log (inode 12): checksum mismatch")
    states = said(tree)
    assert (states["web log"]["state"], states["web log"]["why"]) == ("unreadable", "/var/log: checksum mismatch")
    assert states["authorized_keys"]["state"] == "absent"
    assert states[artifacts.TIMELINE]["state"] == "in part"


def test_records_of_windows_are_those_of_the_run_that_gave_them() -> None:
    tree = Builder().add("/Windows/System32/config/SYSTEM", b"regf").tree()
    assert said(tree)["Windows services"]["why"].endswith("the program that reads it did not run")
    results = empty()
    results.runs.append(ToolRun("dissect.target", "3", ["services"], 0, 1.0, 5))
    results.runs.append(ToolRun("dissect.target", "3", ["shimcache"], 1, 1.0, 0, "killed after 300 seconds"))
    states = said(tree, results)
    assert states["Windows services"]["state"] == "examined"
    assert (states["shimcache"]["state"], states["run keys"]["state"]) == ("unreadable", "absent")


def test_every_rule_that_an_artifact_names_is_one_of_the_examination() -> None:
    """A name that no rule has would hide that rule's failure."""
    applied = {f"{rule.__module__.rsplit('.', 1)[-1]}.{rule.__name__}" for rule in disk.TREE_RULES}
    named = {name for kind in artifacts.KINDS for name in kind.rules}
    source = Path(disk.__file__).read_text("utf-8")
    assert not {name for name in named - applied if f'results.apply("{name}"' not in source}
