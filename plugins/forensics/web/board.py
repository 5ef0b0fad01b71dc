"""What the board shows of all cases: search, filters, order, numbers, pages. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request

from forensics.models.board import Entry, Need
from forensics.models.case import CaseStatus
from forensics.models.finding import Severity
from forensics.web.problem import Problem

AGES = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
SORTS = {
    "needs": "needs a person first",
    "newest": "newest first",
    "oldest": "oldest first",
    "severity": "most severe first",
    "gaps": "most gaps first",
}
NEED_WORDS = {
    Need.ANSWER: "waits for an answer",
    Need.CONTAIN: "act on the containment",
    Need.DRIFT: "containment was changed",
    Need.FAILED: "processing failed",
    Need.GAPS: "closed with gaps",
}
NEED_LEVEL = {Need.ANSWER: "bad", Need.CONTAIN: "bad", Need.DRIFT: "bad", Need.FAILED: "bad", Need.GAPS: "warn"}
SEVERITY_LEVEL = {"CRITICAL": "bad", "HIGH": "bad", "MEDIUM": "warn"}
PAGE_SIZES = (20, 50, 100)
# The pressing needs go before cases that are being processed, gaps of ended ones after these.
_PRESSING = (Need.ANSWER, Need.CONTAIN, Need.DRIFT, Need.FAILED)
_RANK = {severity.value: severity.rank for severity in Severity}


def _one_of(values: Iterable[str]) -> str:
    return f"^({'|'.join(values)})?$"


@dataclass(frozen=True)
class BoardQuery:
    """What a person or a program asks the board for; an empty field asks for nothing. The same for the page and the API."""

    q: Annotated[
        str,
        Query(
            max_length=200,
            description="text in id, title, instance, account, Region, source, requester or tags of people",
        ),
    ] = ""
    status: Annotated[str, Query(pattern=_one_of(s.value for s in CaseStatus))] = ""
    severity: Annotated[str, Query(pattern=_one_of(s.value for s in Severity), description="of the case")] = ""
    contained: Annotated[str, Query(max_length=60, description="words of the column")] = ""
    account: Annotated[str, Query(pattern=r"^(\d{12})?$")] = ""
    region: Annotated[str, Query(max_length=30)] = ""
    owner: Annotated[
        str, Query(max_length=100, description="who took the case, else the tag Owner or Team of the target")
    ] = ""
    playbook: Annotated[str, Query(max_length=60)] = ""
    age: Annotated[str, Query(pattern=_one_of(AGES), description="opened within")] = ""
    needs: Annotated[
        str, Query(pattern=_one_of(["any", *(n.value for n in Need)]), description="why it needs a person")
    ] = ""
    sort: Annotated[str, Query(pattern=_one_of(SORTS))] = ""
    limit: Annotated[int, Query(ge=1, le=100, description="cases on a page")] = 20
    cursor: Annotated[
        str, Query(pattern=r"^(fc-\d{8}-[0-9a-f]{10})?$", description="the last case of the page before")
    ] = ""

    def address(self, base: str, **changes: object) -> str:
        """``base`` with this query and some changes; fields without a value are left out."""
        asked = replace(self, **changes)  # type: ignore[arg-type]
        given = {f.name: getattr(asked, f.name) for f in fields(asked) if getattr(asked, f.name) != f.default}
        return f"{base}?{urlencode(given)}" if given else base

    @property
    def filtered(self) -> bool:
        """Whether some cases are left out."""
        return any(getattr(self, f.name) for f in fields(self) if f.name not in {"sort", "limit", "cursor"})

    def fits(self, entry: Entry, now: datetime) -> bool:
        """Whether a case is asked for."""
        case, line = entry.case, entry.line
        needs = entry.needs(now) if self.needs else ()
        text = f"{case.case_id} {case.title} {case.instance_id} {case.account_id} {case.region} {case.source} {case.requester or ''}"
        text += f" {' '.join(line.tags)}" if line else ""
        return (
            (not self.status or case.status.value == self.status)
            and (not self.severity or case.severity.upper() == self.severity)
            and (not self.account or case.account_id == self.account)
            and (not self.region or case.region == self.region)
            and (not self.age or now - case.opened_at <= AGES[self.age])
            and (not self.contained or (line is not None and line.contained == self.contained))
            and (not self.owner or (line is not None and line.owner == self.owner))
            and (not self.playbook or (line is not None and line.playbook == self.playbook))
            and (not self.needs or (bool(needs) if self.needs == "any" else Need(self.needs) in needs))
            and (not self.q or all(word in text.lower() for word in self.q.lower().split()))
        )


def refuse_unknown(request: Request) -> None:
    """Dependency: a parameter that the board does not know is refused, not ignored: its answer would be about other cases."""
    known = [f.name for f in fields(BoardQuery)]
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        raise Problem(
            422,
            "The address has an unknown parameter",
            "The request was not carried out",
            f"Unknown: {', '.join(name[:40] for name in unknown[:5])}. Known: {', '.join(known)}.",
            "Correct the address, or use the form of the board.",
        )


@dataclass(frozen=True)
class Selection:
    """A page of the cases that were asked for: ``total`` of all, ``matched`` of them, ``following`` the cursor of the next page."""

    entries: tuple[Entry, ...]
    total: int
    matched: int
    following: str | None
    by_status: dict[str, int]
    by_need: dict[str, int]
    choices: dict[str, tuple[str, ...]]


def select(entries: Sequence[Entry], asked: BoardQuery, now: datetime) -> Selection:
    """Filter, order and cut. Raises :class:`Problem` for a cursor whose case is not among those asked for (any more)."""
    found = sorted((entry for entry in entries if asked.fits(entry, now)), key=_order(asked.sort or "needs", now))
    start = _after(found, asked.cursor)
    page = found[start : start + asked.limit]
    needs = [entry.needs(now) for entry in entries]
    return Selection(
        entries=tuple(page),
        total=len(entries),
        matched=len(found),
        following=page[-1].case.case_id if start + asked.limit < len(found) else None,
        by_status={s.value: n for s in CaseStatus for n in [sum(e.case.status is s for e in entries)]},
        by_need={"any": sum(map(bool, needs)), **Counter(need.value for held in needs for need in held)},
        choices=_choices(entries),
    )


def _after(found: Sequence[Entry], cursor: str) -> int:
    if not cursor:
        return 0
    place = next((n for n, entry in enumerate(found, start=1) if entry.case.case_id == cursor), None)
    if place is None:
        raise Problem(
            422, "That page is gone", f"Case {cursor}, after which it began, is not among the cases asked for any more",
            "Cases changed since the page before was made.", "Begin at the first page.",
        )  # fmt: skip
    return place


def _choices(entries: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """What can be chosen in the form: the values that there are."""
    lines = [entry.line for entry in entries if entry.line]
    held = {
        "account": {e.case.account_id for e in entries},
        "region": {e.case.region for e in entries},
        "contained": {line.contained for line in lines},
        "owner": {line.owner for line in lines},
        "playbook": {line.playbook for line in lines},
    }
    return {name: tuple(sorted(values - {""}))[:200] for name, values in held.items()}


def _order(sort: str, now: datetime) -> Callable[[Entry], tuple[float, ...]]:
    def newest(entry: Entry) -> float:
        return -entry.case.opened_at.timestamp()

    def severity(entry: Entry) -> float:
        return -_RANK.get(entry.case.severity.upper(), -1)

    orders: dict[str, Callable[[Entry], tuple[float, ...]]] = {
        "newest": lambda e: (newest(e),),
        "oldest": lambda e: (-newest(e),),
        "severity": lambda e: (severity(e), newest(e)),
        "gaps": lambda e: (-(e.line.gaps if e.line else 0), newest(e)),
        "needs": lambda e: (
            _pressing(e, now),
            _deadline(e),
            severity(e) if e.case.status is CaseStatus.OPEN else 0.0,
            newest(e),
        ),
    }
    return orders[sort]


def _pressing(entry: Entry, now: datetime) -> int:
    needs = entry.needs(now)
    if needs and needs[0] in _PRESSING:
        return _PRESSING.index(needs[0])
    if entry.case.status is CaseStatus.OPEN:
        return len(_PRESSING)
    return len(_PRESSING) + (1 if needs else 2)


def _deadline(entry: Entry) -> float:
    """The question that ends first goes first."""
    return entry.line.until.timestamp() if entry.line and entry.line.asks and entry.line.until else 0.0
