"""forensics-verify: clean bundles pass, tampered ones are found and the tampered part is named."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forensics.custody.bundle_writer import CaseExport, ExportOrder
from forensics.errors import DigestMismatchError
from forensics.models.custody import CustodyAction
from forensics_verify.bundle import verify
from forensics_verify.cli import main
from forensics_verify.container import ContainerError, open_bundle
from tests.verifier.cases import Case
from tests.verifier.mutations import MUTATIONS, pack, unpack

ROOT = Path(__file__).resolve().parents[2]
# `make custody-check` runs the whole proof; the quick part is in `make test`.
FULL = os.environ.get("CUSTODY_CHECK") == "full"
SEEDS, CLEAN = (300, 100) if FULL else (68, 6)
NewCase = Callable[[], Case]


def problems(path: Path, trusted: str) -> list[str]:
    """The parts that are named, in order."""
    try:
        return [p.part for p in verify(open_bundle(path), trusted=[trusted]).problems]
    except ContainerError as error:
        return [error.part]


@pytest.fixture(scope="module")
def exported(new_case: NewCase, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One exported case and the fingerprint of its key."""
    case = new_case()
    case.grow(random.Random(1))
    path = tmp_path_factory.mktemp("bundle") / "case.tar"
    return case.export(path), case.fingerprint


def test_clean_bundles_raise_no_alarm(new_case: NewCase, tmp_path: Path) -> None:
    for seed in range(CLEAN):
        case = new_case()
        case.grow(random.Random(seed))
        path = case.export(tmp_path / f"{seed}.tar")
        findings = verify(open_bundle(path), trusted=[case.fingerprint])
        assert findings.problems == [], f"seed {seed}"
        assert findings.checked["ledger events in an unbroken chain"] >= 6
        assert findings.checked["signed heads that fit the ledger"] >= 2
    print(f"{CLEAN} clean bundles: no false alarm")


def test_every_mutation_is_found_and_named(exported: tuple[Path, str], tmp_path: Path) -> None:
    path, fingerprint = exported
    files = unpack(path)
    found: Counter[str] = Counter()
    for seed in range(SEEDS):
        name = sorted(MUTATIONS)[seed % len(MUTATIONS)]
        changed, expected = MUTATIONS[name](files, random.Random(seed))
        named = problems(pack(changed, tmp_path / "mutated.tar"), fingerprint)
        assert named, f"seed {seed}: {name} was not found"
        assert named[0] in expected, f"seed {seed}: {name}: {named[:3]} instead of {expected}"
        found[name] += 1
    assert sum(found.values()) == SEEDS
    print(f"{SEEDS} mutations of {len(found)} kinds: all found and named first")


def test_every_bit_of_the_archive_counts(exported: tuple[Path, str], tmp_path: Path) -> None:
    path, fingerprint = exported
    whole = path.read_bytes()
    chance = random.Random(7)
    for _ in range(300 if FULL else 60):
        body = bytearray(whole)
        place = chance.randrange(len(body))
        body[place] ^= 1 << chance.randrange(8)
        (tmp_path / "flipped.tar").write_bytes(body)
        assert problems(tmp_path / "flipped.tar", fingerprint), f"byte {place} may be anything"
    for _ in range(20):
        (tmp_path / "cut.tar").write_bytes(whole[: chance.randrange(len(whole))])
        assert problems(tmp_path / "cut.tar", fingerprint)


def test_a_folder_is_checked_like_an_archive(exported: tuple[Path, str], tmp_path: Path) -> None:
    path, fingerprint = exported
    for name, body in unpack(path).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(body)
    assert problems(tmp_path, fingerprint) == []
    (tmp_path / "link").symlink_to(tmp_path / "bundle.json")
    assert problems(tmp_path, fingerprint) == ["link"]


def test_source_and_copy_that_differ_are_named_though_everything_is_signed(new_case: NewCase, tmp_path: Path) -> None:
    case = new_case()
    case.grow(random.Random(3))
    case.compared("a" * 64, "b" * 64)
    case.ledger.sign_head(case.case_id, phase="end", evidence=case.evidence)
    number = len(case.ledger.events(case.case_id))
    assert problems(case.export(tmp_path / "case.tar"), case.fingerprint) == [f"ledger event {number}"]


def test_an_object_that_changed_in_the_store_is_not_exported(new_case: NewCase, tmp_path: Path) -> None:
    case = new_case()
    stored = case.keep("evidence/memory/item/image.bin", b"true")
    case.ledger.append(
        case.case_id, "ARTIFACT_STORED", detail={"uri": stored.uri, "sha256": "0" * 64}  # type: ignore[arg-type]
    )  # fmt: skip
    with pytest.raises(DigestMismatchError, match="the custody ledger says 0000"):
        case.export(tmp_path / "case.tar")


def test_large_objects_can_be_left_out_and_checked_apart(new_case: NewCase, tmp_path: Path) -> None:
    case = new_case()
    large = os.urandom(1024 * 1024 + 1)
    case.keep("evidence/memory/item/image.bin", large)
    case.ledger.sign_head(case.case_id, phase="close", evidence=case.evidence)
    path = case.export(tmp_path / "case.tar", largest_mib=1)
    assert path.stat().st_size < 100_000
    findings = verify(open_bundle(path), trusted=[case.fingerprint])
    assert findings.problems == []
    assert any("listed by digest only" in r for r in findings.remarks)
    apart = tmp_path / "apart" / "evidence" / "memory" / "item"
    apart.mkdir(parents=True)
    for body, named in ((large, []), (large[:-1] + b"\0", ["objects/evidence/memory/item/image.bin"])):
        (apart / "image.bin").write_bytes(body)
        findings = verify(open_bundle(path), trusted=[case.fingerprint], apart=open_bundle(tmp_path / "apart"))
        assert [p.part for p in findings.problems] == named


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--fingerprint", "KEY"], 0, "The bundle is what was exported"),
        ([], 3, "you named no key"),
        (["--fingerprint", "f" * 64], 1, "is not the key that you trust"),
        (["--fingerprint", "beef"], 2, "is not a fingerprint"),
        (["--key", "bundle.json"], 2, "No such file"),
    ],
)
def test_the_exit_status_says_what_was_proven(
    exported: tuple[Path, str], capsys: pytest.CaptureFixture[str], options: list[str], status: int, words: str
) -> None:
    path, fingerprint = exported
    assert main([str(path), *[o.replace("KEY", fingerprint) for o in options]]) == status
    said = capsys.readouterr()
    assert words in said.out + said.err


def test_what_is_no_bundle_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.tar")]) == 2
    (tmp_path / "text.tar").write_text("hello" * 500)
    assert main([str(tmp_path / "text.tar")]) == 1
    assert main([str(tmp_path), "--json"]) == 1
    assert '"part": "bundle.json"' in capsys.readouterr().out


def test_it_runs_alone_without_the_product_and_without_a_network(exported: tuple[Path, str]) -> None:
    path, fingerprint = exported
    script = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "from forensics_verify.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "foreign = {m.split('.')[0] for m in sys.modules} & {'boto3', 'botocore', 'airflow', 'forensics', 'pydantic', 'rfc8785'}\n"
        "assert not foreign, foreign\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), "--fingerprint", fingerprint, "--json"],
        env={"PYTHONPATH": str(ROOT / "verifier"), "PATH": ""}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["right"] is True


@pytest.mark.skipif(not FULL, reason="a measurement of 128 MiB: `make custody-check` makes it")
def test_it_reads_at_least_100_mib_a_second(new_case: NewCase, tmp_path: Path) -> None:
    case = new_case()
    case.keep("evidence/memory/item/image.bin", os.urandom(128 * 1024 * 1024))
    case.ledger.sign_head(case.case_id, phase="close", evidence=case.evidence)
    path = case.export(tmp_path / "case.tar")
    began = time.process_time()
    assert problems(path, case.fingerprint) == []
    rate = path.stat().st_size / 1024**2 / (time.process_time() - began)
    print(f"forensics-verify: {rate:.0f} MiB/s of processor time")
    assert rate >= 100


def test_a_head_that_is_signed_during_the_export_does_not_make_it_forged(new_case: NewCase, tmp_path: Path) -> None:
    """Another step of the case goes on: between ledger and objects it adds an event, an object and a head."""
    case = new_case()
    case.grow(random.Random(3))
    listed = case.archive.versions

    def go_on(prefix: str) -> Any:
        case.keep("evidence/late.bin", b"late")
        case.ledger.sign_head(case.case_id, phase="late", evidence=case.evidence)
        return listed(prefix)

    case.archive.versions = go_on  # type: ignore[method-assign]
    findings = verify(open_bundle(case.export(tmp_path / "late.tar")), trusted=[case.fingerprint])
    assert findings.problems == []
    assert any("late.bin" in remark for remark in findings.remarks), (
        "the object is there, the ledger speaks of it later"
    )
    case.archive.versions = listed  # type: ignore[method-assign]
    later = verify(open_bundle(case.export(tmp_path / "later.tar")), trusted=[case.fingerprint])
    assert later.problems == []
    assert later.checked["signed heads that fit the ledger"] > findings.checked["signed heads that fit the ledger"]


def test_heads_are_in_the_bundle_however_large_they_are(new_case: NewCase, tmp_path: Path) -> None:
    case = new_case()
    case.keep("evidence/a.bin", b"a")
    for number in range(3):
        case.ledger.append(case.case_id, CustodyAction.HOST_TOUCHED, detail={"said": "x" * 350_000, "n": number})
    case.ledger.sign_head(case.case_id, phase="close", evidence=case.evidence)
    heads = [v for v in case.archive.versions(f"cases/{case.case_id}/") if "/custody/head-" in v.key]
    assert max(head.size_bytes for head in heads) > 1024 * 1024
    findings = verify(open_bundle(case.export(tmp_path / "case.tar", largest_mib=1)), trusted=[case.fingerprint])
    assert findings.problems == [] and findings.checked["signed heads that fit the ledger"] == 1


@pytest.mark.parametrize("name", ["evidence/ü.bin", "evidence//b", "evidence/" + "x" * 240, "evidence/folder/"])
def test_an_object_whose_name_no_archive_holds_is_listed_by_its_digest(
    new_case: NewCase, tmp_path: Path, name: str
) -> None:
    case = new_case()
    case.keep(name, b"odd")
    case.keep("evidence/even.bin", b"even")
    case.ledger.sign_head(case.case_id, phase="close", evidence=case.evidence)
    findings = verify(open_bundle(case.export(tmp_path / "case.tar")), trusted=[case.fingerprint])
    assert findings.problems == []
    assert any(remark.startswith("not in the bundle, listed by digest only") for remark in findings.remarks)
    assert all(remark.isprintable() for remark in findings.remarks)


def test_it_says_what_the_bundle_is_and_holds_it_against_what_the_reader_expects(
    exported: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, fingerprint = exported
    assert main(["--fingerprint", fingerprint, str(path)]) == 0
    said = capsys.readouterr().out
    about = dict(line.removeprefix("says   ").split(": ", 1) for line in said.splitlines() if line.startswith("says"))
    assert set(about) == {"case", "exported at", "exported by", "ledger events", "made by"}
    assert about["exported by"] == "test" and int(about["ledger events"]) >= 6
    right = ["--fingerprint", fingerprint, "--case", about["case"], "--not-before", about["exported at"], str(path)]
    assert main(right) == 0
    capsys.readouterr()
    assert main(["--fingerprint", fingerprint, "--case", "fc-20261124-ffffffffff", str(path)]) == 1
    assert f"is of case {about['case']}, not of fc-20261124-ffffffffff" in capsys.readouterr().out
    assert main(["--fingerprint", fingerprint, "--not-before", "2127-01-01", str(path)]) == 1
    assert "there is a later one" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--not-before", "yesterday", str(path)])


def test_what_an_exporter_wrote_cannot_steer_a_terminal(new_case: NewCase, tmp_path: Path) -> None:
    case = new_case()
    case.grow(random.Random(5))
    order = ExportOrder(case_id=case.case_id, exported_by="\x1b]0;owned\x07\u202e", product="p")
    path = tmp_path / "case.tar"
    made = CaseExport(order=order, store=case.store, ledger=case.ledger, archive=case.archive)
    path.write_bytes(b"".join(made.chunks()))
    findings = verify(open_bundle(path), trusted=[case.fingerprint])
    assert findings.problems == [] and all(value.isprintable() for value in findings.about.values())
