"""Rules on typed or scheduled commands; the rules are data (command_rules.json)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from forensic_toolkit.results import Severity

# Longer commands are truncated before matching: patterns take linear time, but hostile input may be huge.
MAX_COMMAND = 4000


@dataclass(frozen=True, slots=True)
class CommandRule:
    """One kind of suspicious command."""

    name: str
    pattern: re.Pattern[str]
    severity: Severity
    technique: str


@lru_cache(maxsize=1)
def rules() -> tuple[CommandRule, ...]:
    """All rules, in order of precedence."""
    text = resources.files("forensic_toolkit.rules").joinpath("command_rules.json").read_text("utf-8")
    return tuple(
        CommandRule(rule["name"], re.compile(rule["pattern"]), rule["severity"], rule["technique"])
        for rule in json.loads(text)["rules"]
    )


def first_match(command: str) -> CommandRule | None:
    """The first rule that a command matches, or None."""
    command = command[:MAX_COMMAND]
    return next((rule for rule in rules() if rule.pattern.search(command)), None)
