"""Rules on typed or scheduled commands; the rules are data (command_rules.json)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from forensic_toolkit.results import SEVERITIES, Severity
from forensic_toolkit.rules.addresses import is_foreign

# Longer commands are cut, and searched in overlapping pieces: the time that a pattern takes grows with the length that it sees.
MAX_COMMAND, PIECE, OVERLAP = 4000, 1000, 250
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")


@dataclass(frozen=True, slots=True)
class CommandRule:
    """One kind of suspicious command; ``unless`` takes a match back, ``foreign`` asks for a public address in the command."""

    name: str
    pattern: re.Pattern[str]
    severity: Severity
    technique: str
    unless: re.Pattern[str] | None = None
    foreign: bool = False

    def fits(self, command: str) -> bool:
        """Whether the rule matches a command of at most ``PIECE`` characters."""
        if not self.pattern.search(command) or (self.unless and self.unless.search(command)):
            return False
        return not self.foreign or any(map(is_foreign, _ADDRESS.findall(command)))


@lru_cache(maxsize=1)
def rules() -> tuple[CommandRule, ...]:
    """All rules, in order of precedence."""
    text = resources.files("forensic_toolkit.rules").joinpath("command_rules.json").read_text("utf-8")
    return tuple(
        CommandRule(
            rule["name"],
            re.compile(rule["pattern"]),
            rule["severity"],
            rule["technique"],
            re.compile(rule["unless"]) if "unless" in rule else None,
            bool(rule.get("foreign")),
        )
        for rule in json.loads(text)["rules"]
    )


@lru_cache(maxsize=65_536)
def matches(command: str) -> tuple[CommandRule, ...]:
    """The rules that a command matches, of each technique the first; the gravest first."""
    found: dict[str, CommandRule] = {}
    for start in range(0, max(1, min(len(command), MAX_COMMAND) - OVERLAP), PIECE - OVERLAP):
        piece = command[start : start + PIECE]
        for rule in rules():
            if rule.technique not in found and rule.fits(piece):
                found[rule.technique] = rule
    return tuple(sorted(found.values(), key=lambda rule: SEVERITIES.index(rule.severity)))


def first_match(command: str) -> CommandRule | None:
    """The gravest rule that a command matches, or None."""
    return next(iter(matches(command)), None)
