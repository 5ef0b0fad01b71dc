"""CloudTrail Lake as a source of a case's CloudTrail records: one query for what is followed at first, one for what each pass adds.

A query takes minutes, so the step waits for it in the triggerer (:class:`LakeWait`) and begins again afterwards: which queries were
started, on which store and for which window, is an item of the case. Results stay readable for seven days, so a later try reads them
again and starts nothing anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from forensics import case_keys
from forensics.aws.cloudtrail_lake import DataStore, LakeGateway, LakeState
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.case.turns import turn
from forensics.cloud_evidence.lake_query import statements
from forensics.cloud_evidence.log_files import Budget
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.cloud_evidence.trail_filter import SelectOrder
from forensics.cloud_evidence.trail_selection import LogObject
from forensics.errors import AwsError, RecordSourceError, ThrottledError
from forensics.models.base import Utc, format_utc
from forensics.models.outside import Outside
from forensics.settings import Settings, names

GIB = 1024**3
# A query may run for an hour (user guide, *View query results*); one that AWS forgets is ended then.
QUERY_SECONDS = 3900
# Ten queries run at once in an account: how long to wait for one of them to end, and for how long in all.
SLOT_SECONDS, SLOT_PATIENCE = 60, 1800
_MOST_STORES = 10
LATE = "CloudTrail delivers within minutes: of the last calls before {at} some may be missing"


class LakeQuery(Outside):
    """A query that was started, by the SHA-256 of its statement."""

    statement_sha256: str
    query_id: str
    started: Utc


class LakeRun(Outside):
    """What one collection asks of Lake. ``crowded``: since when ten other queries leave it no room; ``failed``: why it asks no more."""

    store: str = ""
    notes: tuple[str, ...] = ()
    begin: Utc
    end: Utc
    queries: tuple[LakeQuery, ...] = ()
    crowded: Utc | None = None
    failed: str = ""


class LakeWait(Exception):
    """No failure: the step waits until a time, and until queries of a store have ended or have scanned too much."""

    def __init__(
        self,
        *,
        region: str,
        store: str = "",
        query_ids: Iterable[str] = (),
        not_before: float = 0.0,
        most_bytes: int = 0,
    ) -> None:
        super().__init__("CloudTrail Lake is at work")
        self.region = region
        self.store = store
        self.query_ids = list(query_ids)
        self.not_before = not_before
        self.most_bytes = most_bytes


@dataclass
class LakeSource:
    """The results of a store's queries. ``stated`` has each query for the list of sources."""

    gateway: LakeGateway
    book: LakeBook
    budget: Budget
    most_bytes: int
    kind: str = "lake"
    gaps: list[str] = field(default_factory=list)
    stated: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def run(self) -> LakeRun:
        """What this collection asks."""
        return self.book.run

    def objects(self, order: SelectOrder) -> Iterable[LogObject]:
        """Pages of results for what an order follows; each page is an object.

        Raises :class:`LakeWait` while they are not there, :class:`RecordSourceError` when there will be none of the first pass.
        """
        first = order.known is None
        wanted = statements(
            self.run.store, order.followed, account_id=order.account_id, begin=self.run.begin, end=self.run.end, blinding=first
        )  # fmt: skip
        try:
            readable = [i for i in map(self._readable, self._states(wanted)) if i]
        except (AwsError, RecordSourceError) as error:
            if first:
                raise RecordSourceError(str(error)) from error
            self.gaps.append(f"what the first records led to was not asked of {self.run.store}: {error}"[:400])
            return ()
        return (page for query_id in readable for page in self._results(query_id, first=first))

    def _states(self, wanted: list[str]) -> list[LakeState]:
        """How each query stands; those that were not asked are started. Raises :class:`LakeWait` until all have ended."""
        store, states, full = self.run.store, [], False
        before = sum(int(str(s["scanned"])) for s in self.stated.values())
        for statement in wanted:
            known = self.book.query(statement)
            if known is None and before >= self.most_bytes:
                raise RecordSourceError(f"its queries have scanned {before / GIB:.1f} GiB (setting record_lake_gib)")
            try:
                known = known or self.book.start(self.gateway, statement)
            except ThrottledError:
                if self.book.crowded_seconds() > SLOT_PATIENCE:
                    raise
                full = True
                break
            state = self.gateway.state(known.query_id, store=store)
            states.append(state)
            self.stated[known.query_id] = {
                "store": store, "statement": statement, "status": state.status, "scanned": state.scanned, "message": state.message,
                "started": format_utc(known.started),
            }  # fmt: skip
        running = [s.query_id for s in states if not s.ended]
        if running or full:
            slot = datetime.now(UTC).timestamp() + SLOT_SECONDS if full else 0.0
            most = max(1, self.most_bytes - before)
            raise LakeWait(region=self.gateway.region, store=store, query_ids=running, not_before=slot, most_bytes=most)
        return states

    def _readable(self, state: LakeState) -> str:
        """The id of a query that has results. Raises :class:`RecordSourceError` for one that has none."""
        if state.status == "FAILED":
            raise RecordSourceError(f"query {state.query_id} failed: {state.message or 'AWS gives no reason'}")
        if state.status == "CANCELLED":
            scanned = f"{state.scanned / GIB:.2f} GiB (setting record_lake_gib)"
            raise RecordSourceError(f"query {state.query_id} was cancelled when it had scanned {scanned}")
        if state.status == "TIMED_OUT":
            self.gaps.append(f"query {state.query_id} ran for an hour: its results are those until then")
        return state.query_id

    def _results(self, query_id: str, *, first: bool) -> Iterator[LogObject]:
        rows = total = 0
        try:
            for number, page in enumerate(self.gateway.pages(query_id, store=self.run.store)):
                body = b'{"Records":[' + ",".join(page.records).encode() + b"]}"
                total = page.total
                if not self.budget.take_page(len(body)):
                    break
                rows += len(page.records)
                yield LogObject(f"lake:{query_id}#{number}", body, gzip=False, source={"query": query_id})
        except AwsError as error:
            if first and not rows:
                raise RecordSourceError(str(error)) from error
            self.gaps.append(str(error)[:400])
        self.stated[query_id] |= {"rows": rows, "of": total}
        if rows < total:
            self.gaps.append(f"{total - rows} of {total} rows of query {query_id} were not read or have no record")


class LakeBook:
    """What a collection has asked so far, in the case."""

    def __init__(self, recorder: CaseRecorder, item: str, window: RecordWindow) -> None:
        self._recorder = recorder
        self._key = f"{case_keys.LAKE}{item}#{format_utc(begin(recorder).at)}"
        self.run = recorder.get(self._key, LakeRun) or LakeRun(begin=window.begin, end=window.end)

    def keep(self, **more: object) -> None:
        """Write what is known now."""
        self.run = self.run.model_copy(update=more)
        self._recorder.put(self._key, self.run)

    def crowded_seconds(self) -> float:
        """For how long other queries have left no room for one of this collection."""
        now = datetime.now(UTC)
        if self.run.crowded is None:
            self.keep(crowded=now)
        return (now - (self.run.crowded or now)).total_seconds()

    def query(self, statement: str) -> LakeQuery | None:
        """The query that asks this, if it was started."""
        digest = hashlib.sha256(statement.encode()).hexdigest()
        return next((q for q in self.run.queries if q.statement_sha256 == digest), None)

    def start(self, gateway: LakeGateway, statement: str) -> LakeQuery:
        """Start a query and write it down, as one turn: a twin of this worker finds it."""
        with turn(self._recorder, "lake"):
            self.run = self._recorder.get(self._key, LakeRun) or self.run
            known = self.query(statement)
            if known is None:
                digest = hashlib.sha256(statement.encode()).hexdigest()
                query_id = gateway.start(statement, store=self.run.store)
                known = LakeQuery(statement_sha256=digest, query_id=query_id, started=datetime.now(UTC))
                self.keep(queries=(*self.run.queries, known), crowded=None)
        return known


@dataclass(frozen=True)
class LakeChoice:
    """A source, or none; ``why`` says what was left out, ``notes`` what a reader should know."""

    source: LakeSource | None
    why: tuple[str, ...] = ()


def lake_source(
    recorder: CaseRecorder,
    settings: Settings,
    *,
    item: str,
    window: RecordWindow,
    budget: Budget,
    gateway: Callable[[str], LakeGateway],
) -> LakeChoice:
    """The event data store that a case's records are asked of: one that a setting names, or else one of the target's account.

    ``gateway`` opens Lake in a Region. Raises :class:`LakeWait` until what was called before the case was opened has had time to arrive.
    """
    if not settings.record_lake_gib:
        return LakeChoice(None, ("CloudTrail Lake is not asked (setting record_lake_gib)",))
    book = LakeBook(recorder, item, window)
    if book.run.failed:
        return LakeChoice(None, (*book.run.notes, book.run.failed))
    if not book.run.store:
        chosen, said = _chosen(recorder, settings, window, gateway)
        if chosen is None:
            return LakeChoice(None, tuple(said))
        ready = recorder.case.opened_at.timestamp() + settings.record_wait_seconds
        if datetime.now(UTC).timestamp() < ready:
            raise LakeWait(region=_region(chosen.arn), not_before=ready)
        notes = (*said, *_notes(chosen, window), LATE.format(at=f"{window.end:%Y-%m-%d %H:%MZ}"))
        book.keep(store=chosen.arn, notes=notes, begin=window.begin, end=window.end)
    source = LakeSource(gateway(_region(book.run.store)), book, budget, settings.record_lake_gib * GIB)
    return LakeChoice(source, book.run.notes)


def _chosen(
    recorder: CaseRecorder, settings: Settings, window: RecordWindow, gateway: Callable[[str], LakeGateway]
) -> tuple[DataStore | None, list[str]]:
    """The first store that takes calls in, those of all Regions first; and why the others are not asked."""
    case, said = recorder.case, []
    arns = list(names(settings.record_data_stores))
    if not arns:
        for region in dict.fromkeys((case.region, settings.region)):
            try:
                arns += gateway(region).stores()[:_MOST_STORES]
            except AwsError as error:
                said.append(f"whether CloudTrail Lake has records in {region} is not known: {error}"[:400])
    usable = []
    for arn in arns:
        try:
            store = gateway(_region(arn)).store(arn)
        except AwsError as error:
            said.append(f"event data store {arn} cannot be asked: {error}"[:400])
            continue
        if problem := store.problem or _elsewhere(store, case.region):
            said.append(problem)
        else:
            usable.append(store)
    usable.sort(key=lambda s: ("Management" not in s.categories, not s.everywhere, s.arn))
    return (usable[0] if usable else None), said


def _elsewhere(store: DataStore, region: str) -> str:
    where = _region(store.arn)
    return "" if store.everywhere or where == region else f"event data store {store.arn} has the calls of {where} only"


def _notes(store: DataStore, window: RecordWindow) -> list[str]:
    found = [
        f"CloudTrail's digest files prove nothing of event data store {store.arn}: its records are what AWS answered"
    ]
    if not store.everywhere:
        found.append(f"event data store {store.arn} has the calls of one Region only")
    if "Data" not in store.categories:
        found.append(f"event data store {store.arn} has no data events (reads of objects)")
    if "Management" not in store.categories:
        found.append(f"event data store {store.arn} has no management events")
    if store.created and store.created > window.begin:
        found.append(
            f"event data store {store.arn} was made on {store.created:%Y-%m-%d %H:%MZ}: earlier calls are in it only if they were copied"
        )
    return found


def _region(arn: str) -> str:
    return arn.split(":")[3]
