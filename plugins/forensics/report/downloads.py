"""What of a case's stored objects can be handed to a person: the report with its exports, and what the tools made. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from forensics.models.case import CaseView
from forensics.naming import case_prefix
from forensics.report.sections import EXPORTS

# Evidence itself (images of memory, blocks of disks) and bundles are no business of a web page: docs/custody.md has the way.
PATH_FORM = re.compile(
    r"(report|artifacts)/[A-Za-z0-9_=+@:,-][A-Za-z0-9._=+@:,-]*(/[A-Za-z0-9_=+@:,-][A-Za-z0-9._=+@:,-]*){0,8}"
)
LONGEST_PATH = 500
ABOUT = {
    "report.html": "the report, as it was stored: one page, prints",
    "report.json": "the same for programs",
    **EXPORTS,
}


class OfferKind(StrEnum):
    """Which of the case's folders an object is in."""

    REPORT = "report"
    ARTIFACT = "artifacts"


@dataclass(frozen=True)
class Offer:
    """An object that can be downloaded; ``path`` is below the case's prefix, ``newest``: of the newest report."""

    path: str
    kind: OfferKind
    about: str
    newest: bool = False


def offer_kind(path: str) -> OfferKind | None:
    """The kind of an object by its path; None for what is not offered."""
    if len(path) > LONGEST_PATH or not PATH_FORM.fullmatch(path):
        return None
    return OfferKind(path.partition("/")[0])


def offers(view: CaseView) -> list[Offer]:
    """The newest report with its exports first, then what the tools made, then earlier reports."""
    prefix = f"/{case_prefix(view.case.case_id)}"
    paths = sorted(path for uri in view.objects for path in [uri.partition(prefix)[2]] if offer_kind(path))
    reports = [path for path in paths if offer_kind(path) is OfferKind.REPORT]
    newest = reports[-1].rpartition("/")[0] + "/" if reports else None
    made = [_offer(path, newest) for path in paths]
    return sorted(made, key=lambda offer: (not offer.newest, offer.kind is OfferKind.REPORT, offer.path))


def _offer(path: str, newest: str | None) -> Offer:
    name = path.rpartition("/")[2]
    kind = OfferKind(path.partition("/")[0])
    return Offer(
        path, kind, ABOUT.get(name, "") if kind is OfferKind.REPORT else "", bool(newest and path.startswith(newest))
    )
