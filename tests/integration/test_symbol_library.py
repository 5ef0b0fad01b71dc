"""The symbol library in the lab: package in, signed table out, and the next case of that kernel is offered it."""

from __future__ import annotations

import hashlib
import json
import lzma
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.custody.signed_documents import SignatureError
from forensics.investigation.analysis_operators import AnalyseMemoryOperator
from forensics.investigation.instance_operators import LaunchForensicInstanceOperator
from forensics.investigation.reaper_operators import ReapOrphansOperator
from forensics.investigation.symbol_operators import BuildSymbolsOperator, LaunchBuilderOperator, RemoveBuilderOperator
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.probe_operators import ProbeTargetOperator
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.models.evidence import EvidenceKind, MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.symbols import SymbolTable, banner_digest
from forensics.naming import SYMBOL_LIBRARY
from tests import memory_image
from tests.gateways import case_gateways, recorder_of, symbol_store
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage
from tests.toolkit import btf_blob, kernel_blob

BANNER = btf_blob.VERSION.decode().rstrip("\n")
PACKAGE = kernel_blob.deb(kernel_blob.vmlinux())


def build(lab: SmallLab, package: bytes, *, digest: str | None = None) -> dict[str, Any]:
    """Put a package into the tools bucket and build its table."""
    key = "symbols/packages/linux-image-test-dbg.deb"
    lab.client("s3").put_object(Bucket=lab.facts["tools_bucket"], Key=key, Body=package)
    sha256 = digest or hashlib.sha256(package).hexdigest()
    made: dict[str, Any] = perform(BuildSymbolsOperator(task_id="build_symbols", package=key, sha256=sha256))
    return made


def builders(lab: SmallLab) -> list[str]:
    """Living instances of the library."""
    found = lab.client("ec2").describe_instances(Filters=[{"Name": "tag:forensics:case", "Values": [SYMBOL_LIBRARY]}])
    living = [i for r in found["Reservations"] for i in r["Instances"] if i["State"]["Name"] in {"pending", "running"}]
    assert all(i["MetadataOptions"]["HttpTokens"] == "required" and not i.get("PublicIpAddress") for i in living)
    return [str(i["InstanceId"]) for i in living]


def test_a_package_becomes_a_signed_table_and_its_builder_goes(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = perform(LaunchBuilderOperator(task_id="launch_builder"))
    assert builders(lab) == [instance]
    assert perform(LaunchBuilderOperator(task_id="launch_builder")) == instance, "another try finds it"
    made = build(lab, PACKAGE)
    assert (made["banner"], made["method"]) == (BANNER, "btf")
    assert ReapOrphansOperator(task_id="reap").execute({}) == [], "a build at work is no orphan"
    with monkeypatch.context() as patch:
        patch.setattr("forensics.investigation.orphans.LIBRARY_LIMIT", timedelta(0))
        (gone,) = ReapOrphansOperator(task_id="reap").execute({})
    assert gone["id"] == instance and builders(lab) == [], "one that was forgotten goes"
    perform(LaunchBuilderOperator(task_id="launch_builder"), run_id="manual__2")
    perform(RemoveBuilderOperator(task_id="remove_builder"))
    assert builders(lab) == [] and perform(RemoveBuilderOperator(task_id="remove_builder")) is not None
    case_id = open_case(lab)
    library = symbol_store(case_id)
    table = library.find(f"{BANNER}\n")
    assert table is not None and table.package_sha256 == hashlib.sha256(PACKAGE).hexdigest()
    content = b"".join(case_gateways(case_id).evidence.stream(table.key))
    assert "init_task" in json.loads(lzma.decompress(content))["symbols"]
    assert library.find("Linux version 9.9 of nobody") is None
    assert table.sha256 == hashlib.sha256(content).hexdigest() and table.key in library.get_url(table)


def captured(lab: SmallLab) -> str:
    """A case whose memory is verified and whose forensic instance is up; the kernel's BTF is none."""
    case_id = open_case(lab)
    triage(case_id)
    for step in (ProbeTargetOperator, CaptureMemoryOperator, VerifyMemoryOperator, LaunchForensicInstanceOperator):
        perform(step(task_id=step.__name__), case_id=case_id)
    return case_id


def outcome(case_id: str) -> tuple[str, str]:
    """Outcome and reason of the analysis."""
    (found,) = [
        i for i in recorder_of(case_id, step="test").view().investigations if i.tool == EvidenceKind.MEMORY.value
    ]
    return found.outcome, found.reason or ""


@pytest.mark.investigate
def test_an_unknown_kernel_ends_partial_and_is_examined_again_when_its_table_is_there(lab: SmallLab) -> None:
    case_id = captured(lab)
    analyse = AnalyseMemoryOperator(task_id="analyse_memory")
    perform(analyse, case_id=case_id)
    ended, reason = outcome(case_id)
    assert ended == "PARTIAL" and "no symbol table" in reason and "6.1.0-test" in reason and "symbol_library" in reason
    assert perform(analyse, case_id=case_id) == {"already": True}
    perform(LaunchBuilderOperator(task_id="launch_builder"))
    build(lab, kernel_blob.rpm(kernel_blob.vmlinux(version=memory_image.BANNER)))
    assert perform(analyse, case_id=case_id) != {"already": True}
    ended, reason = outcome(case_id)
    # The made-up image holds a banner and no kernel: with the table Volatility is run, and says so.
    assert ended == "PARTIAL" and "cannot read the list of processes" in reason
    view = recorder_of(case_id, step="test").view()
    assert any("symbol library offers" in event.what for event in view.timeline)
    assert perform(analyse, case_id=case_id) == {"already": True}


@pytest.mark.investigate
def test_the_same_package_again_keeps_the_table_and_a_wrong_one_says_why(lab: SmallLab) -> None:
    with pytest.raises(Exception, match="builder is not running"):
        build(lab, PACKAGE)
    perform(LaunchBuilderOperator(task_id="launch_builder"))
    assert build(lab, PACKAGE)["key"] == build(lab, PACKAGE)["key"]
    for package, digest, reason in (
        (kernel_blob.deb(b"text"), None, "holds no vmlinux"),
        (PACKAGE, "0" * 64, "is not what the manifest names"),
    ):
        with pytest.raises(AirflowFailException, match=reason):
            build(lab, package, digest=digest)


def entry_of(**changes: Any) -> SymbolTable:
    """A table that nobody built."""
    given: dict[str, Any] = {
        "banner": BANNER,
        "method": "btf",
        "key": f"cases/{SYMBOL_LIBRARY}/linux/{banner_digest(BANNER)}/a.json.xz",
        "sha256": "0" * 64,
        "bytes": 9,
        "symbols": 5,
        "package": "symbols/packages/a.deb",
        "package_sha256": "1" * 64,
        "kernel_sha256": "2" * 64,
        "document_sha256": "3" * 64,
        "instance_id": "i-0123456789abcdef0",
        "built_at": "2026-11-21T02:00:00Z",
    }
    return SymbolTable.model_validate(given | changes)


def test_an_entry_that_was_not_signed_is_never_offered(lab: SmallLab) -> None:
    case_id = open_case(lab)
    library, evidence = symbol_store(), case_gateways(SYMBOL_LIBRARY).evidence
    library.add(entry_of(), b"content")
    assert library.find(BANNER) == entry_of()
    folder = f"cases/{SYMBOL_LIBRARY}/linux/{banner_digest(BANNER)}"
    signed = evidence.read_json(f"{folder}/btf.json")
    # A forged entry of the better method, with the signature of the true one.
    forged = {**signed, "statement": signed["statement"].replace("0" * 64, "f" * 64)}
    evidence.put(f"{folder}/dwarf.json", json.dumps(forged).encode())
    with pytest.raises(SignatureError, match="is not what was signed"):
        library.find(BANNER)
    recorder = recorder_of(case_id, step="analyse_memory")
    item = MemoryEvidence(evidence_id="mem-1", outcome=Outcome.ACQUIRED, origin=MemoryOrigin(kernel_banner=BANNER))
    recorder.save_evidence(item)
    step = AnalyseMemoryOperator(task_id="analyse_memory", case_id=case_id)
    bound = step._bind()
    assert step.inputs(bound).symbol_table("mem-1") is None
    assert any("is not what was signed" in event.what for event in recorder.view().timeline)
    # A true entry in another kernel's place, and something that is no entry.
    other = "Linux version 5.0.0-other (somebody@example) #1 SMP"
    evidence.put(f"cases/{SYMBOL_LIBRARY}/linux/{banner_digest(other)}/btf.json", json.dumps(signed).encode())
    with pytest.raises(SignatureError, match="another kernel"):
        library.find(other)
    third = "Linux version 4.0.0-third (somebody@example) #1 SMP"
    evidence.put(f"cases/{SYMBOL_LIBRARY}/linux/{banner_digest(third)}/btf.json", b'{"statement": 1}')
    with pytest.raises(SignatureError, match="not an entry of the symbol library"):
        library.find(third)
