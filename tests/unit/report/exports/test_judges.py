"""Exports before judges that others have written: Timesketch's importer, STIX's validator, the published OCSF 1.3.0 schema."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import jsonschema
import pytest
import requests
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from stix2validator import ValidationOptions, validate_string
from timesketch_import_client.importer import ImportStreamer

from forensics.models.case import CaseView
from forensics.models.remarks import Assignment, Remark, RemarkKind, Verdict
from forensics.report.chronology import merged
from forensics.report.exports import ocsf, stix, timesketch
from forensics.report.remarks import finding_key
from tests.unit.report import sample

CLASSES = {2004: "detection_finding", 2005: "incident_finding"}
HOSTILE = "<b>no\u202e</b>"


def judged(verdict: Verdict) -> CaseView:
    """A case with a verdict on its first finding."""
    view = sample.rich_view()
    result = next(r for r in view.results if any(f.severity != "info" for f in r.findings))
    finding = next(f for f in result.findings if f.severity != "info")
    remark = Remark(
        kind=RemarkKind.VERDICT, finding=finding_key(result, finding), title=finding.title, verdict=verdict, note=HOSTILE, by="examiner", at=sample.at(900), seq=77
    )  # fmt: skip
    return view.model_copy(update={"remarks": (remark,)})


VIEWS = {
    "rich": sample.rich_view, "empty": sample.empty_view, "running": sample.running_view,
    "true": lambda: judged(Verdict.TRUE), "false": lambda: judged(Verdict.FALSE), "benign": lambda: judged(Verdict.BENIGN),
}  # fmt: skip


class Timesketch(BaseHTTPRequestHandler):
    """Takes uploads as Timesketch's API does and keeps their events."""

    events: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        for part in body.split(b"--" + boundary):
            head, _, content = part.partition(b"\r\n\r\n")
            if b'name="events"' in head:
                self.events.extend(json.loads(line) for line in content.rstrip(b"\r\n").split(b"\n"))
        answer = json.dumps(
            {"objects": [{"id": 1, "searchindex": {"index_name": "a"}}], "meta": {"task_id": "t"}}
        ).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """A server on loopback."""
    Timesketch.events.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Timesketch)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def test_timesketch_s_own_importer_sends_every_entry(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "timeline.timesketch.jsonl"
    file.write_text(timesketch.render(sample.rich_view()))
    sketch = SimpleNamespace(id=1, api=SimpleNamespace(session=requests.Session(), api_root=address))
    with caplog.at_level(logging.WARNING), ImportStreamer() as streamer:
        streamer.set_sketch(sketch)
        streamer.set_timeline_name("case")
        streamer.add_file(str(file))
    assert not caplog.records, "the importer drops a line that it cannot read, with a message alone"
    assert len(Timesketch.events) == len(merged(sample.rich_view()))
    for event in Timesketch.events:
        assert event["message"] and event["timestamp_desc"] and event["datetime"]


@pytest.mark.parametrize("name", VIEWS)
def test_stix_s_validator_finds_no_error(name: str) -> None:
    # 103: ids are made from content (UUIDv5), so that a case exported twice is the same; the standard recommends version 4.
    # 302: a reference to ATT&CK's page has no digest of that page
    found = validate_string(stix.render(VIEWS[name]()), ValidationOptions(version="2.1", disabled=["103", "302"]))
    assert found.is_valid and not found.errors and not found.warnings, [
        str(e) for e in (*found.errors, *found.warnings)
    ]


@pytest.fixture(scope="module")
def schema() -> OcsfJsonSchemaEmbedded:
    """The published schema."""
    return OcsfJsonSchemaEmbedded(get_ocsf_schema("1.3.0"))


@pytest.mark.parametrize("name", VIEWS)
def test_every_event_is_of_the_published_ocsf_schema(name: str, schema: OcsfJsonSchemaEmbedded) -> None:
    for line in ocsf.render(VIEWS[name]()).splitlines():
        event = json.loads(line)
        of_class = schema.get_class_schema(CLASSES[event["class_uid"]], event["metadata"]["profiles"])
        jsonschema.Draft202012Validator(of_class).validate(event)


@pytest.mark.parametrize(
    ("verdict", "opinion", "status"),
    [
        (Verdict.TRUE, "agree", "In Progress"),
        (Verdict.FALSE, "disagree", "Suppressed"),
        (Verdict.BENIGN, "agree", "Suppressed"),
    ],
)
def test_a_person_s_verdict_goes_with_the_finding(verdict: Verdict, opinion: str, status: str) -> None:
    view = judged(verdict)
    objects = {o["id"]: o for o in json.loads(stix.render(view))["objects"]}
    (found,) = [o for o in objects.values() if o["type"] == "opinion"]
    assert (found["opinion"], found["authors"], found["labels"]) == (
        opinion,
        ["examiner"],
        [f"verdict-{verdict.value}"],
    )
    (about,) = found["object_refs"]
    assert objects[about]["type"] == "note" and objects[about]["abstract"] == view.remarks[0].title[:200]
    assert "[U+202E]" in found["explanation"]
    (event,) = [e for e in map(json.loads, ocsf.render(view).splitlines()) if "comment" in e]
    assert (event["status"], event["status_detail"]) == (status, f"verdict: {verdict.value}")
    assert event["comment"].startswith("verdict of examiner: ")


def test_a_verdict_that_was_taken_back_is_none() -> None:
    view = judged(Verdict.TRUE)
    taken = view.remarks[0].model_copy(update={"verdict": Verdict.OPEN, "seq": 78})
    view = view.model_copy(update={"remarks": (*view.remarks, taken)})
    assert '"opinion"' not in stix.render(view) and '"comment"' not in ocsf.render(view)


def test_the_incident_names_who_works_on_it() -> None:
    owned = sample.rich_view().model_copy(
        update={"assignment": Assignment(owner="mei", by="mei", at=sample.at(1), seq=1)}
    )
    assert json.loads(ocsf.render(owned).splitlines()[0])["assignee"] == {"name": "mei"}
