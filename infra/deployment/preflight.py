"""``python -m infra.deployment.preflight CONFIG``: the last preflight's result, or a new one, in a shell.

The checks run where cases run: their roles let nobody else assume them, and the network of a shell is another one. This reads the last
result from the case store; ``--run`` first starts the DAG through MWAA's REST API and waits for its end; ``--heartbeat`` sends a test event
from the security account at once, for a deployment that is younger than the schedule's quarter of an hour.

Exit status: 0 nothing is broken; 1 something is; 2 there is no result, or none of today; 3 it could not be read or started.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from forensics.aws.case_store import CaseStore
from forensics.deployment import DEFAULT
from forensics.errors import ForensicsError
from forensics.models.preflight import CheckStatus, PreflightReport, ReadinessReport
from forensics.naming import PREFLIGHT
from infra.deployment import configuration
from infra.deployment.configuration import Configuration, PlanError
from infra.deployment.deploy import clients_of
from infra.deployment.stacks import Clients, DeployError

DAG = "forensic_preflight"
TABLE = "forensics-cases"  # default of CaseTableName in infra/cloudformation/case-store.yaml
STALE = timedelta(hours=30)
OK, BROKEN, NO_RESULT, FAILED = range(4)
_POLL_SECONDS = 10.0
_ENDED = frozenset({"success", "failed"})


class PreflightError(RuntimeError):
    """The DAG could not be started, or did not end as a DAG run ends."""


def last_report(store: CaseStore, part: str) -> PreflightReport | None:
    """The last report of a part."""
    return store.get(PREFLIGHT, f"LAST#{part}", PreflightReport)


def verdict(report: PreflightReport | None, *, now: datetime) -> int:
    """The exit status of a report."""
    if report is None or now - report.at > STALE:
        return NO_RESULT
    return BROKEN if report.counts[CheckStatus.BROKEN] else OK


def text(report: PreflightReport | None, readiness: ReadinessReport | None) -> str:
    """The report for a person: every line that is not in order, with its next action."""
    if report is None:
        return f"No preflight has been recorded: start the DAG {DAG}, or use --run.\n"
    lines = [f"{report.part} preflight of {report.at:%Y-%m-%d %H:%M}Z, {report.seconds:.0f} s: {report.headline}"]
    for line in report.results:
        if line.status is not CheckStatus.OK:
            lines.append(f"  {line.status.value.upper()} {line.check} {line.subject}: {line.detail}")
            lines.append(f"      next: {line.next_action}")
    if readiness is not None:
        lines.append(
            f"{readiness.unready_count} of {readiness.instances} running instances could not be captured today"
        )
    return "\n".join(lines) + "\n"


def start(mwaa: Any, environment: str, *, part: str, instance: str, account: str) -> str:
    """Start the DAG through MWAA; returns the run's id. Raises :class:`PreflightError`."""
    body = {"logical_date": None, "conf": {"part": part, "instance_id": instance, "account_id": account}}
    answer = _rest(mwaa, environment, "POST", f"/dags/{DAG}/dagRuns", body)
    return str(answer["dag_run_id"])


def wait(mwaa: Any, environment: str, run_id: str, *, pause: Callable[[float], None] = time.sleep) -> str:
    """Wait for a run's end; returns its state."""
    while True:
        state = str(_rest(mwaa, environment, "GET", f"/dags/{DAG}/dagRuns/{run_id}", None)["state"])
        if state in _ENDED:
            return state
        pause(_POLL_SECONDS)


def _rest(mwaa: Any, environment: str, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    request = {"Name": environment, "Method": method, "Path": path, **({"Body": body} if body is not None else {})}
    answer = mwaa.invoke_rest_api(**request)
    status = int(answer.get("RestApiStatusCode", 0))
    if not 200 <= status < 300:
        msg = (
            f"{method} {path} of environment {environment}: Airflow answered {status}: {answer.get('RestApiResponse')}"
        )
        raise PreflightError(f"{msg}. Start the DAG {DAG} in Airflow's UI instead")
    return dict(answer["RestApiResponse"])


def heartbeat(events: Any, *, deployment_id: str = DEFAULT) -> None:
    """Send the test event that the schedule sends. Raises :class:`PreflightError` when EventBridge refuses it."""
    entry = {
        "Source": f"{deployment_id}.preflight",
        "DetailType": "Forensics Preflight",
        "Detail": '{"purpose": "preflight"}',
    }
    answer = events.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        msg = f"EventBridge refused the test event: {answer['Entries']}"
        raise PreflightError(msg)


def _carry_out(given: argparse.Namespace, config: Configuration, clients: Clients) -> int:
    (forensic,) = config.account_ids("forensic")
    store = CaseStore(
        clients(forensic, config.region, "dynamodb"),
        table=str(config.parameters.get("CaseTableName", config.named(TABLE))),
    )
    if given.heartbeat:
        (security,) = config.account_ids("security")
        heartbeat(clients(security, config.region, "events"), deployment_id=config.deployment_id)
    if given.run:
        mwaa = clients(forensic, config.region, "mwaa")
        environment = str(config.parameters.get("EnvironmentName", config.deployment_id))
        run_id = start(mwaa, environment, part=given.part, instance=given.instance, account=given.account)
        print(f"{DAG} {run_id}: {wait(mwaa, environment, run_id)}", file=sys.stderr)
    report = last_report(store, given.part)
    readiness = store.get(PREFLIGHT, "READINESS", ReadinessReport)
    if given.json:
        print(json.dumps({"report": _json(report), "readiness": _json(readiness)}, indent=1))
    else:
        print(text(report, readiness), end="")
    return verdict(report, now=datetime.now(UTC))


def _json(model: PreflightReport | ReadinessReport | None) -> Any:
    return model.model_dump(mode="json") if model else None


def main(arguments: list[str] | None = None, *, make: Callable[[Configuration], Clients] = clients_of) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deployment.preflight", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("config", type=Path, help="your configuration (infra/deployment.example.yaml)")
    parser.add_argument("--part", choices=["quick", "full"], default="quick")
    parser.add_argument("--run", action="store_true", help="start the DAG and wait for its end")
    parser.add_argument("--heartbeat", action="store_true", help="send a test event from the security account first")
    parser.add_argument("--instance", default="", help="a spare instance, for the full part")
    parser.add_argument("--account", default="", help="its account")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args(arguments)
    try:
        config = configuration.read(given.config)
        return _carry_out(given, config, make(config))
    except (PlanError, DeployError, PreflightError, ForensicsError, BotoCoreError, ClientError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
