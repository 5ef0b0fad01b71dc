"""What a person may ask a sweep for, and what of it reaches a host: nothing that its shell could read as anything else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from forensics.errors import SweepError
from forensics.incident.sweep_blocks import PLACES
from forensics.incident.sweep_order import (
    MOST_INDICATORS,
    MOST_OF_A_KIND,
    MOST_TARGETS,
    HostQuestion,
    chosen,
    kernel_form,
    open_command,
    out_of_scope,
    raw_patterns,
    read_indicators,
    read_targets,
    sweep_id,
)
from forensics.models.indicators import Indicator, IndicatorKind
from forensics.models.sweeps import SWEEP_ID, SweepState, SweepTarget
from tests.documents.documents import FOLDER

DIGEST = "ab" * 32
ALL = f"""
# from the report
{DIGEST.upper()}
203.0.113.9
2001:DB8::7
::ffff:198.51.100.2
Updates.Evil.Example.
AKIAIOSFODNN7EXAMPLE
user: Deploy
file: Dropper.SH
{DIGEST}
"""


def test_lines_are_read_by_their_form_or_by_the_kind_before_them() -> None:
    assert [(i.kind.value, i.value) for i in read_indicators(ALL)] == [
        ("hash", DIGEST),
        ("address", "203.0.113.9"),
        ("address", "2001:db8::7"),
        ("address", "198.51.100.2"),
        ("domain", "updates.evil.example"),
        ("access key", "AKIAIOSFODNN7EXAMPLE"),
        ("user", "Deploy"),
        ("file name", "dropper.sh"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "rm -rf /",
        "file: a b.sh",
        "file: x",
        "user: a'b",
        "hash: 12",
        "ip: 1.2.3",
        "file: ../x",
        "$(id)",
        "fe80::1%eth0",
        "file: ....",
    ],
)
def test_a_line_that_cannot_be_looked_for_is_named(line: str) -> None:
    with pytest.raises(SweepError, match="1 line of the indicators cannot be read") as error:
        read_indicators(f"{DIGEST}\n{line}")
    assert repr(line) in str(error.value) and "one a line" in error.value.next_action


@pytest.mark.parametrize("platform", ["linux", "windows"])
def test_every_parameter_that_is_made_is_admitted_by_the_documents(platform: str) -> None:
    document = yaml.safe_load((FOLDER / f"sweep_{platform}.yaml").read_text("utf-8"))
    many = [Indicator(kind=IndicatorKind.ADDRESS, value=f"203.0.113.{n}") for n in range(40)]
    for indicators in ([*read_indicators(ALL), *many], read_indicators(DIGEST)):
        question = HostQuestion.of(indicators)
        for name, value in question.parameters().items():
            pattern = document["parameters"][name]["allowedPattern"]
            assert re.fullmatch(pattern, value), (name, value)


def test_an_answers_number_means_the_indicator_that_was_sent_there() -> None:
    question = HostQuestion.of(read_indicators(ALL))
    texts = question.parameters()["Texts"].split(",")
    for number, text in enumerate(texts, start=1):
        indicator = question.named("text", number)
        assert indicator is not None and indicator.value == text
    assert question.named("text", len(texts) + 1) is None and question.named("text", 0) is None
    assert question.named("registry", 1) is None


def test_addresses_have_the_form_of_proc_net() -> None:
    """proc(5), /proc/net/tcp: 127.0.0.1 is 0100007F on a little-endian machine, ::1 the word 01000000 at the end."""
    assert kernel_form("127.0.0.1") == "0100007F"
    assert kernel_form("::1") == "00000000000000000000000001000000"
    assert kernel_form("2001:db8::7") == "B80D0120000000000000000007000000"


def test_a_cases_indicators_that_no_host_takes_are_left_out_by_name() -> None:
    odd = Indicator(kind=IndicatorKind.FILE_NAME, value="it's here; rm -rf.sh")
    many = [Indicator(kind=IndicatorKind.DOMAIN, value=f"d{n}.evil.example") for n in range(MOST_OF_A_KIND + 2)]
    taken, left = chosen([odd, *many, many[0]])
    assert taken == many[:MOST_OF_A_KIND]
    assert len(left) == 3 and left[0].startswith("file name it's here") and "50 of a kind" in left[-1]


def test_targets_have_a_place_each() -> None:
    given = "i-0123456789abcdef0, 333344445555/eu-west-1/i-0123abcd\n i-0123456789abcdef0"
    found = read_targets(given, prefix="i", account_id="222233334444", region="eu-central-1")
    assert [t.name for t in found] == [
        "222233334444/eu-central-1/i-0123456789abcdef0",
        "333344445555/eu-west-1/i-0123abcd",
    ]
    assert open_command(found[1], "sw-20261121-0123456789") == (
        'forensics start i-0123abcd --account 333344445555 --in-region eu-west-1 --reason "sweep sw-20261121-0123456789"'
    )
    for wrong in ("snap-0123abcd", "x", "a/b/i-0123abcd", "333344445555/i-0123abcd", "i-0123abcd;id"):
        with pytest.raises(SweepError, match="1 target cannot be read"):
            read_targets(wrong, prefix="i", account_id="222233334444", region="eu-central-1")
    with pytest.raises(SweepError):
        read_targets("i-0123abcd", prefix="i", account_id="", region="eu-central-1")


def test_only_the_deployments_accounts_and_regions_are_touched() -> None:
    target = SweepTarget(account_id="333344445555", region="eu-west-1", subject="i-0123abcd")
    given: dict[str, Any] = {"accounts": ["333344445555"], "regions": ["eu-west-1"]}
    assert out_of_scope(target, **given) == "" == out_of_scope(target, **given | {"accounts": []})
    assert "none of the deployment's member accounts" in out_of_scope(target, **given | {"accounts": ["111122223333"]})
    assert "none of the deployment's Regions" in out_of_scope(target, **given | {"regions": ["eu-central-1"]})


def test_in_raw_blocks_texts_are_looked_for_in_both_encodings() -> None:
    found = {pattern for _, pattern in raw_patterns(read_indicators(ALL))}
    assert {b"dropper.sh", "dropper.sh".encode("utf-16-le"), b"akiaiosfodnn7example"} <= found
    assert DIGEST.encode() not in found and b"deploy" not in found


def test_a_run_has_one_id_in_every_try() -> None:
    at = datetime(2026, 11, 21, 3, tzinfo=UTC)
    assert sweep_id("manual__1", at=at) == sweep_id("manual__1", at=at) != sweep_id("manual__2", at=at)
    assert re.fullmatch(SWEEP_ID, sweep_id("manual__1", at=at))


def test_the_page_states_the_limits_the_kinds_and_the_results_as_they_are() -> None:
    page = (FOLDER.parent / "docs" / "sweep.md").read_text("utf-8")
    assert f"takes {MOST_INDICATORS} indicators, {MOST_OF_A_KIND} of a kind, and {MOST_TARGETS} targets" in page
    assert f"with up to {['no', 'one', 'two', 'three'][PLACES]} places each" in page
    assert all(f"| {state.value} |" in page for state in SweepState)
    assert all(kind.value in page.replace("SHA-256", "hash") for kind in IndicatorKind)
