"""``make acquisition-report``: run every assertion of the acquisition and write ``docs/acquisition-tests.md``.

Exit status 0 only when every assertion has passed. A run that was skipped shows nothing: its assertion is *not shown*.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from forensics import __version__
from tests.court.assertions import ASSERTIONS, Assertion

PAGE = Path("docs/acquisition-tests.md")
HEAD = """# Test report of the acquisition

In the form of NIST's Computer Forensics Tool Testing programme (*Digital Data Acquisition Tool Specification*): requirements, assertions, test
cases, measured results. Made by `make acquisition-report`, which runs every case; nothing is written by hand below this line.

"""


def outcomes(report: Path) -> dict[str, list[str]]:
    """``passed``, ``failed`` or ``skipped`` of each test function, once for each set of its parameters (JUnit's XML of pytest)."""
    found: dict[str, list[str]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by our own pytest
        file = str(case.get("classname", "")).replace(".", "/") + ".py"
        state = next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), "passed")
        name = str(case.get("name", "")).partition("[")[0]
        for key in (f"{file}::{name}", file):
            found.setdefault(key, []).append({"failure": "failed", "error": "failed"}.get(state, state))
    return found


def verdict(assertion: Assertion, found: dict[str, list[str]]) -> tuple[str, int, int]:
    """The result of an assertion, how many of its cases passed, and how many there are."""
    cases = [state for run in assertion.runs for state in found.get(run, ["not run"])]
    passed = cases.count("passed")
    if "failed" in cases:
        return "NOT as expected", passed, len(cases)
    # an assertion holds when each of its runs was seen to pass at least once and none failed
    shown = all("passed" in found.get(run, []) for run in assertion.runs)
    return ("as expected" if shown else "not shown here"), passed, len(cases)


def page(assertions: Iterable[Assertion], found: dict[str, list[str]], *, when: datetime, commit: str) -> str:
    """The report."""
    kept = list(assertions)
    lines = [
        f"Product: ec2-forensics {__version__}, commit {commit}. Run: {when:%Y-%m-%d %H:%M} UTC on {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}.",
        "",
    ]
    for requirement in dict.fromkeys(a.requirement for a in kept):
        lines += [f"## {requirement}", "", "| Assertion | Asserted | Cases passed | Result |", "|---|---|---|---|"]
        for one in (a for a in kept if a.requirement == requirement):
            result, passed, total = verdict(one, found)
            lines.append(f"| {one.id} | {one.text} | {passed} of {total} | {result} |")
        lines.append("")
    lines += ["## Test cases", "", "| Assertion | Runs |", "|---|---|"]
    lines += [f"| {one.id} | {'<br>'.join(f'`{run}`' for run in one.runs)} |" for one in kept]
    return HEAD + "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run, write, print; exit status 1 where an assertion is not as expected or not shown."""
    parser = argparse.ArgumentParser(prog="python -m tests.court", description=__doc__)
    parser.add_argument("--to", type=Path, default=PAGE, help="where the report goes")
    given = parser.parse_args(arguments)
    runs = list(dict.fromkeys(run for one in ASSERTIONS for run in one.runs))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "runs.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *runs], check=False
        )
        found = outcomes(report)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    given.to.write_text(page(ASSERTIONS, found, when=datetime.now(UTC), commit=commit or "unknown"), encoding="utf-8")
    bad = [(one, result) for one in ASSERTIONS if (result := verdict(one, found)[0]) != "as expected"]
    for one, result in bad:
        print(f"{one.id}: {result}: {one.text}", file=sys.stderr)
    print(f"{len(ASSERTIONS) - len(bad)} of {len(ASSERTIONS)} assertions as expected; the report is {given.to}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
