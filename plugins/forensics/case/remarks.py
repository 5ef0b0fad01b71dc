"""Writes down what people say about a case: the ledger's event and the item that pages read, both or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from forensics import __version__, case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.board_line import keep_line
from forensics.custody.ledger import CustodyLedger
from forensics.errors import ForensicsError
from forensics.models.approval import Person
from forensics.models.base import Model
from forensics.models.custody import CustodyAction, CustodyEvent, CustodyFacts
from forensics.models.remarks import Assignment, Remark, RemarkKind, RemarkRequest

ACTIONS = {
    RemarkKind.VERDICT: CustodyAction.FINDING_JUDGED,
    RemarkKind.COMMENT: CustodyAction.CASE_COMMENTED,
    RemarkKind.TAGS: CustodyAction.CASE_TAGGED,
    RemarkKind.OWNER: CustodyAction.CASE_ASSIGNED,
}
# What each kind of remark says, in the words of the model's fields.
_SAYS = {
    RemarkKind.VERDICT: ("finding", "title", "verdict", "note"),
    RemarkKind.COMMENT: ("finding", "title", "note"),
    RemarkKind.TAGS: ("tags", "note"),
    RemarkKind.OWNER: ("owner", "note"),
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Author:
    """A person who says something, and by which right (Airflow's permission in words)."""

    person: Person
    right: str

    def facts(self) -> CustodyFacts:
        """Who and by what, for the ledger."""
        known = {"person": self.person.login, "person_id": self.person.id}
        return CustodyFacts(
            identity={name: value for name, value in known.items() if value},
            authority=f"Airflow's permission: {self.right}",
            time_source="clock of Airflow's API server, UTC",
            tool={"name": "ec2-forensics", "version": __version__},
        )


class Remarks:
    """What people have said of cases; ``ledger`` states each remark before anybody reads it."""

    def __init__(self, store: CaseStore, ledger: CustodyLedger) -> None:
        self._store = store
        self._ledger = ledger

    def add(
        self, case_id: str, asked: RemarkRequest, *, author: Author, title: str = "", evidence_id: str = ""
    ) -> None:
        """Write a remark down; the same order (``asked.once``) once. Raises :class:`ForensicsError`, and then nothing is written.

        ``title`` and ``evidence_id`` are those of the finding that it is about.
        """
        said = {**asked.model_dump(mode="json"), "title": title}
        self._ledger.append(
            case_id,
            ACTIONS[asked.kind],
            evidence_id=evidence_id or None,
            detail={name: said[name] for name in _SAYS[asked.kind] if said[name] or name in {"tags", "owner"}},
            facts=author.facts(),
            once=f"remark-{asked.once}" if asked.once else None,
            beside=lambda event: self._items(event, asked, author=author, title=title),
        )
        if asked.kind in {RemarkKind.OWNER, RemarkKind.TAGS}:
            self._renew_line(case_id)

    def _items(self, event: CustodyEvent, asked: RemarkRequest, *, author: Author, title: str) -> Mapping[str, Model]:
        who = str(author.person)
        said = asked.model_dump(exclude={"once"})
        remark = Remark.model_validate({**said, "title": title, "by": who, "at": event.at, "seq": event.seq})
        items: dict[str, Model] = {case_keys.remark(event.seq): remark}
        if asked.kind in {RemarkKind.OWNER, RemarkKind.TAGS}:
            before = self._store.get(event.case_id, case_keys.ASSIGNMENT, Assignment)
            kept = {"owner": before.owner, "tags": before.tags} if before else {}
            change = {"owner": asked.owner} if asked.kind is RemarkKind.OWNER else {"tags": asked.tags}
            items[case_keys.ASSIGNMENT] = Assignment.model_validate(
                {**kept, **change, "by": who, "at": event.at, "seq": event.seq}
            )
        return items

    def _renew_line(self, case_id: str) -> None:
        """The board finds the case by its new owner at once; the remark itself is written whatever comes of it."""
        try:
            keep_line(self._store, case_id)
        except (ForensicsError, ValueError) as error:
            log.warning("the board's line was not written", case_id=case_id, error=str(error))
