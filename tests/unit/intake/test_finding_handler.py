"""What is done with a finding in AWS and in Airflow, decided by its admission."""

from __future__ import annotations

from datetime import datetime

import pytest

from forensics.errors import AwsError, FindingError, ForensicsError
from forensics.intake import finding_handler
from forensics.intake.admission import Admission, CaseAdmission
from forensics.intake.finding_handler import FindingHandler, IntakeGateways
from forensics.intake.instance_resolver import InstanceResolver
from forensics.intake.intake_log import IntakeLog
from forensics.intake.messages import ReceivedMessage, RunOrder
from forensics.intake.run_orders import TriggeredDags
from forensics.intake.webhook_arrivals import WebhookArrivals
from forensics.intake.webhook_senders import WebhookSenders
from forensics.intake.without_instance_announcer import WithoutInstanceAnnouncer
from forensics.intake.write_back import FindingWriteBack, WriteBackStage
from forensics.models.case import Case
from forensics.models.finding import CustomAction, Finding
from forensics.models.intake import AdmissionOutcome, IntakeRecord, IntakeResult, IntakeVerdict, MessageOutcome
from forensics.settings import get_settings
from tests.unit.builders import CASE_ID, INSTANCE, NOW, case, finding
from tests.unit.intake.test_without_instance import item
from tests.unit.intake.test_without_instance_announcer import Origins
from tests.unit.recorders import Mailbox, StoreInMemory

pytestmark = pytest.mark.usefixtures("settings_environment")


class Store(StoreInMemory):
    """Knows which case contained an instance."""

    contained: Case | None = None

    def contained_case(self, account_id: str, region: str, instance_id: str) -> Case | None:
        assert instance_id == INSTANCE
        return self.contained


class Admitting(CaseAdmission):
    """One outcome for every finding."""

    def __init__(self, outcome: AdmissionOutcome) -> None:
        self.outcome = outcome

    def admit(self, finding: Finding, *, received_at: datetime, run_id: str | None = None) -> Admission:
        return Admission(self.outcome, case(), finding, wants_more=self.outcome.joined)


class Resolver(InstanceResolver):
    """Leaves results as they are, or cannot be asked."""

    def __init__(self, error: AwsError | None = None) -> None:
        self.error = error

    def complete(self, result: IntakeResult) -> IntakeResult:
        if self.error:
            raise self.error
        return result


class Log(IntakeLog):
    """Records by message id."""

    def __init__(self) -> None:
        self.kept: dict[str, IntakeRecord] = {}

    def write(self, record: IntakeRecord) -> None:
        self.kept[record.message_id] = record

    def read(self, message_id: str, received_at: datetime) -> IntakeRecord | None:
        return self.kept.get(message_id)


class WriteBack(FindingWriteBack):
    """Keeps what was annotated."""

    def __init__(self) -> None:
        self.annotated: list[str] = []

    def annotate(self, finding: Finding, *, text: str, stage: WriteBackStage) -> None:
        self.annotated.append(finding.key)


class NoArrivals(WebhookArrivals):
    """No webhook has come."""

    def __init__(self) -> None:
        pass


def no_senders(log: IntakeLog) -> WebhookSenders:
    """A deployment without webhooks: there is no way to a secret."""
    return WebhookSenders(lambda: pytest.fail("a secret was read"), NoArrivals(), log, secrets={})


class World:
    """A handler and what it works with."""

    def __init__(
        self, outcome: AdmissionOutcome = AdmissionOutcome.OPENED, *, resolver_error: AwsError | None = None
    ) -> None:
        self.store, self.log, self.write_back, self.notifier = Store(), Log(), WriteBack(), Mailbox()
        gateways = IntakeGateways(
            store=self.store,
            admission=Admitting(outcome),
            resolver=Resolver(resolver_error),
            log=self.log,
            announcer=WithoutInstanceAnnouncer(self.notifier, self.log, Origins(), quiet_days=7),
            senders=no_senders(self.log),
            write_back=lambda _: self.write_back,
        )
        dags = TriggeredDags(extension="forensic_extension", release="forensic_release")
        self.handler = FindingHandler(gateways, get_settings(), dags)


@pytest.mark.parametrize(
    ("outcome", "dags", "annotated"),
    [
        (AdmissionOutcome.OPENED, ["forensic_case"], 0),
        (AdmissionOutcome.EXISTS, ["forensic_case"], 0),
        (AdmissionOutcome.JOINED, ["forensic_case", "forensic_extension"], 1),
        (AdmissionOutcome.RAISED, ["forensic_case", "forensic_extension"], 1),
        (AdmissionOutcome.CLOSED, [], 0),
    ],
)
def test_each_outcome_orders_its_runs(outcome: AdmissionOutcome, dags: list[str], annotated: int) -> None:
    world = World(outcome)
    found, orders = world.handler.admit(finding(), NOW)
    assert (found, [order.dag_id for order in orders]) == (outcome, dags)
    assert len(world.write_back.annotated) == annotated


def test_a_release_is_ordered_for_the_case_that_contained_the_instance() -> None:
    world = World()
    world.store.contained = case()
    outcome, orders = world.handler.admit(finding(action=CustomAction.RELEASE), NOW)
    assert (outcome, [(o.dag_id, o.conf["case_id"]) for o in orders]) == (
        AdmissionOutcome.RELEASE,
        [("forensic_release", CASE_ID)],
    )
    world.store.contained = None
    with pytest.raises(FindingError, match="no case has contained"):
        world.handler.admit(finding(action=CustomAction.RELEASE), NOW)


@pytest.mark.parametrize(
    ("findings", "verdict"), [((finding(),), IntakeVerdict.ACCEPT), ((), IntakeVerdict.QUARANTINE)]
)
def test_a_look_up_that_fails_quarantines_only_what_has_no_instance(
    monkeypatch: pytest.MonkeyPatch, findings: tuple[Finding, ...], verdict: IntakeVerdict
) -> None:
    before = IntakeVerdict.ACCEPT if findings else IntakeVerdict.IGNORE
    read = IntakeResult(verdict=before, reason="as read", findings=findings)
    monkeypatch.setattr(finding_handler, "read_event", lambda body, **_: read)
    result = World(resolver_error=AwsError("EC2 is down")).handler.read("{}", NOW)
    assert (result.verdict, result.findings) == (verdict, findings)
    assert result.reason == "as read; its instance could not be looked up: EC2 is down"


def test_messages_are_read_by_the_deployments_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__FORENSICS__ADMINISTRATOR_ACCOUNTS", "111122223333")
    monkeypatch.setenv("AIRFLOW__FORENSICS__CONFIG_RULES", "bad-image, ssh-open")
    get_settings.cache_clear()
    seen: dict[str, object] = {}

    def read(body: str, **options: object) -> IntakeResult:
        seen.update(options, body=body)
        return IntakeResult(verdict=IntakeVerdict.IGNORE, reason="x")

    monkeypatch.setattr(finding_handler, "read_event", read)
    World().handler.read("{}", NOW)
    assert (seen["body"], seen["received_at"], seen["own_account"]) == ("{}", NOW, "222233334444")
    assert seen["administrators"] == ("111122223333",) and seen["rule_names"] == ("bad-image", "ssh-open")
    assert seen["accept_samples"] is False


def test_a_run_is_started_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def trigger(dag_id: str, *, run_id: str, conf: dict[str, str], note: str) -> bool:
        started.append(f"{dag_id}/{run_id}")
        return True

    monkeypatch.setattr(finding_handler, "trigger_run", trigger)
    handler, order = World().handler, RunOrder("forensic_case", CASE_ID, {"case_id": CASE_ID}, "", 1)
    assert [handler.start(order), handler.start(order)] == [True, False]
    assert started == [f"forensic_case/{CASE_ID}"]


@pytest.mark.parametrize(("active", "room"), [(0, True), (10_000, False), (None, False)])
def test_room_is_what_routine_runs_leaves(monkeypatch: pytest.MonkeyPatch, active: int | None, room: bool) -> None:
    asked: list[str] = []

    def count(dag_id: str) -> int:
        asked.append(dag_id)
        if active is None:
            raise ForensicsError("the API server is away")
        return active

    monkeypatch.setattr(finding_handler, "active_runs", count)
    handler = World().handler
    handler._room = (float("-inf"), True)
    assert [handler.has_room(), handler.has_room()] == [room, room]
    assert asked == ["forensic_case"], "it is asked once a second at most"


def test_a_finding_without_an_instance_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(world.log, "told_before", lambda *_, **__: False)
    monkeypatch.setattr(world.log, "told", lambda *_, **__: None)
    monkeypatch.setattr(world.log, "claim_telling", lambda *_, **__: True)
    monkeypatch.setattr(world.log, "tally", lambda *_, **__: 1)
    answer = world.handler.answer(item(), NOW)
    assert answer.outcome is MessageOutcome.ANNOUNCED and [m.event for m in world.notifier.mail] == [
        "finding_without_instance"
    ]


@pytest.mark.parametrize(("outcome", "failures"), [(MessageOutcome.FAILED, 3), (MessageOutcome.IGNORED, 0)])
def test_only_failures_count_as_tries(outcome: MessageOutcome, failures: int) -> None:
    world = World()
    assert world.handler.failures("m-1", NOW) == 0
    world.handler.record(IntakeRecord(message_id="m-1", received_at=NOW, verdict=outcome, reason="because", tries=3))
    assert world.handler.failures("m-1", NOW) == failures


def test_a_message_that_is_no_webhook_needs_no_signature() -> None:
    world = World()
    result = IntakeResult(verdict=IntakeVerdict.ACCEPT, reason="1 accepted", findings=(finding(),))
    message = ReceivedMessage(message_id="m-1", receipt="r-1", body="{}", received_at=NOW)
    assert world.handler.authenticate(result, message) is result
