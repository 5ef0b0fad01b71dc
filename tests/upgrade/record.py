"""What a release leaves behind, recorded by playing its own story (tests/iam) in its own lab: ``tests/data/releases/<name>.json``.

Run by ``python -m tests.upgrade record COMMIT``, which gives this file to the code of that commit: it imports only what
releases have had since the first recording. The file has one object, every list in the order in which things were written:

* ``items``: of each kind of item (sort key, shape of its data) the first few, with the step that wrote them
* ``ledgers``: every custody event, signed head and head item of a few cases, whole, so that their chains can be verified
* ``restore``: the restore points of contained targets with their seals
* ``triggers``: class path and arguments of every kind of wait, as Airflow's database has them, and ``xcoms``: what tasks returned
* ``bundle``: an exported case, gzip in base64
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from boto3.dynamodb.types import TypeDeserializer

from forensics.aws.attributes import from_item
from forensics.report.bundle_operators import ExportCaseOperator
from tests.iam import __main__ as played_by
from tests.integration.steps import perform

EXAMPLES = 2
_WHOLE = ("CUSTODY#", "CUSTODYSIG#", "CUSTODYHEAD")


def kind_of(key: str) -> str:
    """A key without the names of its own: ``CASE#fc-…`` → ``CASE#``."""
    head, mark, _ = key.partition("#")
    return head + mark


def shape_of(value: Any) -> Any:
    """Which fields a value has, at any depth; lists count as their first entry."""
    if isinstance(value, dict):
        return {k: shape_of(v) for k, v in sorted(value.items()) if v is not None and v != [] and v != {}}
    if isinstance(value, list):
        return [shape_of(v) for v in value[:1]]
    return type(value).__name__


class Recorder:
    """Collects what the story leaves."""

    def __init__(self, lab: Any) -> None:
        self._lab = lab
        self._known: dict[tuple[str, str], Any] = {}
        self._seen: dict[tuple[str, str, str], int] = defaultdict(int)
        self.items: list[dict[str, Any]] = []
        self.triggers: dict[str, Any] = {}
        self.xcoms: dict[str, Any] = {}

    def look(self, step: str) -> None:
        """Record what has changed since the last look."""
        for item in self._scan():
            key = (item["PK"]["S"], item["SK"]["S"])
            if self._known.get(key) == item:
                continue
            self._known[key] = item
            data = from_item(item["data"]) if "data" in item else None
            mark = (kind_of(key[0]), kind_of(key[1]), json.dumps(shape_of(data)))
            self._seen[mark] += 1
            if self._seen[mark] <= EXAMPLES and not key[1].startswith(_WHOLE):
                others = {
                    k: TypeDeserializer().deserialize(v) for k, v in item.items() if k not in ("PK", "SK", "data")
                }
                entry = {"step": step, "PK": key[0], "SK": key[1], "data": data}
                self.items.append(entry | ({"board": from_item(item["board"])} if "board" in others else {}))

    def _scan(self) -> Iterator[dict[str, Any]]:
        pages = self._lab.client("dynamodb").get_paginator("scan").paginate(TableName=self._lab.facts["case_table"])
        for page in pages:
            yield from page["Items"]

    def of_case(self, case_id: str, *prefixes: str) -> list[dict[str, Any]]:
        """All items of a case as they are now, by sort key."""
        return [
            {"SK": sk, "data": from_item(item["data"])}
            for (pk, sk), item in sorted(self._known.items())
            if pk == f"CASE#{case_id}" and sk.startswith(prefixes) and "data" in item
        ]

    def defer(self, original: Callable[..., None]) -> Callable[..., None]:
        """``BaseOperator.defer``, recording one wait of each kind of trigger and method."""

        def deferred(operator: BaseOperator, *, trigger: Any, method_name: str, **more: Any) -> None:
            path, arguments = trigger.serialize()
            given = {
                "path": path,
                "arguments": arguments,
                "operator": type(operator).__module__ + "." + type(operator).__name__,
            }
            given |= {"method": method_name, "kwargs": more.get("kwargs")}
            self.triggers.setdefault(f"{path} {method_name}", json.loads(json.dumps(given)))
            original(operator, trigger=trigger, method_name=method_name, **more)

        return deferred

    def perform(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """``perform``, recording what each task returned."""

        def performed(operator: BaseOperator, **more: Any) -> Any:
            result = original(operator, **more)
            self.xcoms.setdefault(type(operator).__name__, json.loads(json.dumps(result, default=str)))
            return result

        return performed


def record(cache: Path, say: Callable[[str], None], *, until: str) -> dict[str, Any]:
    """Play the story and return the recording."""
    with played_by.played(cache, say) as play:
        recorder, problems = Recorder(play.story.lab), []
        BaseOperator.defer = recorder.defer(BaseOperator.defer)  # type: ignore[method-assign]
        for name, part in list(sys.modules.items()):  # the story's parts, or in earlier releases the one that it was
            if name.startswith("tests.iam.") and hasattr(part, "perform"):
                part.perform = recorder.perform(part.perform)
        for step in play.story.steps():
            step.prepare()
            step.renew()
            attempt = play.attempt(step)
            recorder.look(step.name)
            say(f"{step.name}{': ' + attempt.error if attempt.error else ''}")
            problems += [f"{step.name}: {attempt.error[:300]}"] if attempt.error else []
            if step.name == until:
                break
        cases = {name: play.story.cases[name] for name in ("finding", "fresh") if name in play.story.cases}
        return {
            "problems": problems,
            "items": recorder.items,
            "ledgers": {case: recorder.of_case(case, *_WHOLE) for case in cases.values()},
            "restore": {case: recorder.of_case(case, "RESTORE", "SEAL#") for case in cases.values()},
            "triggers": [recorder.triggers[name] for name in sorted(recorder.triggers)],
            "xcoms": recorder.xcoms,
            "bundle": _bundle(play.story.lab, play.story.cases["fresh"]),
        }


def _bundle(lab: Any, case_id: str) -> str:
    """The case exported by its own release: an isolated and released target, without disks, so that it is small."""
    made = perform(ExportCaseOperator(task_id="export_case"), case_id=case_id)
    bucket, _, key = made["uri"].removeprefix("s3://").partition("/")
    body = lab.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return base64.b64encode(gzip.compress(body, mtime=0)).decode()


def main() -> None:
    """Play and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--until", default="")
    given = parser.parse_args()
    recording = record(given.cache, lambda text: print(text, flush=True), until=given.until)
    given.file.write_text(json.dumps(recording, indent=1, sort_keys=True, ensure_ascii=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
