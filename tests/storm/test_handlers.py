"""A load test of the queue's handler itself: killed -9 again and again, it loses and doubles nothing; a naive one does."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from forensics.aws.case_store import CaseStore
from forensics.models.finding import Finding
from lab.progress import ProgressWatch
from lab.scenarios.load_test import Load, Message
from tests.integration.conftest import ROOT, SmallLab, images, lab

__all__ = ["images", "lab"]
LOAD = Load(findings=24, instances=10, kills=4, throttled=0.05)
MOMENTS = ("sqs", "dynamodb", "sqs", "dynamodb")  # what the process did last before it died


def send(lab: SmallLab, messages: list[Message]) -> None:
    """Put the messages into the queue."""
    sqs = lab.client("sqs")
    for start in range(0, len(messages), 10):
        entries = [{"Id": str(n), "MessageBody": m.body} for n, m in enumerate(messages[start : start + 10])]
        assert not sqs.send_message_batch(QueueUrl=lab.facts["queue_url"], Entries=entries).get("Failed")


def left(lab: SmallLab, queue: str) -> int:
    """Messages in a queue, hidden ones included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = lab.client("sqs").get_queue_attributes(QueueUrl=lab.facts[queue], AttributeNames=names)
    return sum(int(value) for value in answer["Attributes"].values())


def play(lab: SmallLab, handler: str, runs: Path) -> int:
    """Run the handler, let it die at seeded moments, start it again, until the queue is empty; returns the deaths."""
    dice, kills = random.Random(LOAD.seed), 0
    command = [sys.executable, str(Path(__file__).with_name("handlers.py")), handler, str(runs)]
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}"}
    watch = ProgressWatch("the queue to be empty")
    while waiting := left(lab, "queue_url"):
        watch.see({"messages in the queue": waiting, "deaths": kills, "runs": len(list(runs.iterdir()))})
        moment = (MOMENTS[kills], str(dice.randint(1, 3))) if kills < LOAD.kills else ()
        done = subprocess.run([*command, *moment], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert done.returncode in {0, -9}, done.stderr.decode()[-3000:]
        kills += done.returncode == -9
    return kills


def holders(lab: SmallLab) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """How many cases each instance has, and in how many cases each finding is, by its id and shape."""
    store = CaseStore(lab.client("dynamodb"), table=lab.facts["case_table"])
    instances: Counter[str] = Counter()
    findings: Counter[tuple[str, str]] = Counter()
    heads: dict[str, Any] = {"FilterExpression": "SK = :m", "ExpressionAttributeValues": {":m": {"S": "META"}}}
    for page in lab.client("dynamodb").get_paginator("scan").paginate(TableName=store.table, **heads):
        for item in page["Items"]:
            case_id = item["PK"]["S"].removeprefix("CASE#")
            instances[store.case(case_id).instance_id] += 1
            found = [Finding.model_validate(d) for _, d in store.items(case_id, "FINDING#")]
            findings.update((f.finding_id, f.source.value) for f in found)
    return instances, findings


def run_load(lab: SmallLab, handler: str, runs: Path) -> tuple[list[Message], int]:
    """The same load for either handler."""
    messages = LOAD.messages()
    send(lab, messages)
    lab.control("config", {"sqs_redelivered_share": LOAD.redelivered})
    rule = {
        "service": "dynamodb",
        "p": LOAD.throttled,
        "seed": LOAD.seed,
        "code": "ThrottlingException",
        "status": 400,
    }
    lab.control("faults", [rule])
    kills = play(lab, handler, runs)
    lab.control("faults", [])
    return messages, kills


def test_the_products_handler_loses_and_doubles_nothing(lab: SmallLab, tmp_path: Path) -> None:
    (runs := tmp_path / "runs").mkdir()
    messages, kills = run_load(lab, "product", runs)
    assert kills == LOAD.kills
    instances, findings = holders(lab)
    assert set(instances.values()) == {1} and len(instances) == LOAD.instances
    assert set(findings) == {(m.finding_id, m.shape) for m in messages}
    assert set(findings.values()) == {1}
    assert len(list(runs.iterdir())) == LOAD.instances
    assert left(lab, "dead_letter_queue_url") == 0


def test_the_naive_handler_loses_and_doubles(lab: SmallLab, tmp_path: Path) -> None:
    """The control: were this to pass unharmed, the load test would prove nothing."""
    (runs := tmp_path / "runs").mkdir()
    messages, kills = run_load(lab, "naive", runs)
    assert kills == LOAD.kills
    instances, findings = holders(lab)
    doubled = sum(n - 1 for n in instances.values())
    lost = {(m.finding_id, m.shape) for m in messages} - set(findings)
    assert doubled > 0, "no instance got two cases"
    assert lost or len(list(runs.iterdir())) < sum(instances.values()), "no finding and no run was lost"
