"""A command that was recorded is played for another case: its requests, ids, digests and time, without its work."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from forensics.manifest import render
from lab.hosts.sandbox import capabilities
from lab.hosts.tapes import Recorder, Shelf, ShelfError
from tests.lab.hosts.agent.test_fleet import DONE, Command, World, document, step, wait_for

FOUND = capabilities()
namespaces = pytest.mark.skipif(
    FOUND.mode != "namespaces", reason=f"no unprivileged namespaces here: {'; '.join(FOUND.missing)}"
)
FIRST, SECOND = "fc-20261130-aaaaaaaaaa", "fc-20261130-bbbbbbbbbb"
# A tool: it fetches its manifest, works, uploads a text with the case's id in two parts, and a result that has the digest of the first
# part and of the whole (as the live response names its archive, which goes up in parts).
TOOL = r"""
set -eu
manifest=$(curl -sSf "$SSM_ManifestUrl")
url() { printf '%s\n' "$manifest" | sed -n "s/^put $1 //p"; }
echo worked >> /tmp/worked
sleep 1
printf 'found in %s' "$SSM_CaseId" > /tmp/text
curl -sSf -X PUT -H 'Content-Type: text/plain' --data-binary @/tmp/text "$(url text)"
printf ' and more in %s' "$SSM_CaseId" > /tmp/more
curl -sSf -X PUT -H 'Content-Type: text/plain' --data-binary @/tmp/more "$(url more)"
printf '{"case": "%s", "text": "%s", "whole": "%s"}' "$SSM_CaseId" "$(sha256sum < /tmp/text | cut -d' ' -f1)" \
  "$(cat /tmp/text /tmp/more | sha256sum | cut -d' ' -f1)" > /tmp/result
curl -sSf -X PUT -H 'Content-Type: application/json' --data-binary @/tmp/result "$(url result)"
echo "done for $SSM_CaseId"
"""


class Bucket:
    """Objects behind signed URLs, over HTTP, with the recorder in front."""

    def __init__(self, shelf: Shelf) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self._server = make_server("127.0.0.1", 0, Recorder(Request.application(self._answer), shelf), threaded=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def url(self, name: str) -> str:
        return f"{self.endpoint}/bucket/{name}?X-Amz-Signature={hashlib.sha256(name.encode()).hexdigest()}"

    def order(self, case_id: str, **more: Any) -> Command:
        """A command for a case, and its manifest in the bucket."""
        puts = {name: self.url(f"{case_id}/{name}") for name in ("text", "more", "result")}
        self.objects[f"{case_id}/manifest"] = render(puts=puts).encode()
        names = {"CaseId": case_id, "EvidenceId": "disk-1", "ManifestUrl": self.url(f"{case_id}/manifest")}
        declared = {name: {"type": "String", "interpolationType": "ENV_VAR"} for name in names}
        return Command(document(step(TOOL, name="examine"), **declared), parameters=names, **more)

    def _answer(self, request: Request) -> Response:
        name = request.path.removeprefix("/bucket/")
        self.requests.append(f"{request.method} {name}")
        if request.method == "PUT":
            self.objects[name] = request.get_data()
            return Response("", status=200)
        return Response(self.objects[name], status=200)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[Bucket, World, Shelf]]:
    shelf = Shelf(tmp_path / "tapes")
    made = Bucket(shelf)
    yield made, World(tmp_path / "lab"), shelf
    made.stop()


def run(world: World, command: Command, *, shelf: Shelf, endpoint: str) -> tuple[Command, float]:
    began = time.monotonic()
    world.commands.append(command)
    with world.fleet(endpoint, shelf=shelf, address_of=lambda *_: "127.0.0.1"):
        wait_for(lambda: command.status in DONE, "the command to end")
    return command, time.monotonic() - began


@namespaces
def test_a_command_is_played_with_the_other_cases_urls_ids_and_digests(bucket: tuple[Bucket, World, Shelf]) -> None:
    s3, world, shelf = bucket
    shelf.switch("record")
    recorded, _ = run(world, s3.order(FIRST), shelf=shelf, endpoint=s3.endpoint)
    assert (recorded.status, recorded.out) == ("Success", f"done for {FIRST}\n"), recorded.err
    assert len(shelf.names()) == 1
    s3.requests.clear()

    shelf.switch("replay")
    played, seconds = run(world, s3.order(SECOND), shelf=shelf, endpoint=s3.endpoint)
    assert (played.status, played.out) == ("Success", f"done for {SECOND}\n"), played.err
    assert s3.requests == [f"GET {SECOND}/manifest", *(f"PUT {SECOND}/{name}" for name in ("text", "more", "result"))]
    text, more = s3.objects[f"{SECOND}/text"], s3.objects[f"{SECOND}/more"]
    assert (text, more) == (f"found in {SECOND}".encode(), f" and more in {SECOND}".encode())
    assert json.loads(s3.objects[f"{SECOND}/result"]) == {
        "case": SECOND,
        "text": hashlib.sha256(text).hexdigest(),
        "whole": hashlib.sha256(text + more).hexdigest(),
    }
    assert seconds >= 1.0  # the tool's own second is in it


@namespaces
def test_a_command_without_a_tape_is_run(bucket: tuple[Bucket, World, Shelf]) -> None:
    s3, world, shelf = bucket
    shelf.switch("replay")
    ran, _ = run(world, s3.order(FIRST), shelf=shelf, endpoint=s3.endpoint)
    assert (ran.status, ran.out) == ("Success", f"done for {FIRST}\n"), ran.err
    assert json.loads(s3.objects[f"{FIRST}/result"])["case"] == FIRST


@namespaces
def test_a_played_command_that_is_refused_fails_as_a_tool_would(bucket: tuple[Bucket, World, Shelf]) -> None:
    s3, world, shelf = bucket
    shelf.switch("record")
    run(world, s3.order(FIRST), shelf=shelf, endpoint=s3.endpoint)
    shelf.switch("replay")
    order = s3.order(SECOND)
    s3.objects[f"{SECOND}/manifest"] = render(puts={"text": s3.url(f"{SECOND}/text")}).encode()
    failed, _ = run(world, order, shelf=shelf, endpoint=s3.endpoint)
    assert failed.status == "Failed"
    assert "sent PUT to a URL that this command was not given" in failed.err


@namespaces
def test_a_played_command_ends_when_it_is_cancelled(bucket: tuple[Bucket, World, Shelf]) -> None:
    s3, world, shelf = bucket
    shelf.switch("record")
    run(world, s3.order(FIRST), shelf=shelf, endpoint=s3.endpoint)
    shelf.switch("replay")
    order = s3.order(SECOND)
    order.cancel_requested = True
    cancelled, _ = run(world, order, shelf=shelf, endpoint=s3.endpoint)
    assert cancelled.status == "Cancelled" and "was cancelled" in cancelled.err


def test_a_mode_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShelfError, match="known: real, record, replay"):
        Shelf(tmp_path).switch("fast")
