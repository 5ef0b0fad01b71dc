"""The form of every shipped Sigma rule: its condition uses each selection that it has, and has each that it uses."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import yaml

from tests.toolkit.examined import SOURCES

RULES = SOURCES / "forensic_toolkit" / "rules"
_WORDS = {"and", "or", "not", "of", "all", "any", "them"}


def _shipped() -> list[tuple[str, dict[str, Any]]]:
    paths = sorted((*RULES.glob("sigma/*.yml"), *RULES.glob("sigma_windows/*.yml")))
    return [
        (path.name, rule) for path in paths for rule in yaml.safe_load_all(path.read_text("utf-8")) if rule is not None
    ]


def _used(condition: str, names: set[str]) -> tuple[set[str], set[str]]:
    """(selections that a condition uses, words in it that are none)."""
    used, unknown = set(), set()
    for word in re.findall(r"[A-Za-z_][\w*]*", condition):
        if word in _WORDS:
            continue
        fitting = {name for name in names if fnmatchcase(name, word)}
        used |= fitting
        unknown |= set() if fitting else {word}
    if re.search(r"\bof them\b", condition):
        used |= {name for name in names if not name.startswith("_")}
    return used, unknown


def test_every_selection_is_used_and_every_one_that_is_used_exists() -> None:
    wrong = []
    for file, rule in _shipped():
        detection = rule["detection"]
        conditions = detection["condition"]
        names = set(detection) - {"condition", "timeframe"}
        used, unknown = _used(" ".join(conditions) if isinstance(conditions, list) else conditions, names)
        wrong += [(file, rule["title"], "not used", name) for name in sorted(names - used)]
        wrong += [(file, rule["title"], "not there", name) for name in sorted(unknown)]
    assert wrong == []


def test_ids_and_a_systems_titles_are_given_once() -> None:
    rules = [rule for _, rule in _shipped()]
    assert len(rules) > 600
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert len({(rule["logsource"].get("product"), rule["title"]) for rule in rules}) == len(rules)


def test_the_look_at_conditions_sees_what_it_should() -> None:
    names = {"sel_a", "sel_b", "other"}
    assert _used("1 of sel_* and not gone", names) == ({"sel_a", "sel_b"}, {"gone"})
    assert _used("all of them", names) == (names, set())
    assert _used("sel_a", names) == ({"sel_a"}, set())
