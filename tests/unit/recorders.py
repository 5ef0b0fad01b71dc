"""The one fake recorder of step tests: the product's own recorder, on stores that keep everything in this process.

What the store and the ledger do here is held against the real ones on DynamoDB in ``test_recorders.py``.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from pydantic import JsonValue

from forensics import case_keys
from forensics.aws.case_lines import CaseLines
from forensics.aws.case_store import CaseStore
from forensics.aws.s3 import EvidenceStore, StoredObject
from forensics.aws.s3_landing import LandingGateway, ToolsGateway
from forensics.aws.sns import Notifier
from forensics.case.recorder import CaseGateways, CaseRecorder
from forensics.custody.chain import GENESIS, next_event, stored_form
from forensics.custody.ledger import CustodyLedger
from forensics.errors import AwsError, CaseError, EvidenceTransferError, ResourceGoneError
from forensics.models.base import Model, VersionedModel
from forensics.models.board import BoardLine
from forensics.models.case import Case, CaseStatus, StepFailure
from forensics.models.custody import CustodyAction, CustodyEvent, CustodyFacts
from tests.unit.builders import CASE_ID, case
from tests.unit.signing import signing_key


class LinesInMemory(CaseLines):
    """The board's lines of one process."""

    def __init__(self) -> None:
        self.held: dict[str, BoardLine] = {}

    def put(self, case_id: str, line: BoardLine) -> None:
        """Keep a line."""
        self.held[case_id] = line


class StoreInMemory(CaseStore):
    """The case store's items of one process, as JSON."""

    def __init__(self) -> None:
        self.table = "memory"
        self.held: dict[tuple[str, str], Any] = {}
        self.leases: dict[tuple[str, str], tuple[str, datetime]] = {}
        self.locks: set[str] = set()
        self.lines = LinesInMemory()

    def data(self, case_id: str, sk: str) -> JsonValue:
        """One item of a case."""
        return self.held.get((case_id, sk))

    def several(self, case_id: str, sks: Sequence[str]) -> dict[str, JsonValue]:
        """Items of a case that exist."""
        return {sk: data for sk in sks if (data := self.data(case_id, sk)) is not None}

    def has(self, case_id: str, sk: str) -> bool:
        """Whether an item exists."""
        return (case_id, sk) in self.held

    def put(self, case_id: str, sk: str, value: Model) -> None:
        """Write an item."""
        self.held[case_id, sk] = json.loads(value.model_dump_json(by_alias=True))

    def swap(self, case_id: str, sk: str, value: VersionedModel) -> bool:
        """Write an item whose version follows the one that is held."""
        held = self.held.get((case_id, sk))
        if value.version != (held or {}).get("version", 0) + 1:
            return False
        self.put(case_id, sk, value)
        return True

    def put_once(self, case_id: str, sk: str, value: Model | dict[str, Any]) -> bool:
        """Write an item only if it does not exist."""
        if self.has(case_id, sk):
            return False
        data = value.model_dump(mode="json", by_alias=True) if isinstance(value, Model) else value
        self.held[case_id, sk] = json.loads(json.dumps(data))
        return True

    def update_case(self, case_id: str, **changes: Any) -> Case:
        """Change fields of the head record."""
        changed = Case.model_validate({**self.case(case_id).model_dump(), **changes})
        self.put(case_id, case_keys.CASE, changed)
        return changed

    def begin_case(self, case_id: str, *, run_id: str) -> Case:
        """A run has the case, and the case its instance."""
        self.locks.add(case_id)
        return self.update_case(case_id, run_id=run_id, status=CaseStatus.OPEN)

    def end_case(self, case_id: str, *, status: CaseStatus, **changes: Any) -> Case:
        """The case has ended and holds its instance no more."""
        self.locks.discard(case_id)
        return self.update_case(case_id, status=status, **changes)

    def lease(
        self, case_id: str, name: str, *, holder: str, seconds: int, now: datetime | None = None, instead_of: str | None = None
    ) -> bool:  # fmt: skip
        """Take or renew a lease."""
        now, known = now or datetime.now(UTC), self.leases.get((case_id, name))
        if known and known[0] not in (holder, instead_of) and known[1] > now:
            return False
        self.leases[case_id, name] = (holder, now + timedelta(seconds=seconds))
        return True

    def lease_holder(self, case_id: str, name: str) -> str | None:
        """Who has a lease."""
        return self.leases.get((case_id, name), (None,))[0]

    def release_lease(self, case_id: str, name: str, *, holder: str) -> None:
        """Give a lease back."""
        if self.leases.get((case_id, name), ("",))[0] == holder:
            del self.leases[case_id, name]

    def items(self, case_id: str, prefix: str = "", *, page_size: int | None = None) -> Iterator[tuple[str, Any]]:
        """Items by sort key."""
        yield from sorted(
            (sk, data) for (owner, sk), data in self.held.items() if owner == case_id and sk[: len(prefix)] == prefix
        )

    def remove(self, case_id: str, sk: str) -> None:
        """Delete an item."""
        self.held.pop((case_id, sk), None)

    def clear_failure(self, case_id: str, step: str) -> None:
        """Forget a step's failure."""
        self.held.pop((case_id, f"{case_keys.FAILURE}{step}"), None)

    def failures(self, case_id: str = CASE_ID) -> dict[str, StepFailure]:
        """The failures on record, by step."""
        found = (StepFailure.model_validate(data) for _, data in self.items(case_id, case_keys.FAILURE))
        return {failure.step: failure for failure in found}


class LedgerInMemory(CustodyLedger):
    """A chain of events by the product's own rules; its key is one of this process."""

    def __init__(self, store: StoreInMemory) -> None:
        self.key = signing_key()
        self._store = store
        self._actor = "test"
        self._once: set[str] = set()
        self.signed: list[str] = []
        self._heads: list[tuple[tuple[int, str], str]] = []

    def head(self, case_id: str) -> tuple[int, str]:
        """Number and digest of the newest event."""
        events = self.events(case_id)
        return (events[-1].seq, events[-1].digest) if events else (0, GENESIS)

    def append(
        self,
        case_id: str,
        action: CustodyAction,
        *,
        evidence_id: str | None = None,
        detail: dict[str, Any] | None = None,
        facts: CustodyFacts | None = None,
        once: str | None = None,
    ) -> None:
        """Append an event."""
        if once and once in self._once:
            return
        seq, previous = self.head(case_id)
        event = next_event(
            case_id=case_id,
            seq=seq + 1,
            previous=previous,
            action=action,
            actor=self._actor,
            at=datetime.now(UTC),
            evidence_id=evidence_id,
            detail=detail,
            facts=facts,
        )
        self._store.put_once(case_id, f"{case_keys.CUSTODY_EVENT}{event.seq:08d}", stored_form(event))
        if once:
            self._once.add(once)

    def sign_head(self, case_id: str, *, phase: str, evidence: EvidenceStore) -> dict[str, str]:
        """Remember that the head was signed; one that was signed for the phase already is not signed again."""
        mark = (self.head(case_id), phase)
        if mark not in self._heads:
            self._heads.append(mark)
            self.signed.append(phase)
        return {"phase": phase}

    def actions(self, case_id: str = CASE_ID) -> list[CustodyAction]:
        """What happened, in order."""
        return [event.action for event in self.events(case_id)]

    def last(self, action: CustodyAction, case_id: str = CASE_ID) -> CustodyEvent:
        """The newest event of an action."""
        return [event for event in self.events(case_id) if event.action is action][-1]


class EvidenceInMemory(EvidenceStore):
    """Create-only objects."""

    def __init__(self) -> None:
        self.bucket = "evidence"
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> StoredObject:
        """Write one object; other bytes under a key that exists are an error."""
        if self.objects.setdefault(key, body) != body:
            msg = f"{self.uri(key)} exists already with other content"
            raise EvidenceTransferError(msg)
        return StoredObject(
            uri=self.uri(key),
            bucket=self.bucket,
            key=key,
            version_id="v1",
            sha256=hashlib.sha256(body).hexdigest(),
            size_bytes=len(body),
            lock_mode="GOVERNANCE",
            locked_until=datetime(2027, 11, 24, tzinfo=UTC),
        )

    def put_first(
        self, key: str, body: bytes, *, content_type: str = "application/octet-stream"
    ) -> tuple[StoredObject, bytes]:
        """Write one object unless it is there."""
        kept = self.objects.setdefault(key, body)
        return self.put(key, kept), kept

    def adopt(self, key: str, *, limit: int = 1 << 26) -> tuple[StoredObject, bytes]:
        """What is stored."""
        if key not in self.objects:
            raise ResourceGoneError(f"{key} is not there")
        return self.put(key, self.objects[key]), self.objects[key]

    def found(self, key: str) -> StoredObject | None:
        """What is stored, or None."""
        return self.put(key, self.objects[key]) if key in self.objects else None

    def put_stream(
        self,
        key: str,
        chunks: Iterator[bytes],
        *,
        on_chunk: Callable[[bytes], object] | None = None,
        adopt: bool = False,
    ) -> StoredObject:
        """Write what passes."""
        kept = []
        for chunk in chunks:
            kept.append(chunk)
            if on_chunk:
                on_chunk(chunk)
        body = b"".join(kept)
        return self.put(key, self.objects.setdefault(key, body) if adopt else body)

    def stream(self, key: str, *, chunk: int = 1 << 20) -> Iterator[bytes]:
        """The object's bytes."""
        if key not in self.objects:
            raise ResourceGoneError(f"{key} is not there")
        yield self.objects[key]

    def read_range(self, key: str, *, offset: int, size: int) -> bytes:
        """Some of the object's bytes."""
        return self.objects[key][offset : offset + size]

    def get_url(self, key: str) -> str:
        """A URL that names the key."""
        return f"https://evidence.invalid/{key}"

    def iter_uris(self, prefix: str) -> Iterator[str]:
        """URIs below a prefix."""
        yield from sorted(self.uri(key) for key in self.objects if key.startswith(prefix))


class LandingInMemory(LandingGateway):
    """Objects and uploads of the landing bucket; tests put what a host would have sent."""

    def __init__(self) -> None:
        self.bucket, self.host = "landing", "landing.invalid"
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, int]] = {}
        self.revoked: list[str] = []
        self.erased: list[str] = []
        self.refusal: AwsError | None = None
        self.aborted: list[str] = []
        self.life = 10**9

    def url_life(self, wanted: int) -> int:
        """Until the credentials that sign URLs end."""
        return min(wanted, self.life)

    def dual_stack(self) -> Self:
        """The same objects under another host name."""
        other = copy.copy(self)
        other.host = "landing.dualstack.invalid"
        return other

    def start_upload(self, key: str) -> str:
        """Begin an upload."""
        self.uploads[key] = {}
        return f"upload-of-{key}"

    def part_urls(self, key: str, *, upload_id: str, count: int, first: int = 1, seconds: int = 3600) -> list[str]:
        """URLs that name the parts."""
        return [f"https://{self.host}/{key}?part={n}" for n in range(first, first + count)]

    def address(self, key: str) -> str:
        """Where an object is."""
        return f"https://landing.example/{key}"

    def put_url(self, key: str, *, seconds: int = 3600) -> str:
        """A URL that names the key."""
        return f"https://{self.host}/{key}"

    def publish(self, key: str, *, text: str, seconds: int = 3600, again: bool = False) -> str:
        """Write a manifest."""
        self.objects[key] = text.encode()
        return self.put_url(key)

    def revoke(self, prefix: str) -> None:
        """Remove the manifest, or refuse to."""
        if self.refusal:
            raise self.refusal
        self.revoked.append(prefix)

    def erase(self, prefix: str) -> None:
        """Remove the manifest with all versions, or refuse to."""
        if self.refusal:
            raise self.refusal
        self.objects.pop(f"{prefix}/manifest.txt", None)
        self.erased.append(prefix)

    def part_sizes(self, key: str, *, upload_id: str) -> dict[int, int]:
        """What has landed."""
        return self.uploads.get(key, {})

    def complete_upload(self, key: str, *, upload_id: str, limit: int) -> int:
        """The size of what landed; ``uploads`` may say more than ``objects`` hold, as where parts are huge."""
        return self._within(key, max(len(self.objects[key]), sum(self.uploads.get(key, {}).values())), limit)

    def abort_upload(self, key: str, *, upload_id: str) -> None:
        """Drop an upload."""
        self.aborted.append(key)

    def size(self, key: str) -> int | None:
        """Bytes of an object, or None."""
        return len(self.objects[key]) if key in self.objects else None

    def stream(self, key: str, *, chunk: int = 1 << 20) -> Iterator[bytes]:
        """The object's bytes."""
        if key not in self.objects:
            raise ResourceGoneError(f"{key} is not there")
        yield self.objects[key]

    def read(self, key: str, *, limit: int) -> bytes:
        """The object's bytes."""
        return b"".join(self.stream(key))


class ToolsInMemory(ToolsGateway):
    """URLs of tools."""

    def __init__(self) -> None:
        self.bucket, self.host = "tools", "tools.invalid"

    def dual_stack(self) -> Self:
        """The same tools under another host name."""
        other = copy.copy(self)
        other.host = "tools.dualstack.invalid"
        return other

    def get_url(self, key: str) -> str:
        """A URL that names the key."""
        return f"https://{self.host}/{key}"


@dataclass
class Mail:
    """One message that people got."""

    event: str
    subject: str
    lines: list[str]
    facts: dict[str, Any]


class Mailbox(Notifier):
    """Keeps what is published."""

    def __init__(self) -> None:
        self.topic_arn = "arn:aws:sns:eu-central-1:222233334444:forensics"
        self.mail: list[Mail] = []

    def publish(self, *, case_id: str, event: str, subject: str, lines: list[str], facts: dict[str, Any]) -> None:
        """Keep one message."""
        self.mail.append(Mail(event, subject, lines, facts))


class FakeRecorder(CaseRecorder):
    """A recorder of one open case; everything that it wrote can be looked at.

    ``store``, ``ledger``, ``evidence_store``, ``landing`` and ``mailbox`` are what it writes to.
    """

    def __init__(self, opened: Case | None = None, *, step: str = "step") -> None:
        self.store = StoreInMemory()
        self.ledger = LedgerInMemory(self.store)
        self.evidence_store = EvidenceInMemory()
        self.landing = LandingInMemory()
        self.mailbox = Mailbox()
        opened = opened or case()
        self.store.put(opened.case_id, case_keys.CASE, opened)
        gateways = CaseGateways(
            store=self.store,
            evidence=self.evidence_store,
            landing=self.landing,
            tools=ToolsInMemory(),
            ledger=self.ledger,
            notifier=self.mailbox,
        )
        super().__init__(opened, gateways, step=step)

    @property
    def notes(self) -> list[str]:
        """The timeline's lines, in the order of time."""
        return [str(data["what"]) for _, data in self.store.items(self.case_id, case_keys.TIMELINE)]

    @property
    def subjects(self) -> list[str]:
        """The subjects of what people got."""
        return [mail.subject for mail in self.mailbox.mail]

    def case_now(self) -> Case:
        """The head record as it is now; raises :class:`CaseError` when it is gone."""
        found = self.store.case(self.case_id)
        if not found:
            raise CaseError(f"{self.case_id} is gone")
        return found


@dataclass
class TaskInstance:
    """What operators read of their task instance."""

    try_number: int = 1
    max_tries: int = 2
    task_id: str = "step"
    states: dict[str, str] = field(default_factory=dict)
    pushed: dict[str, object] = field(default_factory=dict)

    def xcom_push(self, key: str, value: object) -> None:
        """Keep a value."""
        self.pushed[key] = value

    def get_task_states(
        self, *, dag_id: str, run_ids: list[str], task_ids: list[str] | None = None
    ) -> dict[str, dict[str, str]]:
        """States of the run's tasks."""
        return dict.fromkeys(run_ids, self.states)


def context(try_number: int = 1, *, retries: int = 2, **more: Any) -> Any:
    """A task's context."""
    return {"ti": TaskInstance(try_number, retries), **more}
