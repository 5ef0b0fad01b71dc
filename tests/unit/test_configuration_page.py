"""docs/configuration.md lists every setting, with its default, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from forensics.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def _rows(*headings: str) -> dict[str, list[str]]:
    """Option → further cells, of the tables below the headings."""
    rows: dict[str, list[str]] = {}
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        if section.splitlines()[0] in headings:
            for line in re.findall(r"^\| `([^`]+)` \|(.*)\|$", section, re.MULTILINE):
                rows[line[0]] = [cell.strip() for cell in line[1].split(" | ")]
    return rows


def test_every_required_setting_is_listed() -> None:
    required = {name for name, field in Settings.model_fields.items() if field.is_required()}
    assert set(_rows("Where things are")) == required


def test_every_default_is_the_real_one() -> None:
    rows = _rows("Names and choices", "Policy", "Limits and waiting")
    fields = Settings.model_fields.items()
    optional = {name: field.default for name, field in fields if not field.is_required()}
    assert set(rows) == set(optional)
    for name, default in optional.items():
        assert rows[name][0] == (f"`{default}`" if default != "" else "empty"), name
