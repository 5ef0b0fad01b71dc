"""What people are sent about a case: subject, lines and facts, made in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forensics.case.addresses import run_page
from forensics.models.case import Case


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
) -> Message:
    """A message about a case: what happened, which case and target, the caller's lines, where to follow it."""
    follow = (f"Follow it: {run_page(ui_url, case.run_id)}",) if ui_url and case.run_id else ()
    about = f"Case {case.case_id}: instance {case.instance_id} in account {case.account_id}, {case.region}"
    return Message(
        event=event,
        subject=f"[{case.case_id}] {headline}",
        lines=(headline, about, *lines, *follow),
        facts={
            "event": event,
            "case_id": case.case_id,
            "instance_id": case.instance_id,
            "account_id": case.account_id,
            "region": case.region,
            **(facts or {}),
        },
    )
