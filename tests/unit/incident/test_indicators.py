"""Indicators: what counts, what is everybody's, and how much sharing some says."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.incident.indicators import MOST_CASES, by_case, confidence_of, indicators_of
from forensics.models.indicators import Indicator, IndicatorKind
from forensics.models.results import Confidence, ResultSeverity, ToolFinding
from tests.unit.report import sample

DIGEST = "ab" * 32
# put together: it has the form of a key and is none
KEY = "AKIA" + "ABCDEFGH234567EX"


def indicator(kind: IndicatorKind, value: str = "x") -> Indicator:
    return Indicator(kind=kind, value=value)


def of_finding(severity: ResultSeverity = ResultSeverity.HIGH, source: str = "/x", **data: Any) -> set[str]:
    view = sample.complete_view()
    made = ToolFinding(id="f", title="a finding", severity=severity, source=source, data=data)
    result = view.results[0].model_copy(update={"findings": (made,)})
    alerts = tuple(f.model_copy(update={"peers": (), "domains": ()}) for f in view.findings)
    return {i.name for i in indicators_of(view.model_copy(update={"results": (result,), "findings": alerts}))}


def test_digests_addresses_domains_keys_users_and_files_of_findings_count() -> None:
    found = of_finding(
        sha256=DIGEST.upper(), remote="203.0.113.7", domain="C2.Example.NET.", user="Mallory", note=f"export AWS_ACCESS_KEY_ID={KEY}", source="/tmp/.x/kworkerds"
    )  # fmt: skip
    assert found == {
        f"hash#{DIGEST}", "address#203.0.113.7", "domain#c2.example.net", f"access key#{KEY}", "user#mallory", "file name#kworkerds",
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        {"a": "10.0.0.5"}, {"a": "169.254.169.254"}, {"a": "8.8.8.8"}, {"a": "::1"}, {"domain": "s3.eu-central-1.amazonaws.com"},
        {"domain": "amazonaws.com"}, {"domain": "localhost"}, {"user": "root"}, {"user": "ec2-user"},
        {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, {"text": "kworkerds"}, {"domain": "not a name"},
    ],
)  # fmt: skip
def test_what_every_machine_has_is_no_indicator(data: dict[str, str]) -> None:
    assert of_finding(**data) == set()


def test_a_domain_of_others_that_only_ends_like_aws_counts() -> None:
    assert of_finding(domain="evil-amazonaws.com") == {"domain#evil-amazonaws.com"}


@pytest.mark.parametrize(
    "source", ["/root/.ssh/authorized_keys", "/var/log/auth.log", "/etc/passwd", "volatility.pslist"]
)
def test_files_that_every_machine_has_are_none(source: str) -> None:
    assert of_finding(source=source) == set()


def test_minor_findings_give_none_and_medium_ones_neither_users_nor_files() -> None:
    data = {"sha256": DIGEST, "user": "mallory"}
    assert of_finding(ResultSeverity.LOW, source="/tmp/x1y2", **data) == set()
    assert of_finding(ResultSeverity.MEDIUM, source="/tmp/x1y2", **data) == {f"hash#{DIGEST}"}


def test_the_alert_s_own_peers_count_and_the_target_s_own_addresses_do_not() -> None:
    view = sample.complete_view()
    assert view.target
    own = next(a for i in view.target.interfaces for a in (i.public_ip, i.private_ip) if a)
    alerts = tuple(
        f.model_copy(update={"peers": ("192.0.2.9", own), "domains": ("bad.example.org",)}) for f in view.findings
    )
    found = {i.name for i in indicators_of(view.model_copy(update={"findings": alerts}))}
    assert {"address#192.0.2.9", "domain#bad.example.org"} <= found and f"address#{own}" not in found


@pytest.mark.parametrize(
    ("kinds", "confidence"),
    [
        (["hash"], Confidence.HIGH), (["access key", "user"], Confidence.HIGH), (["address", "domain"], Confidence.MEDIUM),
        (["address", "address"], Confidence.MEDIUM), (["address", "user"], Confidence.MEDIUM), (["address"], Confidence.LOW),
        (["user", "file name"], Confidence.LOW), (["user"], None), (["file name"], None), ([], None),
    ],
)  # fmt: skip
def test_confidence_is_honest(kinds: list[str], confidence: Confidence | None) -> None:
    assert confidence_of([indicator(IndicatorKind(kind)) for kind in kinds]) is confidence


def test_what_many_cases_have_links_none() -> None:
    rare, common = indicator(IndicatorKind.HASH, "a"), indicator(IndicatorKind.ADDRESS, "b")
    many = [f"c{n}" for n in range(MOST_CASES + 1)]
    assert by_case([(rare, ["own", "c1"]), (common, many)], own="own") == {"c1": [rare]}
