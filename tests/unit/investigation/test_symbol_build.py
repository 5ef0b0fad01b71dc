"""A table is stored when it is what the tool says it built from the package that was named; anything else is an error."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from forensics.aws.session import AwsSession
from forensics.aws.ssm import Invocation
from forensics.document_registry import choose
from forensics.errors import DigestMismatchError, InvestigationError
from forensics.investigation.ami_statements import AmiStatements
from forensics.investigation.forensic_instance import ForensicInstance
from forensics.investigation.symbol_build import BuildJob, SymbolBuild, build_status
from forensics.naming import SYMBOL_LIBRARY
from tests.unit.accounts import FORENSIC, Ec2InMemory, SsmInMemory, settings
from tests.unit.builders import REGION
from tests.unit.investigation.library import BANNER, library
from tests.unit.recorders import FakeRecorder
from tests.unit.signing import signing_key

PACKAGE, SHA256 = "symbols/packages/a.deb", "1" * 64
CONTENT = b"xz of a table"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OF_LIBRARY = {"forensics_case": SYMBOL_LIBRARY, "forensics_purpose": "forensic-instance"}


class World:
    """The library and its account."""

    def __init__(self) -> None:
        self.recorder, self.ec2, self.ssm = FakeRecorder(), Ec2InMemory(), SsmInMemory()
        self.library = library(self.recorder.evidence_store)
        self.build = SymbolBuild(
            self.recorder.gateways,
            ssm=self.ssm,
            instance=ForensicInstance(SYMBOL_LIBRARY, ec2=self.ec2, ssm=self.ssm),
            symbols=self.library,
            statements=AmiStatements(self.recorder.evidence_store, signing_key()),
            settings=settings(),
        )

    def sent(self) -> BuildJob:
        """A build on a running builder, whose table has landed."""
        self.ec2.add("i-1", "running", **OF_LIBRARY)
        job = self.build.send(PACKAGE, SHA256)
        self.recorder.landing.objects[f"{job.prefix}/symbols"] = CONTENT
        return job


def line(**changes: Any) -> dict[str, Any]:
    return {
        "status": "ok", "banner": BANNER, "method": "dwarf", "symbols": 5, "sha256": DIGEST,
        "package_sha256": SHA256, "kernel_sha256": "2" * 64, "notes": ["stripped"], **changes,
    }  # fmt: skip


@pytest.fixture
def world() -> World:
    return World()


def test_a_repeated_launch_finds_the_builder(world: World) -> None:
    first = world.build.launch("manual__1", 1)
    assert world.build.launch("manual__1", 2) == first
    (asked,) = world.ec2.launched
    run = hashlib.sha256(b"manual__1").hexdigest()[:16]
    assert asked["token"] == f"fc-symbols-{run}-1"
    assert world.build.terminate() == [first] and world.ec2.state(first) == "shutting-down"


def test_the_command_is_pinned_and_may_fetch_the_package_only(world: World) -> None:
    job = world.sent()
    (sent,) = world.ssm.sent
    document = choose("investigate_symbols", platform="linux")
    assert (sent["document"], sent["version"], sent["sha256"]) == (document.name, "7", document.sha256)
    assert sent["parameters"] == {
        "ManifestUrl": f"https://landing.invalid/{job.prefix}/manifest.txt",
        "ExecutionTimeout": "3600",
    }
    assert world.recorder.landing.objects[f"{job.prefix}/manifest.txt"].decode().splitlines() == [
        "forensics-manifest 1",
        f"get package {SHA256} https://tools.invalid/{PACKAGE}",
        f"put symbols https://landing.invalid/{job.prefix}/symbols",
    ]
    assert job.document_sha256 == document.sha256
    world.build.revoke(job)
    assert world.recorder.landing.revoked == [job.prefix]


def test_without_a_running_builder_nothing_is_sent(world: World) -> None:
    with pytest.raises(InvestigationError, match="the builder is not running") as caught:
        world.build.send(PACKAGE, SHA256)
    assert caught.value.next_action.startswith("clear launch_builder")


def test_the_table_is_signed_and_found(world: World) -> None:
    job = world.sent()
    world.ssm.end(job.command_id, json.dumps(line()))
    made = world.build.store(job, package=PACKAGE, sha256=SHA256)
    assert world.library.find(BANNER) == made
    assert (made.sha256, made.bytes, made.symbols, made.notes) == (DIGEST, len(CONTENT), 5, ("stripped",))
    assert (made.package, made.package_sha256, made.instance_id) == (PACKAGE, SHA256, "i-1")
    assert world.recorder.evidence_store.objects[made.key] == CONTENT


@pytest.mark.parametrize("changes", [{"sha256": "0" * 64}, {"package_sha256": "0" * 64}])
def test_a_digest_that_differs_is_an_alarm(world: World, changes: dict[str, Any]) -> None:
    job = world.sent()
    world.ssm.end(job.command_id, json.dumps(line(**changes)))
    with pytest.raises(DigestMismatchError, match=f"the table that landed has SHA-256 {DIGEST}"):
        world.build.store(job, package=PACKAGE, sha256=SHA256)
    assert world.library.find(BANNER) is None


@pytest.mark.parametrize(
    "changes", [{"banner": "short"}, {"method": "guess"}, {"symbols": 0}, {"kernel_sha256": "x"}, {"sha256": None}]
)
def test_a_status_line_that_is_not_valid_is_refused(world: World, changes: dict[str, Any]) -> None:
    job = world.sent()
    world.ssm.end(job.command_id, json.dumps(line(**changes)))
    with pytest.raises(InvestigationError, match=f"without a valid status line \\({next(iter(changes))}\\)"):
        world.build.store(job, package=PACKAGE, sha256=SHA256)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "the command has vanished from SSM"),
        (Invocation(command_id="c", instance_id="i", status="Failed", stdout='{"reason": "no vmlinux"}'), "no vmlinux"),
        (
            Invocation(command_id="c", instance_id="i", status="Success", stdout='{"status": "partial"}'),
            "ended Success",
        ),
        (Invocation(command_id="c", instance_id="i", status="TimedOut", stderr="killed"), "ended TimedOut.*killed"),
    ],
)
def test_a_build_without_a_table_says_why(found: Invocation | None, why: str) -> None:
    with pytest.raises(InvestigationError, match=f"no symbol table was built: .*{why}") as caught:
        build_status(found)
    assert "trigger symbol_library" in caught.value.next_action


def test_the_library_has_sessions_of_its_own() -> None:
    session = AwsSession(boto=None, account_id=FORENSIC, region=REGION)  # type: ignore[arg-type]
    built = SymbolBuild.of(session, analyst=session, custodian=session, settings=settings())
    assert built._ssm.account_id == FORENSIC
    assert built._gateways.evidence.bucket == "forensics-evidence"
