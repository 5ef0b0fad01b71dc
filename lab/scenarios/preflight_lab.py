"""A deployment in the lab that a preflight can be run on: the stacks of the templates, the intake, the preflight in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from forensics.aws import session as aws_session
from forensics.aws.hook import ForensicsHook
from forensics.aws.sqs import FindingQueue
from forensics.intake.engine import IntakeEngine
from forensics.intake.finding_handler import FindingHandler, IntakeGateways
from forensics.intake.run_orders import TriggeredDags
from forensics.models.preflight import CheckResult, PreflightReport
from forensics.preflight.pages_reach import reach_of_pages, record_pages
from forensics.preflight.plan import run_preflight
from forensics.preflight.scope import PreflightScope, Target
from forensics.settings import PREFIX, get_settings
from lab.accounts import REGION
from lab.evidence.images import Images
from lab.paths import ROOT
from lab.progress import wait_until
from lab.seed import seed
from lab.seed.accounts import Account
from lab.stack import airflow
from lab.stack.process import cpu_seconds
from lab.stack.stack import read_variables
from lab.stack.state import free_port

SOURCE = "forensics.preflight"
# The lab shares its machine with others: what AWS answers within seconds may take it longer. Without a way it does not answer at all.
PATIENCE = 20.0
AWAITED = {"PK": {"S": "CASE#fc-preflight"}, "SK": {"S": "HEARTBEATSINCE"}}
LONG_AGO = "2026-01-01T00:00:00.000000Z"
HEARTBEAT = {"PK": {"S": "CASE#fc-preflight"}, "SK": {"S": "HEARTBEAT"}}


@dataclass
class Deployment:
    """A seeded lab: clients as the accounts' administrators, its control routes, and the preflight on it."""

    endpoint: str
    facts: dict[str, Any]
    runs: int = field(default=0)

    def client(self, service: str, account: str = "forensic", region: str = REGION) -> Any:
        """A boto3 client that acts as the root of an account."""
        return Account(self.facts["accounts"].get(account, account), self.endpoint, region).client(service)

    def control(self, route: str, body: Any = None) -> Any:
        """Post to, or read, one of the lab's own routes."""
        url = f"{self.endpoint}/_lab/{route}"
        answer = requests.post(url, json=body, timeout=120) if body is not None else requests.get(url, timeout=120)
        answer.raise_for_status()
        return answer.json()

    @property
    def target(self) -> Target:
        """The instance that the full part works on."""
        found = self.facts["instances"]["web-server"] if "instances" in self.facts else self.facts["web_server"]
        return Target(found["account"], found["region"], found["instance_id"])

    def heartbeat(self, *, taken: bool = True) -> None:
        """Forget the last test event, send another one as the schedule does, and (``taken``) let the intake take it."""
        table = self.client("dynamodb")
        table.delete_item(TableName=self.facts["case_table"], Key=HEARTBEAT)
        # the deployment is not new: a test event that does not come is a fault
        table.put_item(TableName=self.facts["case_table"], Item={**AWAITED, "data": {"M": {"at": {"S": LONG_AGO}}}})
        entry = {"Source": SOURCE, "DetailType": "Forensics Preflight", "Detail": json.dumps({"purpose": "preflight"})}
        self.client("events", "security").put_events(Entries=[entry])
        if taken:
            self.intake()

    def intake(self) -> None:
        """Let the intake empty the queue, as a task of finding_intake does."""
        hook = ForensicsHook()
        gateways = IntakeGateways.of(hook.own(), hook.settings, session=hook.session, for_case=hook.for_case)
        handler = FindingHandler(gateways, hook.settings, TriggeredDags("forensic_case", None, None))
        engine = IntakeEngine(FindingQueue.of(hook.own(), hook.settings), handler, urgent_rank=0)
        engine.run(seconds=60)

    def open_page(self) -> None:
        """What opening the preflight's page does (here the web server is this process)."""
        from forensics.aws.case_store import CaseStore

        hook = ForensicsHook()
        record_pages(CaseStore.of(hook.own(), hook.settings), reach_of_pages(hook))

    def preflight(self, *, full: bool = False) -> PreflightReport:
        """One preflight with fresh sessions."""
        aws_session.forget()
        self.runs += 1
        scope = PreflightScope(
            ForensicsHook(), run=f"run-{self.runs}", full=full, target=self.target if full else None, patience=PATIENCE
        )
        return run_preflight(scope)

    def checks(self, name: str, *, full: bool = False) -> list[CheckResult]:
        """The lines of one check."""
        return [r for r in self.preflight(full=full).results if r.check == name]


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """The product's settings and Airflow's identity for the length of a with block, with nothing else of AWS."""
    before = dict(os.environ)
    for name in [n for n in os.environ if n.startswith(("AWS_", PREFIX))]:
        del os.environ[name]
    os.environ.update(values)
    try:
        refresh()
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        refresh()


def refresh() -> None:
    """Read settings and identity afresh."""
    get_settings.cache_clear()
    aws_session.forget()


@contextmanager
def deployed(state: Path, images: Images) -> Iterator[Deployment]:
    """A fresh lab server, the stacks of the templates in it, and this process as Airflow."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    log = state / "lab.log"
    clean = {**airflow.clean(dict(os.environ)), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    command = [sys.executable, "-m", "lab.emulator.server", "--state", str(state), "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=ROOT, env=clean, stdout=output, stderr=output)
    try:
        _wait(endpoint, server, log)
        with environment({"LAB_DEPLOY": "templates"}):
            facts = seed.seed(endpoint, state, images=images, report=lambda _: None)
        values = {
            name: value
            for name, value in {**airflow.SETTINGS, **read_variables(state / "airflow.env")}.items()
            if name.startswith(("AWS_", PREFIX))
        }
        with environment({**values, "AWS_ENDPOINT_URL": endpoint, f"{PREFIX}POLL_SECONDS": "0.1"}):
            yield prepared(Deployment(endpoint, facts))
    finally:
        server.terminate()
        server.wait()


def prepared(deployment: Deployment) -> Deployment:
    """What a person does after a deployment: the e-mail is confirmed, the page opened once; and a test event has come."""
    made = deployment
    arn = made.facts["topic_arn"]
    made.client("sns").subscribe(TopicArn=arn, Protocol="email", Endpoint="soc@forensics.invalid")
    made.control("config", {"snapshot_seconds": 0.2, "copy_seconds": 0.2, "network_silence_seconds": 3.5})
    made.heartbeat()
    made.open_page()
    return made


def _wait(endpoint: str, server: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        if server.poll() is not None:
            raise RuntimeError(f"the lab has ended: {log.read_text()[-2000:]}")
        try:
            return requests.get(f"{endpoint}/_lab/health", timeout=60).ok
        except requests.RequestException:
            return False

    wait_until(answers, what=f"the lab to answer (log in {log})", progress=lambda: cpu_seconds(server.pid), pause=0.1)


def now() -> float:
    """Seconds, for durations."""
    return time.monotonic()
