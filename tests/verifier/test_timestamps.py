"""Trusted time of signed heads (R139): asked for over HTTP, kept in the locked head, checked offline, said where it is absent."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forensics.custody.timestamps import DOWN_SECONDS, TimestampAuthority, TimestampError
from forensics_verify.bundle import verify
from forensics_verify.cli import main
from forensics_verify.container import open_bundle
from forensics_verify.problems import Findings
from forensics_verify.signatures import SignatureError
from forensics_verify.timestamps import certificates, read
from tests.verifier.authority import Authority
from tests.verifier.cases import Case

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: it is the authority")
NewCase = Callable[[], Case]
DATA = b"a signature"


@pytest.fixture(autouse=True)
def nothing_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimestampAuthority, "_down", {})


@pytest.fixture(scope="module", params=["rsa:2048", "ec"])
def authority(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """One with RSA, one with elliptic curves."""
    with Authority(tmp_path_factory.mktemp("tsa"), kind=request.param).serving() as made:
        yield made


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority."""
    return Authority(tmp_path_factory.mktemp("other"), name="another authority")


def roots(*authorities: Authority) -> list[bytes]:
    return [der for a in authorities for der in certificates(a.root.read_bytes())]


def exported(new_case: NewCase, path: Path, *, url: str) -> tuple[Path, Case]:
    """A case whose heads are stamped by the authority at ``url``."""
    case = new_case()
    case.ledger._authority = TimestampAuthority(url) if url else None
    case.keep("evidence/a.bin", b"a")
    case.ledger.sign_head(case.case_id, phase="memory", evidence=case.evidence)
    case.keep("evidence/b.bin", b"b")
    case.ledger.sign_head(case.case_id, phase="close", evidence=case.evidence)
    return case.export(path), case


def checked(path: Path, case: Case, authorities: list[bytes]) -> Findings:
    return verify(open_bundle(path), trusted=[case.fingerprint], authorities=authorities)


def test_a_token_is_one_that_openssl_accepts_for_exactly_these_bytes(authority: Authority) -> None:
    token = TimestampAuthority(authority.url).token(DATA)
    assert "Verification: OK" in authority.verify(token, DATA)
    stamp = read(token, DATA, authorities=roots(authority))
    assert stamp.trusted and stamp.signer == "CN=test authority"
    with pytest.raises(SignatureError, match="another signature"):
        read(token, b"another signature", authorities=roots(authority))


def test_heads_are_stamped_and_checked_offline(new_case: NewCase, tmp_path: Path, authority: Authority) -> None:
    path, case = exported(new_case, tmp_path / "case.tar", url=authority.url)
    findings = checked(path, case, roots(authority))
    assert findings.problems == [] and findings.checked["time stamps of signed heads"] == 2
    assert sum("by AWS's clock, stamped 20" in remark for remark in findings.remarks) == 2


def test_without_the_authoritys_certificate_the_stamps_are_said_not_to_be_anchored(
    new_case: NewCase, tmp_path: Path, authority: Authority, other: Authority
) -> None:
    path, case = exported(new_case, tmp_path / "case.tar", url=authority.url)
    for known in ([], roots(other)):
        findings = checked(path, case, known)
        assert findings.problems == []
        assert findings.checked["time stamps of signed heads, by an authority that you did not name"] == 2
        assert any("CN=test authority" in remark and "--tsa-certificate" in remark for remark in findings.remarks)


def test_the_command_line_takes_the_certificate(
    new_case: NewCase, tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    path, case = exported(new_case, tmp_path / "case.tar", url=authority.url)
    arguments = ["--fingerprint", case.fingerprint, "--tsa-certificate", str(authority.root), str(path)]
    assert main(arguments) == 0
    assert "right  2 time stamps of signed heads\n" in capsys.readouterr().out
    (tmp_path / "no.pem").write_text("nothing")
    assert main(["--tsa-certificate", str(tmp_path / "no.pem"), str(path)]) == 2


def test_where_no_authority_is_configured_that_is_said(new_case: NewCase, tmp_path: Path) -> None:
    path, case = exported(new_case, tmp_path / "case.tar", url="")
    findings = checked(path, case, [])
    assert findings.problems == []
    assert [r for r in findings.remarks if r.startswith("no signed head carries a time stamp")]


@pytest.mark.parametrize("broken", ["silent", "garbage", "large"])
def test_an_authority_that_fails_keeps_no_head_from_being_signed_and_that_is_said(
    new_case: NewCase, tmp_path: Path, broken: str
) -> None:
    with Authority(tmp_path / "tsa", broken=broken).serving() as authority:
        path, case = exported(new_case, tmp_path / "case.tar", url=authority.url)
        assert len(authority.asked) == 1, f"not asked again for {DOWN_SECONDS} s"
        signed = case.ledger.sign_head(case.case_id, phase="again", evidence=case.evidence)
    assert "time-stamping authority" in signed["no_timestamp"]
    findings = checked(path, case, [])
    assert findings.problems == []
    assert sum("was signed without a time stamp" in remark for remark in findings.remarks) == 2


def test_a_replayed_answer_is_refused(tmp_path: Path) -> None:
    with Authority(tmp_path / "tsa", broken="replays").serving() as authority:
        asked = TimestampAuthority(authority.url)
        asked.token(DATA)
        with pytest.raises(TimestampError, match="answers another request"):
            asked.token(DATA)


def test_a_certificate_that_is_good_for_more_than_time_stamps_does_not_count(tmp_path: Path) -> None:
    """RFC 3161, section 2.3: one extended key usage, critical. (OpenSSL refuses to sign with another: the token is signed with
    the right one, and the certificate exchanged.)"""
    authority = Authority(tmp_path / "tsa")
    with authority.serving():
        token = TimestampAuthority(authority.url).token(DATA)
    authority._openssl(
        "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-extfile", "tsa.cnf",
        "-extensions", "both", "-outform", "DER", "-out", "both.der",
    )  # fmt: skip
    from asn1crypto import cms, x509

    made = cms.ContentInfo.load(token)
    certificate = x509.Certificate.load((tmp_path / "tsa" / "both.der").read_bytes())
    made["content"]["certificates"] = cms.CertificateSet([cms.CertificateChoices("certificate", certificate)])
    with pytest.raises(SignatureError, match="no certificate at hand"):
        read(made.dump(force=True), DATA, authorities=[])


def test_every_bit_of_a_token_counts_or_changes_nothing_that_is_said(authority: Authority) -> None:
    """A changed bit is found, or lies where no signature reaches (beside the certificates) and nothing comes of it."""
    token = TimestampAuthority(authority.url).token(DATA)
    whole, known = read(token, DATA, authorities=roots(authority)), roots(authority)
    passed = 0
    for place in range(0, len(token) * 8, 37):
        changed = bytearray(token)
        changed[place // 8] ^= 1 << place % 8
        try:
            stamp = read(bytes(changed), DATA, authorities=known)
        except SignatureError:
            continue
        passed += 1
        assert stamp.at == whole.at and stamp.signer == whole.signer
    assert passed < len(token) * 8 // 37 // 10


def test_a_stamp_of_another_head_is_found_though_everything_else_was_signed_anew(
    new_case: NewCase, tmp_path: Path, authority: Authority
) -> None:
    path, case = exported(new_case, tmp_path / "case.tar", url=authority.url)
    bundle = open_bundle(path)
    heads = sorted(name for name in bundle.names() if "custody/head-" in name)
    records: list[dict[str, Any]] = [json.loads(b"".join(bundle.stream(name))) for name in heads]
    token, signature = records[0]["timestamp"]["token"], records[1]["signature"]
    with pytest.raises(SignatureError, match="another signature"):
        read(base64.b64decode(token), base64.b64decode(signature), authorities=roots(authority))
    records[1]["timestamp"]["token"] = token
    body = json.dumps(records[1], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    case.s3.put_object(
        Bucket="evidence", Key=f"cases/{case.case_id}/{heads[1].removeprefix('objects/')}x.json", Body=body
    )
    found = checked(case.export(tmp_path / "again.tar"), case, roots(authority)).problems
    assert [p.part for p in found] == [f"{heads[1]}x.json"] and "time stamp" in found[0].what
