"""The command line of breaking the glass: what is refused before AWS is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.break_glass import command
from forensics_cli.faults import Exit
from forensics_cli.main import main as forensics

ROOT = Path(__file__).resolve().parents[3]
CASE = "fc-20261124-0a1b2c3d4e"


@pytest.mark.parametrize(
    "words",
    [
        ("show",),
        ("show", "i-0123"),
        ("contain", CASE),
        ("release", CASE),
        ("approve", CASE, "hold", "x"),
        ("export", CASE),
        (),
    ],
)
def test_a_wrong_command_line_ends_with_2(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(list(words))
    assert ended.value.code == Exit.USAGE


def test_missing_settings_are_said_with_how_to_make_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["break-glass", "--settings", str(tmp_path / "none.json"), "show", CASE]
    assert forensics(words) == command.NOT_DONE
    assert "aws mwaa get-environment" in capsys.readouterr().err


def test_statuses_are_those_of_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert (command.DONE, command.NOT_DONE, command.REFUSED, command.WAITS, command.INTERRUPTED) == (
        Exit.GOOD, Exit.BAD, Exit.REFUSED, Exit.WAITS, Exit.INTERRUPTED,
    )  # fmt: skip
    monkeypatch.setitem(__import__("sys").modules, "forensics.break_glass.command", None)
    assert forensics(["break-glass", "show", CASE]) == Exit.USAGE
    assert "PYTHONPATH" in capsys.readouterr().err


def test_the_page_has_every_command_and_its_first_one() -> None:
    text = (ROOT / "docs" / "break-glass.md").read_text()
    for name in ("show", "list", "contain", "release", "approve", "export", "verify"):
        assert (
            f"{name} CASE" in text
            or f"`forensics break-glass {name}`" in text
            or f"`{name}`" in text
            or f"{name} fc-" in text
        ), name
    assert text.index("**First command**") < text.index("## ")
