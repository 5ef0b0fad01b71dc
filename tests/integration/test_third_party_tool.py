"""A tool of somebody else, plugged in by one document and one registry line, scans real disks in the lab."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics import document_registry as documents
from forensics.disk.copy_operators import CopySnapshotsOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.investigation.analysis_operators import AnalyseDiskOperator
from forensics.investigation.instance_operators import AttachEvidenceVolumesOperator, LaunchForensicInstanceOperator
from forensics.models.documents import Offer
from forensics.models.results import Investigation
from forensics.report.operators import WriteReportOperator
from forensics.report.sections import EXPORTS
from lab.evidence import disk
from lab.evidence.disk import DiskFiles
from lab.evidence.images import Images
from tests.gateways import recorder_of
from tests.integration.conftest import SmallImages, SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage

README = b"Nightly copies of the web root. Ask ops before you delete anything here.\n"
SIGNATURES = f"{hashlib.sha256(README).hexdigest()}:{len(README)}:Lab.Planted.Readme\n".encode()
MISSING = [p for p in ("clamscan", "mmls", "tsk_recover") if shutil.which(p) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed on this machine: {', '.join(MISSING)}")


class RealDisks(SmallImages):
    """Every volume holds the small scenario: GPT and ext4 with files."""

    def disk(self, name: str) -> DiskFiles:
        """Sixteen MiB with a file that the test's signature knows."""
        return disk.unpack("tiny", self.cache)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return RealDisks(tmp_path / "cache")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, documents.Document]:
    """The released registry with the scanner's entry switched on, as an edit of its line would."""
    signatures = Offer(key="tools/signatures.hsb", sha256=hashlib.sha256(SIGNATURES).hexdigest())
    entry = documents.released()["investigate_clamav_linux"]
    changed = {"enabled": True, "offers": {"signatures": signatures}, "finding_types": ("*Malware*",)}
    toolkit = documents.released()["investigate_disk_linux"]
    known = {"investigate_disk_linux": toolkit, "investigate_clamav_linux": entry.model_copy(update=changed)}
    monkeypatch.setattr(documents, "released", lambda: known)
    return known


def offer(lab: SmallLab, body: bytes) -> None:
    """Put signatures into the tools bucket."""
    lab.client("s3").put_object(Bucket=lab.facts["tools_bucket"], Key="tools/signatures.hsb", Body=body)


def attached(lab: SmallLab) -> str:
    """A case whose disks hang on its forensic instance."""
    case_id = open_case(lab)
    triage(case_id)
    for step in (SnapshotVolumesOperator, CopySnapshotsOperator):
        perform(step(task_id="disk"), case_id=case_id)
    perform(LaunchForensicInstanceOperator(task_id="launch"), case_id=case_id)
    perform(AttachEvidenceVolumesOperator(task_id="attach"), case_id=case_id)
    return case_id


def test_clamav_scans_every_volume_and_its_matches_are_findings(lab: SmallLab, registry: dict[str, Any]) -> None:
    case_id = attached(lab)
    offer(lab, b"signatures of somebody else\n")
    with pytest.raises(AirflowFailException, match="not the ones that the registry names"):
        perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id)
    view = recorder_of(case_id, step="test").view()
    outcomes = {(i.activity, i.outcome) for i in view.investigations}
    assert ("investigate_clamav", "FAILED") in outcomes
    assert {o for a, o in outcomes if a == "investigate_disk"} <= {"DONE", "PARTIAL"}, "the toolkit's results stay"
    assert {r.tool for r in view.results} == {"disk"}
    offer(lab, SIGNATURES)
    done = perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id)
    volumes = lab.facts["instances"]["web-server"]["volumes"].values()
    assert done == {f"investigate_clamav of disk-{v}": 1 for v in volumes}
    view = recorder_of(case_id, step="test").view()
    scans = [r for r in view.results if r.tool == "clamav"]
    assert len(scans) == len(volumes)
    for result in scans:
        (finding,) = result.findings
        assert finding.title == "clamav matched Lab.Planted.Readme.UNOFFICIAL"
        assert finding.source.endswith("/backup/README")
        assert result.provenance[0].version.startswith("ClamAV ")
        assert result.counts["files"] >= 2
        assert result.counts["signatures"] == 1
    raw = raw_output(lab, next(i for i in view.investigations if i.activity == "investigate_clamav"))
    assert "README: Lab.Planted.Readme.UNOFFICIAL FOUND" in raw
    stored = {e.detail["name"] for e in view.custody if e.action.value == "ARTIFACT_STORED"}
    assert stored == {"raw", "results", "timeline"}
    # A cleared task finds the work done.
    assert perform(AnalyseDiskOperator(task_id="analyse_disk"), case_id=case_id) == {"already": True}
    assert_reported(lab, case_id)


def assert_reported(lab: SmallLab, case_id: str) -> None:
    """The report and its exports lie in the evidence store; the case counts as reported only then."""
    written = perform(WriteReportOperator(task_id="write_report"), case_id=case_id)
    assert set(written) == {"html", "json", *EXPORTS}
    stored = {}
    for name, uri in written.items():
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        answer = lab.client("s3").get_object(Bucket=bucket, Key=key)
        assert answer["ObjectLockMode"] == "GOVERNANCE", name
        stored[name] = answer["Body"].read().decode()
    for name in EXPORTS:
        assert written[name] in stored["html"], name
    assert "clamav matched Lab.Planted.Readme" in stored["timeline.timesketch.jsonl"] + stored["findings.ocsf.jsonl"]
    report = json.loads(stored["json"])
    assert {a["question"] for a in report["answers"]} == {q["id"] for q in report["view"]["plan"]["questions"]}
    view = recorder_of(case_id, step="test").view()
    assert view.milestones["reported"].isoformat() > report["generated_at"]


def raw_output(lab: SmallLab, item: Investigation) -> str:
    bucket, key = item.artifacts["raw"]["uri"].removeprefix("s3://").split("/", 1)
    body = lab.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert hashlib.sha256(body).hexdigest() == item.artifacts["raw"]["sha256"]
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        member = archive.extractfile("./clamscan.log")
        assert member is not None
        return member.read().decode()


def test_a_line_of_the_registry_is_all_that_the_product_reads() -> None:
    path = Path(documents.__file__).with_name("documents.json")
    entry = json.loads(path.read_text("utf-8"))["investigate_clamav_linux"]
    assert entry["evidence"] == "disk"
    assert entry["output"] == "raw"
