"""EventBridge, Security Hub, SNS and SQS of the lab: findings reach the right queue."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.lab.conftest import FORENSIC, MEMBER, REGION, SECURITY, Lab
from tests.lab.emulator.patches.test_ec2 import refused

PRODUCT = f"arn:aws:securityhub:{REGION}:{SECURITY}:product/{SECURITY}/default"


class Queue:
    """A queue and what arrived in it."""

    def __init__(self, lab: Lab, account: str = FORENSIC, *, open_: bool = True) -> None:
        self.sqs = lab.client("sqs", account)
        service = {"Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **service}] if open_ else []})
        made = self.sqs.create_queue(QueueName=f"q-{time.monotonic_ns()}", Attributes={"Policy": policy})
        self.url = made["QueueUrl"]
        wanted = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = wanted["Attributes"]["QueueArn"]

    def messages(self) -> list[dict[str, Any]]:
        found = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        return found.get("Messages", [])

    def bodies(self) -> list[Any]:
        return [json.loads(message["Body"]) for message in self.messages()]


def rule(events, pattern: dict, target: dict, bus: str = "default", **settings) -> str:
    name = f"r-{time.monotonic_ns()}"
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), EventBusName=bus, **settings)
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "1"} | target])
    return name


def put(events, source: str, detail: dict, **settings) -> dict:
    return events.put_events(Entries=[{"Source": source, "DetailType": "t", "Detail": json.dumps(detail)} | settings])


@pytest.fixture
def source() -> str:
    return f"test.{time.monotonic_ns()}"


FINDINGS = {"findings": [{"Severity": {"Label": "LOW"}}, {"Severity": {"Label": "HIGH"}, "Types": ["a", "b"]}]}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"findings": {"Severity": {"Label": ["HIGH"]}}}, True),
        ({"findings": {"Severity": {"Label": ["CRITICAL"]}}}, False),
        ({"findings": {"Types": [{"prefix": "b"}]}}, True),
        ({"findings": {"Severity": {"Label": [{"anything-but": ["LOW", "HIGH"]}]}}}, False),
        ({"$or": [{"findings": {"Types": ["z"]}}, {"findings": {"Types": ["a"]}}]}, True),
        ({"missing": [{"exists": False}]}, True),
    ],
)
def test_patterns_enter_arrays_of_objects(lab: Lab, source: str, pattern: dict, expected: bool) -> None:
    events = lab.client("events")
    event = {
        "id": "1",
        "source": source,
        "detail-type": "t",
        "account": FORENSIC,
        "time": "2026-01-01T00:00:00Z",
    }
    event |= {"region": REGION, "resources": [], "detail": FINDINGS}
    answer = events.test_event_pattern(EventPattern=json.dumps({"detail": pattern}), Event=json.dumps(event))
    assert answer["Result"] is expected


def test_a_delivered_event_has_its_whole_envelope(lab: Lab, source: str) -> None:
    events, queue = lab.client("events"), Queue(lab)
    rule(
        events,
        {"source": [source], "detail": {"findings": {"Severity": {"Label": ["HIGH"]}}}},
        {"Arn": queue.arn},
    )
    put(events, source, FINDINGS, Resources=["arn:x"])
    (event,) = queue.bodies()
    assert (event["account"], event["region"], event["resources"]) == (FORENSIC, REGION, ["arn:x"])
    assert event["detail"] == FINDINGS and event["time"].endswith("Z") and "ingestion-time" not in event


def test_a_disabled_rule_delivers_nothing(lab: Lab, source: str) -> None:
    events, queue = lab.client("events"), Queue(lab)
    rule(events, {"source": [source]}, {"Arn": queue.arn}, State="DISABLED")
    put(events, source, {"a": 1})
    assert queue.messages() == []


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"Input": '{"fixed": true}'}, {"fixed": True}),
        ({"InputPath": "$.detail.inner"}, {"n": 7}),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {
                        "name": "$.detail.name",
                        "list": "$.detail.list",
                        "n": "$.detail.inner.n",
                    },
                    "InputTemplate": '{"a": <name>, "b": "is <name>", "c": <list>, "d": <n>, "e": "<n>"}',
                }
            },
            {"a": 'x"y', "b": 'is x"y', "c": [1, 2], "d": 7, "e": "7"},
        ),
    ],
)
def test_inputs_are_shaped(lab: Lab, source: str, shape: dict, expected: dict) -> None:
    events, queue = lab.client("events"), Queue(lab)
    rule(events, {"source": [source]}, {"Arn": queue.arn} | shape)
    put(events, source, {"name": 'x"y', "list": [1, 2], "inner": {"n": 7}})
    assert queue.bodies() == [expected]


def test_a_failing_target_goes_to_its_dead_letters_and_put_events_succeeds(lab: Lab, source: str) -> None:
    events, dead = lab.client("events"), Queue(lab)
    target = {"Arn": f"arn:aws:sqs:{REGION}:{FORENSIC}:missing", "DeadLetterConfig": {"Arn": dead.arn}}
    rule(events, {"source": [source]}, target)
    assert put(events, source, {"a": 1})["FailedEntryCount"] == 0
    (message,) = dead.messages()
    assert json.loads(message["Body"])["detail"] == {"a": 1}
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"].endswith(":missing")


def test_a_bus_of_another_account_needs_a_permission(lab: Lab, source: str) -> None:
    forensic, security, queue, dead = (
        lab.client("events"),
        lab.client("events", SECURITY),
        Queue(lab),
        Queue(lab, SECURITY),
    )
    bus = f"bus-{time.monotonic_ns()}"
    arn = forensic.create_event_bus(Name=bus)["EventBusArn"]
    rule(forensic, {"source": [source]}, {"Arn": queue.arn}, bus=bus)
    rule(security, {"source": [source]}, {"Arn": arn, "DeadLetterConfig": {"Arn": dead.arn}})
    put(security, source, {"n": 1})
    assert queue.messages() == [] and len(dead.messages()) == 1
    forensic.put_permission(EventBusName=bus, StatementId="s", Action="events:PutEvents", Principal=SECURITY)
    put(security, source, {"n": 2}, Resources=["arn:y"])
    (event,) = queue.bodies()
    assert (event["account"], event["detail"], event["resources"]) == (SECURITY, {"n": 2}, ["arn:y"])


def finding(identity: str, label: str = "HIGH") -> dict[str, Any]:
    return {
        "SchemaVersion": "2018-10-08",
        "Id": identity,
        "ProductArn": PRODUCT,
        "GeneratorId": "g",
        "AwsAccountId": MEMBER,
        "Types": ["TTPs/Discovery"],
        "CreatedAt": "2026-01-01T00:00:00Z",
        "UpdatedAt": "2026-01-01T00:00:00Z",
        "Severity": {"Label": label},
        "Title": "t",
        "Description": "d",
        "Resources": [
            {"Type": "AwsEc2Instance", "Id": f"arn:aws:ec2:{REGION}:{MEMBER}:instance/i-1", "Region": REGION}
        ],
    }


@pytest.fixture
def hub(lab: Lab):
    client = lab.client("securityhub", SECURITY)
    client.enable_security_hub()
    return client


def test_an_account_without_security_hub_cannot_import(lab: Lab) -> None:
    with refused("InvalidAccessException"):
        lab.client("securityhub", "999900001111").batch_import_findings(Findings=[finding("f")])


def test_an_import_becomes_an_event(lab: Lab, hub) -> None:
    queue, identity = Queue(lab, SECURITY), f"f-{time.monotonic_ns()}"
    pattern = {"source": ["aws.securityhub"], "detail": {"findings": {"Id": [identity]}}}
    rule(lab.client("events", SECURITY), pattern, {"Arn": queue.arn})
    assert hub.batch_import_findings(Findings=[finding(identity)])["SuccessCount"] == 1
    (event,) = queue.bodies()
    assert event["detail-type"] == "Security Hub Findings - Imported"
    assert event["resources"] == [f"{PRODUCT}/{identity}"]
    assert event["detail"]["findings"][0]["Workflow"] == {"Status": "NEW"}


def test_filters_choose_findings(hub) -> None:
    mark = str(time.monotonic_ns())
    hub.batch_import_findings(Findings=[finding(f"{mark}-low", "LOW"), finding(f"{mark}-high", "HIGH")])
    by_id = [{"Value": mark, "Comparison": "PREFIX"}]

    def ids(**filters: Any) -> list[str]:
        found = hub.get_findings(Filters={"Id": by_id} | filters, SortCriteria=[{"Field": "Id", "SortOrder": "asc"}])
        return [item["Id"].removeprefix(f"{mark}-") for item in found["Findings"]]

    assert ids() == ["high", "low"]
    assert ids(SeverityLabel=[{"Value": "LOW", "Comparison": "EQUALS"}]) == ["low"]
    assert ids(SeverityLabel=[{"Value": "LOW", "Comparison": "NOT_EQUALS"}]) == ["high"]
    assert ids(ResourceType=[{"Value": "AwsS3Bucket", "Comparison": "EQUALS"}]) == []


def test_findings_are_updated(hub) -> None:
    identity = f"f-{time.monotonic_ns()}"
    hub.batch_import_findings(Findings=[finding(identity)])
    answer = hub.batch_update_findings(
        FindingIdentifiers=[{"Id": identity, "ProductArn": PRODUCT}, {"Id": "no", "ProductArn": PRODUCT}],
        Note={"Text": "case-1", "UpdatedBy": "forensics"},
        Workflow={"Status": "NOTIFIED"},
    )
    assert [item["Id"] for item in answer["ProcessedFindings"]] == [identity]
    assert [item["ErrorCode"] for item in answer["UnprocessedFindings"]] == ["FindingNotFound"]
    found = hub.get_findings(Filters={"Id": [{"Value": identity, "Comparison": "EQUALS"}]})["Findings"][0]
    assert (found["Workflow"]["Status"], found["Note"]["Text"]) == ("NOTIFIED", "case-1")


def stored(hub, identity: str) -> dict[str, Any]:
    found = hub.get_findings(Filters={"Id": [{"Value": identity, "Comparison": "EQUALS"}]})["Findings"]
    return dict(found[0])


def test_an_update_does_not_move_the_time_of_a_finding(hub) -> None:
    """Security Hub API reference, BatchUpdateFindings: updates do not affect the value of UpdatedAt."""
    identity = f"f-{time.monotonic_ns()}"
    hub.batch_import_findings(Findings=[finding(identity)])
    hub.batch_update_findings(
        FindingIdentifiers=[{"Id": identity, "ProductArn": PRODUCT}], Workflow={"Status": "RESOLVED"}
    )
    assert stored(hub, identity)["UpdatedAt"] == "2026-01-01T00:00:00Z"
    hub.batch_import_findings(Findings=[finding(identity) | {"UpdatedAt": "2026-01-02T00:00:00Z"}])
    assert stored(hub, identity)["UpdatedAt"] == "2026-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ({}, {}, "RESOLVED"),
        ({}, {"RecordState": "ARCHIVED"}, "RESOLVED"),
        ({"RecordState": "ARCHIVED"}, {"RecordState": "ACTIVE"}, "NEW"),
        ({"Compliance": {"Status": "PASSED"}}, {"Compliance": {"Status": "FAILED"}}, "NEW"),
        ({"Compliance": {"Status": "FAILED"}}, {"Compliance": {"Status": "FAILED"}}, "RESOLVED"),
    ],
)
def test_an_import_resets_a_workflow_only_when_the_problem_is_back(
    hub, before: dict[str, Any], after: dict[str, Any], status: str
) -> None:
    """Security Hub API reference, BatchImportFindings (what it cannot update); user guide, "Setting the workflow status of
    findings" (when RESOLVED goes back to NEW)."""
    identity = f"f-{time.monotonic_ns()}"
    hub.batch_import_findings(Findings=[finding(identity) | before])
    hub.batch_update_findings(
        FindingIdentifiers=[{"Id": identity, "ProductArn": PRODUCT}],
        Workflow={"Status": "RESOLVED"},
        Note={"Text": "case-1", "UpdatedBy": "forensics"},
    )
    hub.batch_import_findings(Findings=[finding(identity) | after | {"Workflow": {"Status": "NOTIFIED"}}])
    found = stored(hub, identity)
    assert (found["Workflow"]["Status"], found["Note"]["Text"]) == (status, "case-1")


def test_a_custom_action_is_an_event(lab: Lab, hub) -> None:
    identity, queue = f"f-{time.monotonic_ns()}", Queue(lab, SECURITY)
    name = f"Act{time.monotonic_ns() % 10**12}"
    hub.batch_import_findings(Findings=[finding(identity)])
    arn = hub.create_action_target(Name="Isolate", Description="d", Id=name)["ActionTargetArn"]
    assert hub.describe_action_targets(ActionTargetArns=[arn])["ActionTargets"][0]["Name"] == "Isolate"
    rule(lab.client("events", SECURITY), {"resources": [arn]}, {"Arn": queue.arn})
    place = {"account": SECURITY, "region": REGION}
    lab.post("security-hub-action", place | {"action": name, "findings": [{"Id": identity}]})
    (event,) = queue.bodies()
    assert event["detail-type"] == "Security Hub Findings - Custom Action"
    assert event["detail"]["actionName"] == "Isolate"
    assert event["detail"]["findings"][0]["Title"] == "t"
    with pytest.raises(AssertionError, match="no custom action"):
        lab.post("security-hub-action", place | {"action": "unknown", "findings": []})


def test_a_topic_reaches_a_queue_of_another_account(lab: Lab) -> None:
    sns, queue = lab.client("sns"), Queue(lab, MEMBER)
    topic = sns.create_topic(Name=f"t-{time.monotonic_ns()}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=topic, Message="hello")
    assert [body["Message"] for body in queue.bodies()] == ["hello"]


def test_a_deep_queue_stays_quick(lab: Lab) -> None:
    queue = Queue(lab)
    entries = [{"Id": str(n), "MessageBody": "x" * 100} for n in range(10)]

    def fastest_send() -> float:
        times = []
        for _ in range(10):
            begun = time.monotonic()
            queue.sqs.send_message(QueueUrl=queue.url, MessageBody="x")
            times.append(time.monotonic() - begun)
        return min(times)

    shallow = fastest_send()
    for _ in range(100):
        queue.sqs.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert fastest_send() < 3 * shallow + 0.02, "stock moto counts all messages three times per send"
    shown = queue.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["ApproximateNumberOfMessages"])
    assert shown["Attributes"]["ApproximateNumberOfMessages"] == "1020"


def test_a_long_poll_wakes_up(lab: Lab) -> None:
    import threading

    queue, sender = Queue(lab), lab.client("sqs")
    threading.Timer(0.5, lambda: sender.send_message(QueueUrl=queue.url, MessageBody="late")).start()
    begun = time.monotonic()
    found = queue.sqs.receive_message(QueueUrl=queue.url, WaitTimeSeconds=20)["Messages"]
    assert found[0]["Body"] == "late" and time.monotonic() - begun < 15


def test_a_queue_whose_policy_does_not_name_eventbridge_gets_nothing(lab: Lab, source: str) -> None:
    """Amazon EventBridge user guide, "Using resource-based policies for Amazon EventBridge": Amazon SQS permissions."""
    closed, dead = Queue(lab, open_=False), Queue(lab)
    events = lab.client("events", FORENSIC)
    rule(events, {"source": [source]}, {"Arn": closed.arn, "DeadLetterConfig": {"Arn": dead.arn}})
    assert put(events, source, {})["FailedEntryCount"] == 0
    assert closed.messages() == []
    assert len(dead.messages()) == 1


def test_a_topic_says_how_many_subscriptions_it_has(lab: Lab) -> None:
    """Amazon SNS API reference, *GetTopicAttributes*: SubscriptionsConfirmed."""
    sns = lab.client("sns", FORENSIC)
    topic = sns.create_topic(Name=f"t-{time.monotonic_ns()}")["TopicArn"]
    before = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@forensics.invalid")
    assert (before, sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"]) == ("0", "1")


def test_a_listed_rule_has_what_the_model_says(lab: Lab, source: str) -> None:
    """botocore's model: CreatedBy is a member of DescribeRuleResponse, not of Rule; stock moto lists it."""
    queue, events = Queue(lab), lab.client("events", FORENSIC)
    rule(events, {"source": [source]}, {"Arn": queue.arn})
    model = events.meta.service_model
    for listed in events.list_rules()["Rules"]:
        assert set(listed) <= set(model.shape_for("Rule").members)
        shown = events.describe_rule(Name=listed["Name"])
        assert shown["CreatedBy"] == FORENSIC and shown["Arn"] == listed["Arn"]


def test_guardduty_lists_its_findings_of_a_time_oldest_first_and_in_pages(lab: Lab) -> None:
    """GuardDuty API reference, *ListFindings*: ``updatedAt`` in milliseconds, at most 50 ids at a time."""
    duty, stem = lab.client("guardduty", SECURITY), f"{time.monotonic_ns():x}"
    at = "2031-05-01T10:{minute:02d}:00.000Z"
    for minute in (7, 3, 5):
        detail = {
            "id": f"{stem}-{minute}",
            "accountId": MEMBER,
            "region": REGION,
            "updatedAt": at.format(minute=minute),
        }
        put(lab.client("events", MEMBER), "aws.guardduty", detail | {"service": {"archived": minute == 5}})
    (detector,) = duty.list_detectors()["DetectorIds"]
    start = 1_935_396_180_000  # 10:03 of that day
    during = {"updatedAt": {"GreaterThanOrEqual": start, "LessThanOrEqual": start + 4 * 60_000}}
    pages = duty.get_paginator("list_findings").paginate(
        DetectorId=detector, FindingCriteria={"Criterion": during}, PaginationConfig={"PageSize": 2}
    )
    assert [page["FindingIds"] for page in pages] == [[f"{stem}-3", f"{stem}-5"], [f"{stem}-7"]]
    living = {**during, "service.archived": {"Equals": ["false"]}}
    found = duty.list_findings(DetectorId=detector, FindingCriteria={"Criterion": living})["FindingIds"]
    assert found == [f"{stem}-3", f"{stem}-7"]
    later = {"updatedAt": {"GreaterThanOrEqual": start + 5 * 60_000}}
    assert duty.list_findings(DetectorId=detector, FindingCriteria={"Criterion": later})["FindingIds"] == []
