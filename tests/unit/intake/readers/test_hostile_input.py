"""Whatever arrives, there is a verdict."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.intake.readers import read_event
from forensics.models.intake import IntakeResult, IntakeVerdict
from tests.fuzz import oracle

EVENTS = Path(__file__).parents[3] / "data" / "events"
RECEIVED_AT = datetime(2026, 10, 5, 8, 16, tzinfo=UTC)
VALID = [json.loads(path.read_text()) for path in sorted(EVENTS.glob("*.json"))]

TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "arn:aws:ec2:eu-central-1:333344445555:instance/i-0aaaaaaaaaaaaaaa1",
            "arn:aws:ec2",
            "i-12345678",
            "\ud800",
            "111122223333",
            "9" * 13,
            "eu-west-1",
            "aws-cn",
            "GuardDuty Finding",
            "true",
            "",
            "nan",
            "1e999",
        ]
    ),
)
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT)
ANY_JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def check(body: Any) -> IntakeResult:
    intake = read_event(body, received_at=RECEIVED_AT, accept_samples=True, own_account="222233334444")
    assert not intake.reason.startswith("internal error"), intake.reason
    assert 0 < len(intake.reason) <= 300
    assert intake.reason.isprintable()
    assert bool(intake.findings) == (intake.verdict is IntakeVerdict.ACCEPT)
    if isinstance(body, str):
        oracle.check(body, intake)
    return intake


def paths(node: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [prefix] if prefix else []
    for key, child in items:
        found += paths(child, (*prefix, key))
    return found


@QUICK
@given(st.text(max_size=200))
def test_any_text(body):
    assert check(body).verdict is IntakeVerdict.QUARANTINE


@QUICK
@given(ANY_JSON)
def test_any_json(value):
    check(json.dumps(value))


@pytest.mark.thorough
@settings(parent=QUICK, max_examples=400)
@given(st.data())
def test_valid_events_with_a_few_changes(data):
    body = copy.deepcopy(data.draw(st.sampled_from(VALID)))
    for _ in range(data.draw(st.integers(1, 3))):
        places = paths(body)
        if not places:
            break
        *parents, last = data.draw(st.sampled_from(places))
        node = body
        for key in parents:
            node = node[key]
        if data.draw(st.booleans()):
            node[last] = data.draw(ANY_JSON)
        else:
            del node[last]
    check(json.dumps(body))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["guardduty_ec2_c2", "asff_action_isolate_two_findings", "ocsf_imported_guardduty_c2"])
def test_every_single_field_replaced(name):
    original = json.loads((EVENTS / f"{name}.json").read_text())
    for *parents, last in paths(original):
        for value in (None, 7, "x", [], {}, [None], {"x": "y"}, True):
            body = copy.deepcopy(original)
            node = body
            for key in parents:
                node = node[key]
            node[last] = value
            check(json.dumps(body))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, "not text"),
        (b"{}", "not text"),
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ('"text"', "not a JSON object"),
        ("{}", "neither an EventBridge event nor a known finding"),
        ('{"detail-type": "GuardDuty Finding", "source": "aws.guardduty", "detail": []}', "JSON object"),
        ('{"account": "111122223333", "account": "333344445555"}', "twice"),
        ('{"severity": NaN}', "not JSON"),
        ('{"a": ' * 100_000, "body="),
        ('{"a": ' * 61 + "1" + "}" * 61, "nested deeper than 60"),
        ("[" * 200 + "]" * 200, "body="),
        ('{"a": "' + "x" * 1_100_000 + '"}', "more than a queue message may have"),
        ('{"Type": "Notification", "Message": "no json"}', "not JSON"),
        ('{"n": ' + "9" * 5000 + "}", "not JSON"),
    ],
    ids=range(15),
)
def test_what_is_no_event_is_quarantined(body, problem):
    intake = check(body)
    assert intake.verdict is IntakeVerdict.QUARANTINE
    assert problem in intake.reason


def test_depth_inside_a_wrapped_message_counts():
    inner = '{"a": ' * 70 + "1" + "}" * 70
    assert "nested deeper" in check(json.dumps({"Type": "Notification", "Message": inner})).reason


@pytest.mark.thorough
def test_a_list_of_all_instances_that_fit_is_read_in_time():
    body = json.loads((EVENTS / "guardduty_attack_sequence_instances.json").read_text())
    group = body["detail"]["service"]["detection"]["sequence"]["resources"][2]["data"]["autoscalingAutoScalingGroup"]
    group["ec2InstanceUids"] = [f"i-{n:017x}" for n in range(2000)]
    assert len(check(json.dumps(body)).findings) == 2002
