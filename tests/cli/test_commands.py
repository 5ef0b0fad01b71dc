"""The command ``forensics``: what it asks, writes and ends with."""

from __future__ import annotations

import argparse
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forensics.models.case import CaseStatus
from forensics.models.indicators import Indicator, IndicatorKind
from forensics.models.preflight import CheckStatus
from forensics.models.sweeps import SweepHit, SweepOrder, SweepReport, SweepState, SweepTarget, SweptTarget
from forensics_cli import runs, sweeps, watching
from forensics_cli.api import Api
from forensics_cli.faults import Exit, Unreachable
from forensics_cli.main import main, parser
from forensics_cli.printing import plain
from tests.cli.airflow_api import RUN_AT, Site, api_of, preflight_report
from tests.unit.report import sample
from tests.unit.web.test_app import Shelf

ROOT = Path(__file__).resolve().parents[2]
CASE = sample.CASE_ID
RUN_ID = "manual__2026-11-24T03:12:00+00:00"


@pytest.fixture
def site() -> Site:
    return Site(Shelf({CASE: sample.rich_view()}))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses pass at once."""
    pauses: list[float] = []
    monkeypatch.setattr(
        watching, "checked_pace", lambda every: watching.Pace(every, pauses.append, lambda: sum(pauses))
    )
    for module in ("cases", "runs", "sweeps"):
        monkeypatch.setattr(f"forensics_cli.{module}.checked_pace", watching.checked_pace)
    return pauses


def call(site: Site, *arguments: str, token: str = "good") -> int:
    return main(arguments, make_api=lambda _: api_of(site, token=token))


def test_list_shows_the_board_and_passes_filters_on(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(site, "list") == Exit.GOOD
    assert CASE in capsys.readouterr().out
    assert call(site, "list", "--status", "OPEN", "--json") == Exit.GOOD
    found = json.loads(capsys.readouterr().out)
    assert all(row["case"]["status"] == "OPEN" for row in found)
    assert call(site, "list", "no such text anywhere") == Exit.GOOD
    assert capsys.readouterr().out == "no case\n"
    assert call(site, "list", "--status", "WRONG") == Exit.BAD
    assert "What to do next" in capsys.readouterr().err


def test_list_follows_the_pages(capsys: pytest.CaptureFixture[str]) -> None:
    views = {f"fc-20261124-{n:010x}": sample.rich_view() for n in range(230)}
    views = {k: v.model_copy(update={"case": v.case.model_copy(update={"case_id": k})}) for k, v in views.items()}
    assert call(Site(Shelf(views)), "list", "--limit", "1000", "--json") == Exit.GOOD
    found = json.loads(capsys.readouterr().out)
    assert {row["case"]["case_id"] for row in found} == set(views)


def test_show_says_what_a_responder_asks_and_the_status_says_whether_it_is_good(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    view = site.shelf.views[CASE]
    for status, code in (
        (CaseStatus.OPEN, 0),
        (CaseStatus.CLOSED, 0),
        (CaseStatus.CLOSED_WITH_GAPS, 1),
        (CaseStatus.FAILED, 1),
    ):
        site.shelf.views[CASE] = view.model_copy(update={"case": view.case.model_copy(update={"status": status})})
        assert call(site, "show", CASE) == code
        said = capsys.readouterr().out
        assert CASE in said and "Contained" in said and f"https://airflow.example.com/forensics/case/{CASE}" in said
    assert call(site, "show", CASE, "--json") == 1
    assert json.loads(capsys.readouterr().out)["case_id"] == CASE


def test_text_of_the_target_never_reaches_the_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = sample.rich_view()
    case = hostile.case.model_copy(
        update={"title": "\x1b]0;owned\x07 \u202egpj.exe \x9b31m \u2028", "status": CaseStatus.OPEN}
    )
    site = Site(Shelf({CASE: hostile.model_copy(update={"case": case})}))
    for command in (
        ["list"],
        ["list", "--json"],
        ["show", CASE],
        ["show", CASE, "--json"],
        ["timeline", CASE],
        ["timeline", CASE, "--json"],
    ):
        assert call(site, *command) == Exit.GOOD
        said = capsys.readouterr().out
        assert said and all(c == "\n" or (c.isprintable() and c not in "\u2028\u202e") for c in said), command


def test_plain_keeps_words_and_bounds_their_length() -> None:
    assert plain("Grüße\t日本") == "Grüße 日本"
    assert plain("\x1b[2J\U000e0001") == "\\u001b[2J\\U000e0001"
    assert len(plain("a" * 10_000)) == 400


def test_timeline_is_the_whole_one_in_order_and_filtered(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(site, "timeline", CASE, "--json") == Exit.GOOD
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert entries and [e["time"] for e in entries] == sorted(e["time"] for e in entries)
    assert call(site, "timeline", CASE, "--limit", "3") == Exit.GOOD
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert call(site, "timeline", CASE, "--text", "nothing says this") == Exit.UNKNOWN
    assert call(site, "timeline", CASE, "--since", "yesterday") == Exit.BAD
    assert "2026-11-24T03:00" in capsys.readouterr().err
    assert call(site, "timeline", CASE, "--limit", "0") == Exit.USAGE


def test_start_gives_the_forms_fields_and_leaves_defaults_to_the_dag(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("start", "i-0123456789abcdef0", "--account", "333344445555", "--in-region", "eu-central-1")
    assert call(site, *options, "--reason", "odd logins") == Exit.GOOD
    assert site.started == [
        ("forensic_case", {"instance_id": "i-0123456789abcdef0", "account_id": "333344445555", "region": "eu-central-1",
                           "actions": "by-policy", "reason": "odd logins"})
    ]  # fmt: skip
    said = capsys.readouterr()
    assert said.out == f"{RUN_ID}\n" and f"forensics watch {RUN_ID}" in said.err
    site.refuse = "{'account_id': does not match"
    assert call(site, *options) == Exit.BAD
    assert "does not match" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [("start", "i-xyz", "--account", "333344445555", "--in-region", "x"), ("show", "fc-1"), (), ("start", "i-01234567")]
)  # fmt: skip
def test_a_wrong_command_line_asks_nobody(site: Site, options: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        call(site, *options)
    assert ended.value.code == Exit.USAGE and site.started == []


def test_watching_a_run_waits_for_its_case_and_says_each_change_once(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    running, ended = sample.running_view(), sample.rich_view()
    views = [running, running, running, ended]
    site.shelf.case_view = lambda _: views.pop(0) if len(views) > 1 else views[0]  # type: ignore[method-assign]
    site.states, site.opens = ["queued", "running"], [None, None, CASE]
    site.tasks = {"memory.capture_memory": "deferred", "report.close_case": "success"}
    code = call(site, "watch", RUN_ID)
    said = capsys.readouterr()
    assert code == (Exit.GOOD if ended.case.status is CaseStatus.CLOSED else Exit.BAD)
    assert said.err.count("under way: memory.capture_memory (deferred)") == 1
    assert said.err.count("no case yet") == 2 and CASE in said.out


def test_a_run_that_ends_without_a_case_ends_the_watch(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.states = ["failed"]
    assert call(site, "watch", RUN_ID) == Exit.BAD
    assert "read the log of open_case" in capsys.readouterr().err


def test_watching_outlives_a_restart_of_airflow_and_gives_up_in_the_end(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    asked, real = [], Api.case

    def flaky(self: Api, case_id: str) -> Any:
        asked.append(case_id)
        if len(asked) < 4:
            raise Unreachable("airflow does not answer", next_action="wait")
        return real(self, case_id)

    monkeypatch.setattr(Api, "case", flaky)
    assert call(site, "watch", CASE, "--json") in {Exit.GOOD, Exit.BAD}
    assert capsys.readouterr().err.count("asked again") == 1

    def gone(self: Api, case_id: str) -> Any:
        raise Unreachable("airflow does not answer", next_action="wait")

    monkeypatch.setattr(Api, "case", gone)
    assert call(site, "watch", CASE) == Exit.UNREACHABLE
    assert watching.PATIENCE_SECONDS <= sum(no_waiting) < watching.PATIENCE_SECONDS + 30


def test_ctrl_c_says_what_goes_on(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    site.shelf.views[CASE] = sample.running_view()
    monkeypatch.setattr("forensics_cli.cases.checked_pace", lambda every: watching.Pace(every, interrupted))
    assert call(site, "watch", CASE) == Exit.INTERRUPTED
    assert "the case goes on; watch it again" in capsys.readouterr().err


@pytest.mark.parametrize(("last", "code"), [("success", Exit.GOOD), ("skipped", Exit.BAD), ("failed", Exit.BAD)])
def test_release_waits_and_is_good_only_when_it_was_carried_out(
    site: Site, capsys: pytest.CaptureFixture[str], last: str, code: Exit
) -> None:
    site.states = ["running", "failed" if last == "failed" else "success"]
    site.tasks = {"plan_release": "success", "release_target": last}
    assert call(site, "release", CASE, "--reason", "false alarm", "--wait") == code
    assert site.started == [("forensic_release", {"case_id": CASE, "dry_run": False, "reason": "false alarm"})]
    assert f"release_target {last}" in capsys.readouterr().out


def test_export_names_the_recipient_and_waits(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.tasks = {"export_case": "success"}
    assert call(site, "export", CASE, "--for", "Court of X", "--wait", "--json") == Exit.GOOD
    assert site.started == [("case_export", {"case_id": CASE, "requester": "Court of X", "largest_mib": 1024})]
    assert json.loads(capsys.readouterr().out)["done"] is True
    assert call(site, "export", CASE, "--largest-mib", "-1") == Exit.USAGE


@pytest.mark.parametrize(("status", "code"), [(CheckStatus.OK, Exit.GOOD), (CheckStatus.BROKEN, Exit.BAD)])
def test_preflight_shows_what_is_broken_of_this_run(
    site: Site, capsys: pytest.CaptureFixture[str], status: CheckStatus, code: Exit
) -> None:
    site.reports = (preflight_report(status, at=RUN_AT + timedelta(minutes=1)),)
    assert call(site, "preflight") == code
    said = capsys.readouterr().out
    assert ("What to do next: deploy" in said) is (status is CheckStatus.BROKEN) and "\x1b" not in said
    site.reports = (preflight_report(CheckStatus.OK, at=RUN_AT - timedelta(days=1)),)
    assert call(site, "preflight") == Exit.BAD, "yesterday's result is not this run's"
    assert call(site, "preflight", "--last") == Exit.GOOD
    site.reports = ()
    assert call(site, "preflight", "--last") == Exit.UNKNOWN


def swept(state: SweepState, **more: Any) -> dict[str, Any]:
    """A report of one target, as ``conclude_sweep`` returns it."""
    target = SweepTarget(account_id="333344445555", region="eu-central-1", subject="i-0123456789abcdef0")
    order = SweepOrder(sweep_id="sw-20261124-0123456789", at=RUN_AT, asked_by="mara", case_id=CASE, indicators=(Indicator(kind=IndicatorKind.HASH, value="ab" * 32),), targets=(target,), unsearched=("file 'a b'",))  # fmt: skip
    report = SweepReport(order=order, ended_at=RUN_AT, targets=(SweptTarget(target=target, state=state, **more),))
    return report.model_dump(mode="json")


@pytest.mark.parametrize("state", list(SweepState))
def test_sweep_waits_and_is_good_only_when_all_was_looked_at_and_nothing_found(
    site: Site, capsys: pytest.CaptureFixture[str], state: SweepState
) -> None:
    hits = (
        (SweepHit(kind=IndicatorKind.HASH, value="ab" * 32, at="/tmp/x\x1b[31m"),) if state is SweepState.FOUND else ()
    )
    site.opens, site.states = [swept(state, hits=hits, reason="no agent")], ["running", "success"]
    asked = ("sweep", CASE, "--on", "i-0123456789abcdef0", "--on", "333344445555/eu-west-1/snap-0123456789abcdef0")
    code = call(site, *asked, "--account", "333344445555", "--seconds", "60", "--wait")
    assert code == (Exit.GOOD if state is SweepState.NOT_FOUND else Exit.BAD)
    assert site.started == [("forensic_sweep", {
        "case_id": CASE, "instances": "i-0123456789abcdef0", "snapshots": "333344445555/eu-west-1/snap-0123456789abcdef0",
        "account_id": "333344445555", "seconds": 60,
    })]  # fmt: skip
    said = capsys.readouterr().out
    assert state.value in said and "not looked for: file 'a b'" in said and "\x1b" not in said
    start = 'forensics start i-0123456789abcdef0 --account 333344445555 --in-region eu-central-1 --reason "sweep sw-20261124-0123456789"'
    assert (start in said) is (state is SweepState.FOUND)


def test_a_sweep_without_results_says_where_to_read_why(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.states, target = ["failed"], "333344445555/eu-west-1/i-0123456789abcdef0"
    assert call(site, "sweep", "--indicator", "203.0.113.9", "--on", target, "--wait") == Exit.BAD
    assert "read the logs of plan_sweep" in capsys.readouterr().out
    assert site.started[0][1]["indicators"] == "203.0.113.9"
    for wrong in (["--on", target], ["--indicator", "x", "--on", "i-0123456789abcdef0"]):
        assert call(site, "sweep", *wrong) == Exit.USAGE
    assert "What to do next" in capsys.readouterr().err and len(site.started) == 1


def test_what_sweep_gives_is_what_the_form_takes() -> None:
    from dags import forensic_sweep

    given = {
        "case_id",
        "indicators",
        "instances",
        "snapshots",
        "account_id",
        "region",
        "files",
        "mib",
        "seconds",
        "blocks",
        "reason",
    }
    assert given == set(forensic_sweep.plan.dag.params)
    assert (SweepState.FOUND.value, SweepState.NOT_FOUND.value) == (sweeps.FOUND, sweeps.NOT_FOUND)


def test_refusals_have_their_own_status_and_say_what_to_do(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(site, "show", CASE, token="old") == Exit.REFUSED
    assert "sign in again" in capsys.readouterr().err
    assert call(site, "show", "fc-20261124-0000000000") == Exit.UNKNOWN
    assert "this one is not in the case store" in capsys.readouterr().err
    site.shelf.broken = RuntimeError("secret detail")
    assert call(site, "show", CASE) == Exit.UNREACHABLE
    said = capsys.readouterr().err
    assert "What to do next" in said and "secret detail" not in said


def test_actions_and_ids_are_those_of_the_dag() -> None:
    """The DAG's file is the source: its form accepts what the command offers."""
    from dags import forensic_case

    assert tuple(forensic_case.ACTIONS) == runs.ACTIONS


def test_the_page_names_every_command_and_every_status() -> None:
    text = (ROOT / "docs" / "command.md").read_text()
    sub = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert set(re.findall(r"^\| `forensics ([a-z-]+)", text, re.MULTILINE)) == set(sub.choices)
    assert {int(n) for n in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == set(Exit)
