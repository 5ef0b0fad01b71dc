"""The packaged policy's answer to every type of GuardDuty: a change of the policy shows here what it changes.

To write it anew, then read the difference before you commit it::

    python -m tests.unit.guardduty_types > types.txt
    PYTHONPATH=plugins python -m forensics.triage.policy_table --types types.txt > tests/data/policy-table.txt
"""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.triage.policy import packaged
from forensics.triage.policy_table import main, table
from tests.unit.guardduty_types import ALL

GOLDEN = Path(__file__).parents[2] / "data" / "policy-table.txt"


def test_the_packaged_policy_answers_as_agreed() -> None:
    assert list(table(ALL, loaded=packaged())) == GOLDEN.read_text("utf-8").splitlines()


def test_nothing_isolates_below_its_threshold_or_without_evidence() -> None:
    rows = [line.split() for line in GOLDEN.read_text("utf-8").splitlines()[1:]]
    assert len(rows) == 2 * len(ALL)
    for kind, role, low, *others, book in rows:
        assert "I" not in low, kind
        for cell in others:
            assert "I" not in cell or cell.startswith("MD"), f"{kind} {role} isolates without acquiring"
        assert (book == "general") is False, f"{kind} has no playbook of its own"


def test_a_persons_own_policy_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "policy.yaml"
    body = Path(__file__).parents[3] / "plugins" / "forensics" / "triage" / "policy.yaml"
    own.write_text(body.read_text("utf-8").replace("isolate_from: HIGH", "isolate_from: CRITICAL", 1))
    kinds = tmp_path / "types.txt"
    kinds.write_text("Backdoor:EC2/C&CActivity.B\n\n")
    assert main([str(own), "--types", str(kinds)]) == 0
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row == ["Backdoor:EC2/C&CActivity.B", "ACTOR", "-", "MD", "MD", "MDI", "command-and-control"]


@pytest.mark.parametrize("text", [None, "schema: nonsense"])
def test_a_policy_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    own = tmp_path / "policy.yaml"
    if text is not None:
        own.write_text(text)
    assert main([str(own)]) == 2
    assert str(own) in capsys.readouterr().err
