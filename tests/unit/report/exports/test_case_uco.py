"""The CASE/UCO export conforms to the ontology, says what the case says, and is the same each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forensics.report.exports.case_uco import render_case_uco
from tests.unit.report.sample import rich_view

# case_validate in this interpreter, with every connection refused
OFFLINE = """
import socket, sys
def refuse(*a, **k): raise OSError("no network in this test")
socket.socket.connect = refuse
sys.argv[0] = "case_validate"
from case_utils.case_validate import main
main()
"""


def test_it_conforms_to_case_without_a_network(tmp_path: Path) -> None:
    path = tmp_path / "case.jsonld"
    path.write_text(render_case_uco(rich_view()))
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, "--allow-warnings", str(path)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "Conforms: True" in done.stdout


@pytest.mark.skipif(
    os.environ.get("CUSTODY_CHECK") != "full",
    reason="a second validation of five seconds: `make custody-check` makes it",
)
def test_the_validation_itself_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "case.jsonld"
    broken = json.loads(render_case_uco(rich_view()))
    action = next(n for n in broken["@graph"] if n["@type"] == "case-investigation:InvestigativeAction")
    action["uco-action:startTime"] = "yesterday"
    path.write_text(json.dumps(broken))
    done = subprocess.run([sys.executable, "-c", OFFLINE, str(path)], capture_output=True, text=True, timeout=240)
    assert "Conforms: False" in done.stdout


def test_every_piece_of_evidence_and_every_event_is_in_it() -> None:
    view = rich_view()
    text = render_case_uco(view)
    assert text == render_case_uco(view)
    graph = json.loads(text)["@graph"]
    by_type: dict[str, list[dict[str, object]]] = {}
    for node in graph:
        by_type.setdefault(node["@type"], []).append(node)
    exhibits = {n["case-investigation:exhibitNumber"] for n in by_type["case-investigation:ProvenanceRecord"]}
    assert exhibits == {f"{view.case.case_id}/{e.evidence_id}" for e in view.evidence}
    actions = by_type["case-investigation:InvestigativeAction"]
    assert [a["uco-core:name"] for a in actions] == [e.action.value for e in view.custody]
    assert all(e.digest in str(a["uco-core:description"]) for e, a in zip(view.custody, actions, strict=True))
    hashes = {e["@value"] for e in _values(graph) if e.get("@type") == "xsd:hexBinary"}
    assert hashes == {d.value for e in view.evidence for d in e.digests if d.algorithm == "sha256"}
    assert len({n["@id"] for n in graph}) == len(graph)


def _values(value: object) -> list[dict[str, object]]:
    if isinstance(value, dict):
        return [value, *(found for inner in value.values() for found in _values(inner))]
    if isinstance(value, list):
        return [found for inner in value for found in _values(inner)]
    return []
