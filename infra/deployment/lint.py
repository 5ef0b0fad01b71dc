"""``make lint-templates``: cfn-lint, checkov and cfn-guard over every template, generated ones included.

Runs with the project's Python; the linters are programs of ``.venv-lint``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.deployment import guard, quotas, suppressions, templates
from infra.deployment.suppressions import Finding

PROGRAMS = templates.ROOT / ".venv-lint" / "bin"


class LintError(RuntimeError):
    """A linter did not run; the message says which and why."""


def _run(command: list[str], *, ends_with: set[int]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode not in ends_with:
        msg = f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-1500:] or done.stdout[-1500:]}"
        raise LintError(msg)
    return done.stdout


def cfn_lint(folder: Path) -> list[Finding]:
    """Errors, warnings and informational findings of cfn-lint."""
    # its exit status is a bit mask: 2 errors, 4 warnings, 8 informational
    files = [str(f) for f in sorted(folder.glob("*.yaml"))]
    text = _run(
        [str(PROGRAMS / "cfn-lint"), "--format", "json", "--include-checks", "I", "--", *files],
        ends_with=set(range(0, 16, 2)),
    )
    return [
        Finding(
            tool="cfn-lint",
            id=item["Rule"]["Id"],
            template=Path(item["Filename"]).stem,
            resource=_resource(item["Location"].get("Path") or []),
            text=item["Message"],
        )
        for item in json.loads(text or "[]")
    ]


def _resource(path: list[Any]) -> str:
    return str(path[1]) if len(path) > 1 and path[0] in ("Resources", "Parameters", "Outputs") else ""


def checkov(folder: Path) -> list[Finding]:
    """Failed checks of checkov's CloudFormation rules; it needs no network and sends nothing."""
    text = _run(
        [
            str(PROGRAMS / "checkov"), "--directory", str(folder), "--framework", "cloudformation",
            "--skip-download", "--compact", "--quiet", "--output", "json",
        ],
        ends_with={0, 1},
    )  # fmt: skip
    report = json.loads(text)
    if report.get("summary", report).get("parsing_errors"):
        msg = f"checkov could not parse: {report['results']['parsing_errors']}"
        raise LintError(msg)
    return [
        Finding(
            tool="checkov",
            id=item["check_id"],
            template=Path(item["file_path"]).stem,
            resource=item["resource"].rsplit(".", 1)[-1],
            text=item["check_name"],
        )
        for item in report.get("results", {}).get("failed_checks", [])
    ]


def main() -> int:
    """Lint, compare with the suppressions, and say what is left."""
    entries = suppressions.read()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "templates"
        folder.mkdir()
        for name in templates.committed():
            (folder / f"{name}.yaml").write_text(templates.text_of(name), "utf-8")
        try:
            (Path(made) / "for-guard").mkdir()
            findings = cfn_lint(folder) + checkov(folder) + guard.check(Path(made) / "for-guard")
        except (LintError, guard.GuardError) as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2
        count = len(list(folder.iterdir()))
    left, unused = suppressions.judge(findings, entries)
    wrong = [str(f) for f in left]
    wrong += [
        f"suppression of {e.tool} {e.id} in {e.template} {e.resource}: nothing needs it, remove it" for e in unused
    ]
    wrong += suppressions.problems(entries, today=datetime.now(UTC).date())
    largest = quotas.largest()
    wrong += [f"over its quota: {use}" for use in largest.values() if use.share > 1]
    for line in wrong:
        print(line)
    for use in largest.values():
        print(f"[lint-templates] {use}")
    print(
        f"[lint-templates] {count} templates, {len(findings)} findings, {len(findings) - len(left)} explained, {len(wrong)} to fix"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
