"""Evidence crafted against the tools: the rest is examined completely, nothing is executed, rendered or followed."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import lzma
import socket
import threading
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.tools.disks import build as lab_disk
from lab.tools.disks.build import WEB_SERVER
from tests.toolkit.examined import NO_TOOLS, TOOLS, answered, examination_with, examine

needs_tools = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
NAMES = (
    "\x1b]0;owned\x07\x1b[2J",
    "new\nline\r\n2026-11-21T00:00:00Z fake entry",
    "\u202egnp.exe",
    '=HYPERLINK("mailto:x","x")',
    "@SUM(1+1)*cmd|' \\C calc'!A0",
    "{{ 7*7 }}${7*7}<script>alert(1)<script>",
    "$(touch EXECUTED)`touch EXECUTED`;touch EXECUTED",
    "-rf",
    "n" * 255,
    "\u2028\u2029\ufeff\u00ad",
)


MAX_SECONDS = 60


def scenario_with(folder: Path, entries: list[dict[str, Any]]) -> Path:
    """The web server's scenario with further entries."""
    raw = yaml.safe_load(WEB_SERVER.read_text("utf-8"))
    raw["image"]["inodes"] = 1500
    raw["entries"] += entries
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path


def hostile_entries() -> list[dict[str, Any]]:
    """Names, links and archives that break naive tools."""
    at = "2026-11-21T02:05:00Z"
    moment = {"at": yaml.safe_load(at)}
    found: list[dict[str, Any]] = [
        {"path": f"/tmp/{name}", "mode": "0755", "text": "#!/bin/sh\n", **moment} for name in NAMES
    ]
    # The slash is put in afterwards: no file system lets it into a name, an intruder with the disk does.
    found.append({"path": "/tmp/XXSLASHXXSLASHXXetcXpasswd", "text": "x", **moment})
    found += [
        {"path": "/etc/loop-a", "symlink": "/etc/loop-b", **moment},
        {"path": "/etc/loop-b", "symlink": "/etc/loop-a", **moment},
        {"path": "/var/www/html/up", "symlink": "..", **moment},
        {"path": "/root/.zsh_history", "symlink": "/proc/self/root/etc/shadow", **moment},
    ]
    deep = "/opt" + "/d" * 90
    found.append({"path": f"{deep}/end", "text": "x", **moment})
    line = f"Nov 21 02:05:00 ip-10-0-1-23 sshd[1]: Failed password for {'A' * 65536} from 203.0.113.66 port 1 ssh2\n"
    found.append({"path": "/var/log/auth.log.1", "text": line, **moment})
    zeros = bytes(300 << 20)
    for suffix, packed in ((".gz", gzip.compress(zeros, 1, mtime=0)), (".xz", lzma.compress(zeros, preset=0))):
        data = base64.b64encode(packed).decode("ascii")
        found.append({"path": f"/var/log/syslog.9{suffix}", "generate": {"kind": "base64", "data": data}, **moment})
    return found


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], float]:
    """The image, what was said about it, and the seconds it took."""
    folder = tmp_path_factory.mktemp("hostile")
    manifest = lab_disk.build(scenario_with(folder, hostile_entries()), folder / "disk.raw")
    data = manifest.image.read_bytes()
    assert data.count(b"XXSLASHXXSLASHXXetcXpasswd") == 1
    manifest.image.write_bytes(data.replace(b"XXSLASHXXSLASHXXetcXpasswd", b"../../../../../../etc/pwd0"))
    started = time.monotonic()
    return manifest.image, examine(manifest.image), time.monotonic() - started


@needs_tools
@pytest.mark.investigate
def test_the_rest_of_a_hostile_disk_is_complete(hostile: tuple[Path, dict[str, Any], float]) -> None:
    image, results, seconds = hostile
    facts = json.loads(image.with_name("facts.json").read_text("utf-8"))["facts"]
    found = [fact["id"] for fact in facts if answered(fact, results)]
    print(f"\n[investigate] hostile disk: {len(found)} of {len(facts)} planted steps in {seconds:.1f} s")
    assert len(found) >= 12
    assert seconds < MAX_SECONDS
    assert results["failure"] is None
    gaps = [f"{gap['what']}: {gap['why']}" for gap in results["gaps"]]
    assert sum("decompresses to more than" in gap for gap in gaps) == 2, gaps
    assert any("deep were skipped" in gap for gap in gaps), gaps
    assert not any("failed with" in gap for gap in gaps), gaps


@needs_tools
@pytest.mark.investigate
def test_hostile_text_is_escaped_in_the_outputs(hostile: tuple[Path, dict[str, Any], float]) -> None:
    image, results, _seconds = hostile
    text = json.dumps(results, ensure_ascii=False)
    control = {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}}
    assert control == set()
    paths = [event["path"] for event in results["events"] if "path" in event]
    assert all(path.startswith("/") and "/../" not in path for path in paths)
    assert any("..\\x2f..\\x2f" in path for path in paths)
    assert any("owned" in path and "\x1b" not in path for path in paths)
    assert not [path for path in (*image.parent.iterdir(), *Path.cwd().iterdir()) if path.name == "EXECUTED"]
    assert not any("shadow" in finding["detail"] for finding in results["findings"] if "zsh" in finding["source"])


_RULES = "import time; from forensic_toolkit import results, time_limits; from forensic_toolkit.commands import disk; "
_HANGS = "(lambda tree: [time.sleep(0.1) for _ in iter(int, 1)])"
_EATS = "(lambda tree: [__import__('mmap').mmap(-1, 1 << 31) for _ in range(64)])"
_DIES = "(lambda tree: __import__('os').kill(__import__('os').getpid(), 9))"


def with_rule(code: str, more: str = "") -> str:
    """The confined program with a rule in front of all others that behaves badly."""
    name = "bad.__module__, bad.__name__ = 'x.y', 'bad'"
    rules = "disk.TREE_RULES = (bad, *disk.TREE_RULES)"
    return examination_with(f"{_RULES}bad = {code}; {name}; {rules}; time_limits.RULE_SECONDS = 15; {more or 'pass'}")


@needs_tools
@pytest.mark.investigate
@pytest.mark.parametrize(
    ("code", "more", "says"),
    [
        (_HANGS, "", "rule y.bad: not finished after 15 s"),
        (
            _EATS,
            "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))",
            "Cannot allocate memory",
        ),
    ],
)
def test_a_rule_that_hangs_or_exhausts_memory_fails_alone(code: str, more: str, says: str, tmp_path: Path) -> None:
    manifest = lab_disk.build(WEB_SERVER, tmp_path / "disk.raw")
    facts = json.loads(manifest.facts_file.read_text("utf-8"))["facts"]
    results = examine(manifest.image, whole=True, before=with_rule(code, more))
    gaps = [f"{gap['what']}: {gap['why']}" for gap in results["gaps"]]
    assert any(says in gap for gap in gaps), gaps
    assert sum(answered(fact, results) for fact in facts) >= 12


@needs_tools
@pytest.mark.investigate
def test_a_confined_program_that_is_killed_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    manifest = lab_disk.build(WEB_SERVER, tmp_path / "disk.raw")
    results = examine(manifest.image, whole=True, before=with_rule(_DIES))
    assert "the confined examination failed: killed by signal 9" in results["failure"]
    assert results["findings"] == []


@needs_tools
@pytest.mark.investigate
def test_the_confined_program_has_no_network(tmp_path: Path) -> None:
    manifest = lab_disk.build(lab_disk.TINY, tmp_path / "disk.raw")
    with socket.create_server(("127.0.0.1", 0)) as server:
        calls: list[Any] = []
        server.settimeout(60)

        def listen() -> None:
            # The time is over when nobody calls, as it should be.
            with contextlib.suppress(OSError):
                calls.append(server.accept())

        threading.Thread(target=listen, daemon=True).start()
        port = server.getsockname()[1]
        try_it = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=5)"
        rule = f"(lambda tree: exec({try_it!r}))"
        results = examine(manifest.image, whole=True, before=with_rule(rule))
        confined = next(run for run in results["provenance"] if run["tool"] == "confinement")
        if "no network" not in confined["argv"]:
            pytest.skip(f"this machine allows no network namespace, and the provenance says so: {confined['error']}")
        assert calls == []
        assert any("ConnectionRefusedError" in gap["why"] for gap in results["gaps"])
