"""What the product's roles in a member account asked of AWS in the story, without ids: ``tests/templates/product_calls.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lab.accounts import MEMBER_ACCOUNT

FILE = Path(__file__).resolve().parents[1] / "templates" / "product_calls.json"
_KEPT = ("aws:ResourceTag/", "aws:RequestTag/", "aws:TagKeys", "ec2:CreateAction", "iam:PassedToService", "kms:")
_IDS = (
    (r"fc-\d{8}-[0-9a-f]{10}", "fc-20261124-0123456789"),
    (r"\b([a-z]+)-[0-9a-f]{17}\b", r"\1-0123456789abcdef0"),
    (r"[0-9a-f-]{36}", "*"),
    (r"\bfleet-\d+\b", "fleet-1"),
)


def plain(asked: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each different question of a member account's role once, in order."""
    found: dict[str, dict[str, Any]] = {}
    for item in asked:
        if item["account"] != MEMBER_ACCOUNT or not item["role"].startswith("forensics-") or not item["allowed"]:
            continue
        context = {k: v for k, v in item["context"].items() if k.startswith(_KEPT)}
        text = json.dumps(
            {"role": item["role"], "action": item["action"], "resource": item["resource"], "context": context},
            sort_keys=True,
        )
        for pattern, ids in _IDS:
            text = re.sub(pattern, ids, text)
        found.setdefault(text, json.loads(text))
    return [found[text] for text in sorted(found)]


def write(asked: Iterable[Mapping[str, Any]], file: Path = FILE) -> int:
    """Write the recording, one question a line; returns their number."""
    calls = plain(asked)
    file.write_text("[\n" + ",\n".join(json.dumps(call, sort_keys=True) for call in calls) + "\n]\n", "utf-8")
    return len(calls)
