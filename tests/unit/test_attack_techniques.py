"""Every technique id of code, rules and documents is one of ATT&CK v19.1, and the pinned table holds no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forensic_toolkit.technique_ids import REPLACED, technique_id
from forensics.attack_techniques import TACTICS, TECHNIQUES, technique_text

ROOT = Path(__file__).resolve().parents[2]
_ID = re.compile(r"(?<![A-Za-z0-9])T1[0-9]{3}(?:\.[0-9]{3})?(?![0-9])")
_SIGMA = re.compile(r"attack\.(t1[0-9]{3}(?:\.[0-9]{3})?)")  # as tags of Sigma's rules are written
_KINDS = {".py", ".yaml", ".yml", ".json", ".yar", ".md", ".j2", ".ps1", ".sh", ".toml"}
# the table itself, and the list of what v19 replaced: its keys are no longer ids
_APART = {"attack_techniques.py", "technique_ids.py"}


def _named() -> dict[str, set[str]]:
    """Id -> files that name it."""
    folders = ("plugins", "ami", "docs", "dags", "ssm_documents", "scripts")
    files = [f for folder in folders for f in (ROOT / folder).rglob("*") if f.suffix in _KINDS and f.is_file()]
    files += [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    named: dict[str, set[str]] = {}
    for file in files:
        if file.name in _APART or "__pycache__" in file.parts:
            continue
        text = file.read_text("utf-8")
        for found in [*_ID.findall(text), *map(str.upper, _SIGMA.findall(text))]:
            named.setdefault(found, set()).add(str(file.relative_to(ROOT)))
    return named


def test_every_technique_id_is_in_the_pinned_table() -> None:
    named = _named()
    assert len(named) > 100
    unknown = {found: sorted(files) for found, files in named.items() if found not in TECHNIQUES}
    assert not unknown, "not in ATT&CK v19.1 (forensics/attack_techniques.py)"


def test_the_table_is_whole() -> None:
    """As many as MITRE's attack-flow has of v19.1 (commit 295d20d2): 697 techniques, each below a tactic of the fifteen."""
    assert len(TECHNIQUES) == 697 and len(TACTICS) == 15
    assert set(TACTICS) == {tactic for technique in TECHNIQUES.values() for tactic in technique.tactics}
    assert set(REPLACED.values()) <= set(TECHNIQUES) and not set(TECHNIQUES) & set(REPLACED)
    for found, technique in TECHNIQUES.items():
        assert _ID.fullmatch(found)
        assert technique.name.strip() == technique.name != ""
        assert technique.tactics
        assert set(technique.tactics) <= set(TACTICS)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("t1562.001", "T1685"),
        ("T1070.002", "T1685.006"),
        ("T1053.003", "T1053.003"),
        ("T9999", "T9999"),
        ("defense-evasion", None),
        ("T1053.003x", None),
    ],
)
def test_an_id_of_an_older_version_is_led_to_its_successor(text: str, wanted: str | None) -> None:
    """A Sigma release from before v19 tags ``attack.t1562.001``."""
    assert technique_id(text) == wanted


def test_an_id_that_only_a_users_rule_knows_stays_as_it_is() -> None:
    assert technique_text("T1014") == "T1014 Rootkit"
    assert technique_text("T9999") == "T9999"
