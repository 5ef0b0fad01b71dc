"""The stores, as a host and as the custodian use them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from forensics.aws.case_store import CaseStore
from forensics.aws.kms_signing import SigningKeyGateway
from forensics.aws.s3 import EvidenceStore
from forensics.aws.s3_landing import LandingGateway, ToolsGateway
from forensics.errors import AccessDeniedError, ResourceGoneError
from forensics.models.preflight import CheckStatus
from forensics.preflight import storage_checks
from forensics.preflight.scope import PreflightScope
from forensics.preflight.storage_checks import (
    BODY,
    URL_LIMIT,
    EvidenceCheck,
    LandingCheck,
    LedgerCheck,
    StoreCheck,
    TokenCheck,
    ToolsCheck,
)
from tests.unit.preflight.conftest import FakeHook, Items

Answering = Callable[[type, Any], None]
DOCUMENTS = Path(__file__).resolve().parents[3] / "ssm_documents"


class Landing:
    """A landing bucket in memory, behind a web server that takes what is put to it."""

    bucket = "landing"

    def __init__(self, address: str) -> None:
        self.address = address
        self.objects: dict[str, bytes] = {}
        self.parts: dict[int, int] = {}
        self.deleted: list[str] = []
        self.aborted: list[str] = []
        self.sticky = False

    def start_upload(self, key: str) -> str:
        return "u"

    def part_urls(self, key: str, *, upload_id: str, count: int, seconds: int) -> list[str]:
        return [f"{self.address}/part"]

    def part_sizes(self, key: str, *, upload_id: str) -> dict[int, int]:
        return self.parts

    def complete_upload(self, key: str, *, upload_id: str, limit: int) -> int:
        self.objects[key] = BODY
        return len(BODY)

    def publish(self, key: str, *, text: str, seconds: int) -> str:
        self.objects[key] = text.encode()
        return f"{self.address}/manifest"

    def delete(self, key: str) -> None:
        self.deleted.append(key)
        if not self.sticky:
            self.objects.pop(key, None)

    def abort_upload(self, key: str, *, upload_id: str) -> None:
        self.aborted.append(key)

    def size(self, key: str) -> int | None:
        return len(self.objects[key]) if key in self.objects else None


@pytest.fixture
def landing(answering: Answering) -> Iterator[Landing]:
    """The bucket of one test."""
    made = Landing("")

    class Server(BaseHTTPRequestHandler):
        refuse = False

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.parts[1] = len(body)
            self._answer(403 if made.bucket == "closed" else 200, b"<Code>AccessDenied</Code>")

        def do_GET(self) -> None:
            self._answer(200, BODY)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.address = f"http://127.0.0.1:{server.server_port}"
    answering(LandingGateway, made)
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_upload_and_a_manifest_are_played_and_removed(scope: PreflightScope, landing: Landing) -> None:
    assert LandingCheck(scope).run().status is CheckStatus.OK
    assert landing.objects == {}
    assert all(key.startswith("preflight/r/") and key.endswith("/manifest.txt") for key in landing.deleted), (
        "the execution role may delete manifests and nothing else (statement WithdrawManifests)"
    )


def test_a_refused_upload_is_named_and_given_up(scope: PreflightScope, landing: Landing) -> None:
    landing.bucket = "closed"
    line = LandingCheck(scope).run()
    assert (line.status, "HTTP 403" in line.detail) == (CheckStatus.BROKEN, True)
    assert len(landing.aborted) == 1


def test_what_cannot_be_deleted_is_named(scope: PreflightScope, landing: Landing) -> None:
    landing.sticky = True
    assert "still there" in LandingCheck(scope).run().detail


@pytest.mark.parametrize(("length", "status"), [(URL_LIMIT, CheckStatus.OK), (URL_LIMIT + 1, CheckStatus.BROKEN)])
def test_a_url_has_to_fit_into_the_documents(
    scope: PreflightScope, answering: Answering, length: int, status: CheckStatus
) -> None:
    class Signs:
        def put_url(self, key: str, *, seconds: int) -> str:
            return "x" * length

    answering(LandingGateway, Signs())
    assert TokenCheck(scope).run().status is status


def test_the_limit_is_the_documents_own() -> None:
    texts = [f.read_text("utf-8") for f in DOCUMENTS.glob("*_*.yaml")]
    limits = [text for text in texts if "ManifestUrl:" in text]
    assert limits
    assert all(f"{{1,{URL_LIMIT}}}$" in text for text in limits)


def test_credentials_about_to_end_are_named(
    scope: PreflightScope, hook: FakeHook, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Signs:
        def put_url(self, key: str, *, seconds: int) -> str:
            return "x"

    answering(LandingGateway, Signs())
    session = hook.own()
    monkeypatch.setattr(type(session), "seconds_left", lambda _: 120.0)
    line = TokenCheck(scope).run()
    assert (line.status, "in 120 s" in line.detail) == (CheckStatus.BROKEN, True)


def test_the_custodians_stores_are_not_tried_without_the_custodian(scope: PreflightScope, hook: FakeHook) -> None:
    hook.refused.add("custodian")
    for check in (EvidenceCheck(scope), LedgerCheck(scope)):
        assert check.run().status is CheckStatus.NOT_TRIED


def test_a_store_that_takes_other_bytes_is_broken(scope: PreflightScope, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(EvidenceStore, "put", lambda self, key, body, **_: written.append(body))
    line = EvidenceCheck(scope).run()
    assert (line.status, "was overwritten" in line.detail) == (CheckStatus.BROKEN, True)
    assert len(written) == 2


def test_evidence_is_locked_for_a_day_and_without_a_hold(
    scope: PreflightScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def refuse(self: EvidenceStore, key: str, body: bytes, **_: object) -> None:
        asked.update(self._lock(), key=key)
        raise AccessDeniedError("denied")

    monkeypatch.setattr(EvidenceStore, "put", refuse)
    line = EvidenceCheck(scope).run()
    assert "forensics-evidence-store" in line.next_action
    assert asked["key"].startswith("cases/fc-preflight/")
    assert (asked["ObjectLockMode"], "ObjectLockLegalHoldStatus" in asked) == ("GOVERNANCE", False)
    assert storage_checks.LOCK_DAYS == 1


def test_a_key_that_does_not_verify_its_signature_is_broken(scope: PreflightScope, answering: Answering) -> None:
    class Key:
        def sign(self, message: bytes, *, what: str) -> Any:
            return type("S", (), {"signature": "eA=="})()

        def verify(self, digest: bytes, signature: bytes) -> bool:
            return signature == b"y"

    answering(SigningKeyGateway, Key())
    assert "does not verify" in LedgerCheck(scope).run().detail


def test_the_case_store_gives_back_what_was_written(scope: PreflightScope, answering: Answering) -> None:
    answering(CaseStore, Items())
    assert StoreCheck(scope).run().status is CheckStatus.OK


class Tools:
    """One tool, or none."""

    bucket = "tools"

    def __init__(self, sha256: str | None) -> None:
        self.found = sha256

    def sha256(self, key: str) -> str:
        if self.found is None:
            raise ResourceGoneError("not there")
        return self.found


@pytest.mark.parametrize(
    ("found", "wanted", "status"),
    [
        ("a" * 64, "a" * 64, CheckStatus.OK),
        ("a" * 64, "", CheckStatus.OK),
        ("b" * 64, "a" * 64, CheckStatus.BROKEN),
        (None, "a" * 64, CheckStatus.BROKEN),
    ],
)
def test_tools(
    scope: PreflightScope, answering: Answering, found: str | None, wanted: str, status: CheckStatus
) -> None:
    answering(ToolsGateway, Tools(found))
    line = ToolsCheck(scope, key="tools/avml", sha256=wanted).run()
    assert line.status is status
    assert ("upload it" in line.next_action) is (status is CheckStatus.BROKEN)
