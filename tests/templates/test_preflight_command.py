"""The preflight from a shell: what it starts, what it prints, and its exit status."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forensics.aws.attributes import to_item
from forensics.models.preflight import CheckResult, CheckStatus, PreflightReport
from infra.deployment import preflight, templates
from infra.deployment.preflight import BROKEN, FAILED, NO_RESULT, OK, PreflightError, heartbeat, main, verdict, wait

NOW = datetime.now(UTC)
CONFIG = templates.ROOT / "infra" / "deployment.example.yaml"


def report(status: CheckStatus, *, age: timedelta = timedelta()) -> PreflightReport:
    line = CheckResult(
        check="roles", subject="forensics-triage", status=status, detail="denied", next_action="deploy it"
    )
    return PreflightReport.of([line], run="r", part="quick", at=NOW - age, seconds=41)


class Accounts:
    """Clients of the forensic and the security account."""

    def __init__(self, held: PreflightReport | None, *, states: tuple[str, ...] = ("running", "success")) -> None:
        self.held = held
        self.states = list(states)
        self.started: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.refuse = 0

    def __call__(self, account: str, region: str, service: str) -> Any:
        return self

    def get_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:
        if self.held is None or Key["SK"]["S"] != "LAST#quick":
            return {}
        return {"Item": {"data": to_item(self.held.model_dump(mode="json"))}}

    def invoke_rest_api(self, **request: Any) -> dict[str, Any]:
        if self.refuse:
            return {"RestApiStatusCode": self.refuse, "RestApiResponse": {"detail": "no"}}
        if request["Method"] == "POST":
            self.started.append(request)
            return {"RestApiStatusCode": 200, "RestApiResponse": {"dag_run_id": "manual__1"}}
        return {"RestApiStatusCode": 200, "RestApiResponse": {"state": self.states.pop(0)}}

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.events += Entries
        return {"FailedEntryCount": 1 if self.refuse else 0, "Entries": [{"ErrorCode": "x"}]}


def run(accounts: Accounts, *more: str) -> int:
    return main([str(CONFIG), *more], make=lambda _: accounts)


@pytest.mark.parametrize(
    ("held", "status"),
    [
        (report(CheckStatus.OK), OK),
        (report(CheckStatus.NOT_TRIED), OK),
        (report(CheckStatus.BROKEN), BROKEN),
        (report(CheckStatus.OK, age=timedelta(days=2)), NO_RESULT),
        (None, NO_RESULT),
    ],
)
def test_the_exit_status_says_how_it_stands(held: PreflightReport | None, status: int) -> None:
    assert verdict(held, now=NOW) == status
    assert run(Accounts(held)) == status


def test_a_broken_line_is_printed_with_its_next_action(capsys: pytest.CaptureFixture[str]) -> None:
    run(Accounts(report(CheckStatus.BROKEN)))
    out = capsys.readouterr().out
    assert "BROKEN roles forensics-triage: denied" in out and "next: deploy it" in out


def test_json_is_the_report_as_it_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    run(Accounts(report(CheckStatus.OK)), "--json")
    assert json.loads(capsys.readouterr().out)["report"]["counts"]["ok"] == 1


def test_a_run_is_started_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_POLL_SECONDS", 0.0)
    accounts = Accounts(report(CheckStatus.OK))
    assert run(accounts, "--run", "--instance", "i-1", "--account", "333344445555") == OK
    (request,) = accounts.started
    assert (request["Name"], request["Path"]) == ("forensics", "/dags/forensic_preflight/dagRuns")
    assert request["Body"]["conf"] == {"part": "quick", "instance_id": "i-1", "account_id": "333344445555"}
    assert accounts.states == []


def test_an_airflow_that_refuses_says_what_to_do_instead(capsys: pytest.CaptureFixture[str]) -> None:
    accounts = Accounts(None)
    accounts.refuse = 403
    assert run(accounts, "--run") == FAILED
    assert "in Airflow's UI instead" in capsys.readouterr().err
    with pytest.raises(PreflightError):
        wait(accounts, "forensics", "r", pause=lambda _: None)


def test_a_test_event_is_what_the_rules_let_through() -> None:
    accounts = Accounts(report(CheckStatus.OK))
    assert run(accounts, "--heartbeat") == OK
    pattern = templates.committed()["security-account"]["Resources"]["PreflightRule"]["Properties"]["EventPattern"]
    assert [e["Source"] for e in accounts.events] == pattern["source"]
    accounts.refuse = 1
    with pytest.raises(PreflightError):
        heartbeat(accounts)


def test_the_schedule_sends_the_same_event() -> None:
    target = templates.committed()["heartbeat"]["Resources"]["Heartbeat"]["Properties"]["Target"]
    assert target["EventBridgeParameters"] == {"DetailType": "Forensics Preflight", "Source": "forensics.preflight"}


def test_a_configuration_that_is_none_is_no_result(tmp_path: Path) -> None:
    assert main([str(tmp_path / "none.yaml")], make=lambda _: Accounts(None)) == FAILED
