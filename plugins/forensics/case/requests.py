"""What a step has asked AWS to make by calls that have no client token.

CreateSnapshots and CopySnapshot make something new each time. What an earlier try made carries the case's tag, but EC2 may
not list it yet (:mod:`forensics.aws.visibility`), and the ids are lost when a worker ends before it has the answer. So each
request is recorded before it is sent, and its ids when they are known: a later try describes those ids, and waits for a
request without an answer to show before it asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import Field

from forensics import case_keys
from forensics.aws.visibility import until_found
from forensics.case.adoption import refuse
from forensics.case.recorder import CaseRecorder
from forensics.case.turns import turn
from forensics.errors import AccessDeniedError, CaseError, ResourceGoneError, ThrottledError
from forensics.models.base import Model, Utc

T = TypeVar("T")
Foreign = Callable[[T, datetime | None], str | None]
# How long a request without an answer is looked for by its tags, in seconds, before it is made again.
LISTED_WITHIN = 60.0
_LOOKS = 5


class Asked(Model):
    """Ids of everything that one request has made so far; ``open`` while the answer of the newest one is not known."""

    ids: tuple[str, ...] = ()
    open: bool = False
    at: Utc | None = Field(default=None, description="when the first request without an answer was sent")


class MadeBefore:
    """The requests of one name in one case.

    :param what: tells this request from others of the case, for instance ``snapshots``
    """

    def __init__(self, recorder: CaseRecorder, what: str) -> None:
        self._recorder = recorder
        self._key = f"{case_keys.REQUEST}{what}"
        self._what = what.partition("#")[0]

    def _asked(self) -> Asked:
        return self._recorder.get(self._key, Asked) or Asked()

    def ids(self) -> tuple[str, ...]:
        """Everything that is known to have been made, oldest first."""
        return self._asked().ids

    def settle(self) -> None:
        """Wait for a twin that is just making something; the turn of one that died in it is given back."""
        with turn(self._recorder, self._key):
            pass

    def make(self, request: Callable[[], Sequence[str]]) -> None:
        """Send a request that returns the ids of what it makes, unless a twin of this worker has sent it since this one looked.

        Raises :class:`CaseError`, which is tried again, when a twin has sent it and died before it had the answer.
        """
        with turn(self._recorder, self._key):
            before = self._asked()
            seen = self._recorder.seen_requests.get(self._key, before)
            if before == seen:
                self._make(request, before)
            elif before.open:
                msg = f"another worker has asked for {self._what} a moment ago, and its answer is not known"
                raise CaseError(msg, next_action="nothing: the step is tried again and looks for what was made")

    def _listed(self, listed: Callable[[], list[T]]) -> tuple[Asked, list[T]]:
        """The record and what AWS lists, of one time: a twin of this worker may ask meanwhile, and records it before it does."""
        self.settle()
        asked = self._asked()
        for _ in range(_LOOKS):
            marked = until_found(listed, seconds=LISTED_WITHIN) if asked.open else listed()
            before, asked = asked, self._asked()
            if asked == before:
                break
        return asked, marked

    def _make(self, request: Callable[[], Sequence[str]], before: Asked) -> None:
        at = before.at if before.open and before.at else datetime.now(UTC)
        self._recorder.put(self._key, before.model_copy(update={"open": True, "at": at}))
        try:
            ids = request()
        except (AccessDeniedError, ThrottledError, ResourceGoneError):  # refused: nothing was made
            self._recorder.put(self._key, before)
            raise
        made = Asked(ids=(*before.ids, *ids))
        self._recorder.put(self._key, made)
        self._recorder.seen_requests[self._key] = made

    def find(
        self,
        listed: Callable[[], list[T]],
        *,
        described: Callable[[str], list[T]],
        name: Callable[[T], str],
        foreign: Foreign[T],
    ) -> list[T]:
        """What was made: what is on record, and what AWS lists while a request has no answer.

        Everybody who may tag can give a thing the case's tags. So what no request of the case can have made, or what
        ``foreign`` says is another's, is refused (:mod:`forensics.case.adoption`).

        :param listed: what AWS lists by tag
        :param described: what AWS says of one id; raises :class:`ResourceGoneError` when it no longer exists
        :param name: the id of a thing
        :param foreign: why a thing is not what the request that was sent then makes; None when it is
        """
        asked, marked = self._listed(listed)
        found = []
        for thing in marked:
            known = name(thing) in asked.ids
            why = None if known else foreign(thing, asked.at) if asked.open else "no request of this case made it"
            if why is None:
                found.append(thing)
            else:
                refuse(self._recorder, what=self._what, name=name(thing), why=why)
        if asked.open and found:
            # Its answer is known now: what is tagged from here on is not of this request.
            asked = Asked(ids=tuple(dict.fromkeys([*asked.ids, *map(name, found)])))
            self._recorder.put(self._key, asked)
        self._recorder.seen_requests[self._key] = asked
        for made in asked.ids:
            if made in {name(thing) for thing in found}:
                continue
            try:
                found = [*found, *described(made)]
            except ResourceGoneError:
                self._recorder.note(f"{made} was made for this case and no longer exists")
        return found
