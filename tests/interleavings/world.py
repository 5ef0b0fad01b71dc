"""What surrounds the intake in a story: SQS, Airflow's runs, SNS, the table; each as its service documents itself.

SQS (standard queue): delivered at least once, hidden for the visibility time-out of the last request that named its receipt, a
receipt of an older delivery may still delete. Airflow: a run id exists once; creating it again is refused. SNS: takes messages.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from forensics import case_keys
from forensics.aws.attributes import from_item
from forensics.aws.case_store import CaseStore
from forensics.aws.sns import Notifier
from forensics.case.recorder import CaseGateways, CaseRecorder
from forensics.custody.ledger import CustodyLedger
from forensics.errors import ForensicsError, ThrottledError
from forensics.intake.admission import CaseAdmission
from forensics.intake.dag_run import RunState
from forensics.intake.messages import Answer, ReceivedMessage, RunOrder
from forensics.intake.run_orders import TriggeredDags, case_orders
from forensics.models.case import Case, CaseStatus, Milestone
from forensics.models.custody import CustodyAction
from forensics.models.finding import Finding
from forensics.models.intake import (
    AdmissionOutcome,
    FindingWithoutInstance,
    IntakeRecord,
    IntakeResult,
    IntakeVerdict,
    MessageOutcome,
)
from forensics.models.plan import ResponsePlan
from forensics.models.preflight import Heartbeat
from forensics.settings import Settings
from tests.interleavings.dynamodb import DynamoInMemory
from tests.interleavings.scheduler import EPOCH, Clock, Process, Scheduler, Thread
from tests.unit.accounts import settings
from tests.unit.builders import plan
from tests.unit.signing import signing_key

DAGS = TriggeredDags(extension="forensic_extension")


def throttled(operation: str) -> ClientError:
    """What DynamoDB answers above its capacity."""
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, operation)


@dataclass
class Message:
    """A message of the queue; ``hidden_until`` is virtual time."""

    id: str
    finding: Finding
    sent_at: datetime
    hidden_until: float = 0.0
    receipts: list[str] = field(default_factory=list)
    deliveries: int = 0


class Queue:
    """SQS."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._number = itertools.count(1)
        self.messages: dict[str, Message] = {}
        self.dead: list[str] = []

    def send(self, finding: Finding) -> None:
        """A producer sends a finding."""
        name = f"m{next(self._number)}"
        now = datetime.fromtimestamp(EPOCH + self._world.scheduler.now, UTC)
        self.messages[name] = Message(name, finding, now)
        self._world.sent.append(finding)

    def receive(self, *, visibility: int, urgent_only: bool = False) -> Sequence[Mapping[str, object]]:
        """ReceiveMessage; a standard queue may also deliver what is hidden. There is no urgent queue here."""
        if urgent_only:
            return []
        self._world.asked("ReceiveMessage", ThrottledError)
        now, rng = self._world.scheduler.now, self._world.scheduler.rng
        visible = [
            m for m in self.messages.values() if m.hidden_until <= now or (m.deliveries and rng.random() < 0.003)
        ]
        taken = rng.sample(visible, min(len(visible), rng.randint(1, 10)))
        answer = []
        for message in taken:
            message.deliveries += 1
            message.hidden_until = now + visibility
            message.receipts.append(f"{message.id}/{message.deliveries}")
            sent = str(int(message.sent_at.timestamp() * 1000))
            answer.append(
                {
                    "MessageId": message.id, "ReceiptHandle": message.receipts[-1], "Body": message.id,
                    "Attributes": {"SentTimestamp": sent},
                }
            )  # fmt: skip
        self._world.answered("ReceiveMessage")
        return answer

    def hide(self, receipts: Sequence[str], *, seconds: int) -> Sequence[str]:
        """ChangeMessageVisibility of each."""
        if not receipts:
            return []
        self._world.asked("ChangeMessageVisibility", ThrottledError)
        for receipt in receipts:
            message = self.messages.get(receipt.split("/")[0])
            if message:
                message.hidden_until = self._world.scheduler.now + seconds
        self._world.answered("ChangeMessageVisibility")
        return []

    def delete(self, receipts: Sequence[str]) -> None:
        """DeleteMessageBatch."""
        self._world.asked("DeleteMessage", ThrottledError)
        for receipt in receipts:
            self.messages.pop(receipt.split("/")[0], None)
        self._world.answered("DeleteMessage")

    def quarantine(self, body: str, *, reason: str, verdict: str = "quarantine") -> None:
        """SendMessage to the dead-letter queue."""
        self._world.asked("SendMessage", ThrottledError)
        self.dead.append(body)
        self._world.answered("SendMessage")


@dataclass
class Run:
    """A run of the case DAG."""

    dag_id: str
    run_id: str
    conf: Mapping[str, str]
    state: RunState = RunState.QUEUED


class Airflow:
    """DAG runs: each id once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.runs: dict[tuple[str, str], Run] = {}
        self.created: Counter[tuple[str, str]] = Counter()
        self.deleted: Counter[tuple[str, str]] = Counter()

    def trigger(self, order: RunOrder) -> bool:
        """Create a run; False when it exists."""
        self._world.asked("TriggerDagRun", ForensicsError)
        key = (order.dag_id, order.run_id)
        new = key not in self.runs
        if new:
            self.runs[key] = Run(order.dag_id, order.run_id, order.conf)
            self.created[key] += 1
        self._world.answered("TriggerDagRun")
        return new

    def state(self, run_id: str) -> RunState:
        """What has become of a run of the case DAG."""
        self._world.asked("GetDRCount", ForensicsError)
        run = self.runs.get((DAGS.case, run_id))
        return run.state if run else RunState.MISSING


class Topic(Notifier):
    """SNS: what was taken, by case and event."""

    def __init__(self, world: World) -> None:
        self.topic_arn = "arn:aws:sns:eu-central-1:222233334444:forensics"
        self._world = world
        self.sent: Counter[tuple[str, str]] = Counter()
        self.in_doubt: set[tuple[str, str]] = set()

    def publish(self, *, case_id: str, event: str, subject: str, lines: list[str], facts: dict[str, Any]) -> None:
        """Publish; a process that dies right afterwards does not know of it."""
        self._world.asked("Publish", ThrottledError)
        told = (case_id, f"{event}: {subject} {' '.join(lines[:2])}")
        self.sent[told] += 1
        self._world.unmarked[self._world.scheduler.current] = told
        self._world.answered("Publish")


class World:
    """One story's services, and its faults: throttling, answers that are lost, processes that die."""

    def __init__(self, scheduler: Scheduler, *, throttle: float, kills: int) -> None:
        self.scheduler = scheduler
        self.clock = Clock(scheduler)
        self.throttle, self.kills_left = throttle, kills
        self.killable: set[str] = set()
        self.trouble = True
        self.produced = False
        self.queue, self.airflow, self.topic = Queue(self), Airflow(self), Topic(self)
        self.table = DynamoInMemory(
            before=lambda name: self.asked(name, lambda text: throttled(text)), after=lambda name: self.answered(name)
        )
        self.settings: Settings = settings(case_restarts=3)
        self.store = CaseStore(self.table, table="cases")  # type: ignore[arg-type] # the operations that it uses
        self.ledger = CustodyLedger(
            self.table,  # type: ignore[arg-type]
            key=signing_key(),
            store=self.store,
            actor="story",
        )
        self.sent: list[Finding] = []
        self.open_twice: set[str] = set()
        self.unmarked: dict[Thread, tuple[str, str]] = {}

    def now(self) -> datetime:
        """The wall clock."""
        return datetime.fromtimestamp(self.clock.time(), UTC)

    # ------------------------------------------------------------------ faults at requests
    def asked(self, name: str, error: Any) -> None:
        """A request leaves: others may run first, the process may die, the service may refuse."""
        self.scheduler.point(name)
        self._may_die(f"before {name}")
        if self.trouble and self.scheduler.rng.random() < self.throttle:
            self.scheduler.trace.append(f"         {name} is throttled")
            raise error(f"{name}: slow down")

    def answered(self, name: str) -> None:
        """A request was carried out; its answer may find nobody."""
        if name == "TransactWriteItems":
            self._look_for_two_open_cases()
        if name == "PutItem":
            self.unmarked.pop(self.scheduler.current, None)
        self._may_die(f"after {name}")

    def cases(self) -> list[Case]:
        """All cases, as the table has them."""
        heads = (item for item in self.table.items() if item["SK"]["S"] == case_keys.CASE)
        return [Case.model_validate(from_item(item["data"])) for item in heads]

    def _look_for_two_open_cases(self) -> None:
        heads = (item for item in self.table.items() if item["SK"]["S"] == case_keys.CASE)
        held = Counter(i["GSI1PK"]["S"] for i in heads if i["GSI2PK"]["S"] == f"STATUS#{CaseStatus.OPEN.value}")
        self.open_twice |= {place for place, count in held.items() if count > 1}

    def _may_die(self, where: str) -> None:
        process = self.scheduler.current.process
        if self.trouble and self.kills_left and process.name in self.killable and self.scheduler.rng.random() < 0.01:
            self.kills_left -= 1
            self.kill(process, where)
            self.scheduler.wait(None, 0.0)  # raises, as everywhere in a dead process

    def kill(self, process: Process, where: str) -> None:
        """kill -9."""
        self.scheduler.trace.append(f"{self.scheduler.now:8.2f} {process.name} is killed {where}")
        process.dead = True
        # what one of its threads has told and not yet written down is told again: nobody else can know of it
        self.topic.in_doubt |= {told for thread, told in self.unmarked.items() if thread.process is process}

    # ------------------------------------------------------------------ the product on these services
    def admission(self) -> CaseAdmission:
        """As a process of the intake makes it."""
        return CaseAdmission(store=self.store, ledger=self.ledger, notifier=self.topic, settings=self.settings)

    def recorder(self, case_id: str) -> CaseRecorder:
        """Of the watchdog and of runs; what they do not touch is not there."""
        missing: Any = None
        gateways = CaseGateways(
            store=self.store, evidence=missing, landing=missing, tools=missing, ledger=self.ledger, notifier=self.topic
        )
        return CaseRecorder(self.store.case(case_id), gateways, step="case_watchdog")


class Handler:
    """The engine's handler on the real admission; bodies name their message."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._admission = world.admission()
        self.failed: Counter[str] = Counter()

    def read(self, body: str, received_at: datetime) -> IntakeResult:
        """The finding of a message."""
        message = self._world.queue.messages.get(body)
        findings = (message.finding,) if message else ()
        verdict = IntakeVerdict.ACCEPT if findings else IntakeVerdict.IGNORE
        return IntakeResult(verdict=verdict, reason="story", findings=findings)

    def authenticate(self, result: IntakeResult, received: ReceivedMessage) -> IntakeResult:
        """No message of a story is a webhook."""
        return result

    def admit(self, finding: Finding, received_at: datetime) -> tuple[AdmissionOutcome, Sequence[RunOrder]]:
        """As :class:`forensics.intake.finding_handler.FindingHandler` admits."""
        admitted = self._admission.admit(finding, received_at=received_at)
        if not admitted.needs_run:
            return admitted.outcome, ()
        return admitted.outcome, case_orders(DAGS, admitted.case, finding, wants_more=admitted.wants_more)

    def answer(self, item: FindingWithoutInstance, received_at: datetime) -> Answer:
        """No finding of a story is without an instance."""
        return Answer(MessageOutcome.IGNORED, "", "")

    def start(self, order: RunOrder) -> bool:
        """Make the run exist."""
        return self._world.airflow.trigger(order)

    def has_room(self) -> bool:
        """There is room for most of the time."""
        return self._world.scheduler.rng.random() < 0.8

    def record(self, record: IntakeRecord) -> None:
        """What became of a message is a log."""
        if record.verdict is MessageOutcome.FAILED:
            self.failed[record.message_id] += 1

    def heartbeat(self, beat: Heartbeat) -> None:
        """None is sent."""

    def failures(self, message_id: str, received_at: datetime) -> int:
        """Few enough that nothing of a story goes to the dead-letter queue: that is another test's subject."""
        return min(self.failed[message_id], 2)


def begin(world: World, run: Run) -> None:
    """The first step of a case's run."""
    case_id = run.conf["case_id"]
    world.store.begin_case(case_id, run_id=run.run_id)
    world.store.milestone(case_id, Milestone.OPENED, world.now())
    world.ledger.append(case_id, CustodyAction.CASE_OPENED, once="case-opened")


def decide(world: World, run: Run) -> ResponsePlan:
    """Triage: from here on a finding that joins may ask for more."""
    made = plan()
    world.store.put(run.conf["case_id"], case_keys.PLAN, made)
    return made


def close(world: World, run: Run) -> Case:
    """The last step."""
    return world.store.end_case(run.conf["case_id"], status=CaseStatus.CLOSED, closed_at=world.now())
