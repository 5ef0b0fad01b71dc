"""docs/push.md keeps its promises: its fields are the model's, its sample plug runs, its sample configuration is valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from forensics.models.push import PushAccess
from forensics.push.plug import Deadline, PushPlug
from forensics.push.stored_case import StoredCase
from forensics.settings import pairs
from tests.unit.preflight.conftest import settings_with
from tests.unit.push.share_server import share

PAGE = (Path(__file__).parents[3] / "docs" / "push.md").read_text("utf-8")


def test_the_fields_of_a_secret_are_all_on_the_page() -> None:
    table = PAGE[PAGE.index("| Field | Meaning |") : PAGE.index("The [preflight]")]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert named == set(PushAccess.model_fields)


def test_the_fields_of_a_line_are_all_on_the_page(stored: StoredCase) -> None:
    import json

    file, _ = stored.timeline()
    line = json.loads(file.read_bytes().splitlines()[0])
    said = re.search(r"Fields of a line: (.*?)\.\n", PAGE, re.S)
    assert said and set(re.findall(r"`(\w+)`", said[1])) == set(line)


def test_the_configurations_are_valid() -> None:
    for block in re.findall(r"```\n(.*?)```", PAGE, re.S):
        given = dict(re.findall(r"^(\w+) = (.*)$", block, re.M))
        made = settings_with(**given)
        assert pairs(made.pushes) and all(name.startswith("forensics/channel/") for name in pairs(made.pushes).values())


def test_the_sample_plug_runs(stored: StoredCase) -> None:
    (sample,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    space: dict[str, Any] = {}
    exec(compile(sample, "sample", "exec"), space)
    with share() as server:
        access = PushAccess(kind="share", server=server.url, api_key="k", options={"folder": "soc"})
        plug = space["SharePlug"](access, Deadline(60))
        assert isinstance(plug, PushPlug)
        said = plug.push(stored)
    file, lines = stored.timeline()
    folder = f"/soc/{stored.case.case_id}"
    assert server.put == {f"{folder}/evidence.json": stored.pointers(), f"{folder}/timeline.jsonl": file.read_bytes()}
    assert said.entries == lines and said.where == server.url + folder
