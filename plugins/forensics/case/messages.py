"""What people are sent about a case: subject, lines and facts, made in one place. Pure.

A subject is read on a lock screen: severity, account, instance, what happened; then the case id, where there is room for all of it.
Alias and name come from the target's account and titles from findings: nothing in them can look like another part of the subject.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from forensics.case.addresses import run_page
from forensics.models.case import Case
from forensics.models.notices import CaseLabel

# "less than 100 characters long" (Amazon SNS API reference, Publish, Subject); ASCII, no line breaks, no control characters.
SUBJECT_LIMIT: Final = 99
_NAME_LIMIT: Final = 24
# An account or an instance that names itself after another one is called by its own id.
_LOOKS_LIKE_AN_ID = re.compile(r"(i-)?[0-9a-f]{8,}|fc-[0-9]{8}-[0-9a-f]+|[0-9]{12}", re.IGNORECASE)
_NO_LABEL = CaseLabel()
DRILL_LINE: Final = "This is a DRILL on a canary that the pipeline launched for it: no machine of yours is concerned."


@dataclass(frozen=True)
class Message:
    """One message: ``event`` is what subscribers filter on, ``facts`` is what programs read."""

    event: str
    subject: str
    lines: tuple[str, ...]
    facts: dict[str, object]


def message(
    case: Case,
    event: str,
    headline: str,
    *,
    lines: Sequence[str] = (),
    facts: Mapping[str, object] | None = None,
    ui_url: str = "",
    label: CaseLabel = _NO_LABEL,
    severity: str = "",
) -> Message:
    """A message about a case: what happened, which case and target, the caller's lines, where to follow it.

    ``severity``: instead of that of the finding that opened the case.
    """
    follow = (f"Follow it: {run_page(ui_url, case.run_id)}",) if ui_url and case.run_id else ()
    alias, name = plain_name(label.account_alias), plain_name(label.instance_name)
    about = (
        f"Case {case.case_id}: {case.subject}{f' ({name})' if name else ''}"
        f" in account {case.account_id}{f' ({alias})' if alias else ''}, {case.region}"
    )
    return Message(
        event=event,
        subject=subject(case, headline, label=label, severity=severity),
        lines=(headline, *([DRILL_LINE] if case.drill else []), about, *lines, *follow),
        facts={
            "event": event,
            "case_id": case.case_id,
            "instance_id": case.instance_id,
            "account_id": case.account_id,
            "region": case.region,
            "severity": severity or case.severity,
            **({"drill": True} if case.drill else {}),
            **({"account_alias": alias} if alias else {}),
            **({"instance_name": name} if name else {}),
            **(facts or {}),
        },
    )


def subject(case: Case, headline: str, *, label: CaseLabel = _NO_LABEL, severity: str = "") -> str:
    """``HIGH acme-prod web-1: Target isolated [fc-…]``: at most 99 printable ASCII characters."""
    account = plain_name(label.account_alias) or case.account_id
    instance = plain_name(label.instance_name) or case.instance_id
    drill = "DRILL " if case.drill else ""
    who, end = f"{drill}{severity or case.severity} {account} {instance}: ", f" [{case.case_id}]"
    # Brackets are for the case id, which is always the case's own.
    said = plain_text(headline).replace("[", "(").replace("]", ")")
    if len(who) + len(said) + len(end) <= SUBJECT_LIMIT:
        return f"{who}{said}{end}"
    return f"{who}{cut(said, SUBJECT_LIMIT - len(who))}"


def plain_name(name: str) -> str:
    """A name from outside as letters, digits, ``.``, ``_`` and ``-``, at most 24; empty when nothing of it is left.

    A name that looks like an id (of an instance, an account or a case) is not used.
    """
    kept = re.sub(r"[^A-Za-z0-9._-]+", "_", _ascii(name[:1024])).strip("._-")
    if _LOOKS_LIKE_AN_ID.fullmatch(kept):
        return ""
    return kept if len(kept) <= _NAME_LIMIT else f"{kept[: _NAME_LIMIT - 2]}.."


def plain_text(text: str) -> str:
    """Text as one line of printable ASCII: accents are dropped, whatever else has no ASCII form becomes ``?``."""
    spaced = "".join(" " if c.isspace() or unicodedata.category(c) == "Cc" else c for c in text[:1024])
    return " ".join("".join(c if " " <= c <= "~" else "?" for c in _ascii(spaced)).split())


def cut(text: str, limit: int) -> str:
    """The text, or as many of its words as fit, with three dots."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 3]
    words = kept.rpartition(" ")[0] if text[limit - 3] != " " else kept
    # One long word is cut where it has to be.
    return f"{words if len(words) > limit // 2 else kept}...".replace(" ...", "...")


def _ascii(text: str) -> str:
    """The text without its accents; marks that are never seen (direction, width) are left out."""
    folded = unicodedata.normalize("NFKD", text)
    return "".join(c for c in folded if unicodedata.category(c) not in {"Mn", "Cf"})
