"""The whole stack, once for all end-to-end tests; all cases run at the same time.

Waits end when nothing moves any more (:mod:`lab.progress`); LIMIT_SECONDS is only for what moves for ever.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.scenarios.driver import Lab, finding
from lab.scenarios.targets import add_target
from lab.stack import postgres
from lab.stack.stack import Stack
from tests import memory_image

LATENCIES = {
    "snapshot_seconds": 2.0, "copy_seconds": 2.0, "instance_seconds": 1.5, "agent_seconds": 1.0, "volume_seconds": 0.5,
    "terminate_seconds": 1.0,
}  # fmt: skip
LIMIT_SECONDS = 4 * 3600
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Started:
    """A case that was started, and what it is about."""

    instance: dict[str, Any]
    run_id: str


RUNNING = pytest.StashKey[ExitStack]()


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running stack; its logs stay in pytest's temporary directory."""
    state = Path(tmp_path_factory.mktemp("e2e")) / "state"
    with ExitStack() as running:
        request.config.stash[RUNNING] = running
        # PostgreSQL as on MWAA, where the machine has it: SQLite gives up when seven cases write at the same time.
        _, url = running.enter_context(postgres.database("auto"))
        yield Lab(running.enter_context(Stack(state, latencies=LATENCIES, database=url)))


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the stack after the last test that needs it: seven processes would slow the rest down."""
    needed = nextitem is not None and "lab" in getattr(nextitem, "fixturenames", ()) and HERE in nextitem.path.parents
    if not needed and RUNNING in item.config.stash:
        item.config.stash[RUNNING].close()


@pytest.fixture(scope="session")
def cases(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Started]:
    """All cases, started and ended: the happy one by a finding, the others on instances of their own."""
    facts = {name: str(path) for name, path in memory_image.write(tmp_path_factory.mktemp("memory")).items()}
    memory = facts["memory"]
    noise = tmp_path_factory.mktemp("disk") / "noise.raw"
    noise.write_bytes(random.Random(1).randbytes(8 * memory_image.MIB))
    targets = {
        "happy": lab.instance("web-server"),
        "no-ssm": lab.instance("db-server"),
        "no-memory": add_target(lab, "no-memory", memory=None),
        "bad-snapshot": add_target(lab, "bad-snapshot", managed=False),
        "unreadable": add_target(
            lab, "unreadable", memory=memory, kernel={n: facts[n] for n in ("version", "iomem")}, disk=noise
        ),
        "killed": add_target(lab, "killed", managed=False),
        "raised": add_target(lab, "raised", managed=False),
    }
    bad_volume = next(iter(targets["bad-snapshot"]["volumes"].values()))
    lab.control(
        "snapshot",
        {
            "match": {"volume_id": bad_volume},
            "fail_at": 0.5,
            "message": "Client.InternalError: key disabled",
            "times": 99,
        },
    )
    lab.control("faults", [{"service": "ec2", "action": "LockSnapshot", "match": "", "latency": 0.7}])
    since = datetime.now(UTC).replace(microsecond=0)
    started = {}
    for name, target in targets.items():
        if name == "killed":
            conf = {"account_id": target["account"], "region": target["region"], "instance_id": target["instance_id"]}
            run = lab.trigger(
                {**conf, "actions": "disk+isolate", "reason": "test of a killed task", "requester": "e2e"},
                run_id="manual__killed",
            )
            started[name] = Started(target, run["dag_run_id"])
        else:
            label = "MEDIUM" if name == "raised" else "HIGH"
            lab.import_finding(finding(target, title=f"Command and control: {name}", label=label))
    from tests.e2e.killer import kill_while_snapshotting

    kill_while_snapshotting(lab, "manual__killed")
    for name, target in targets.items():
        if name not in started:
            case = lab.wait_case(target["instance_id"], not_before=since)
            started[name] = Started(target, case.case_id)
    # Its plan was made without isolation; then a more severe finding arrives.
    lab.wait_plan(started["raised"].run_id)
    lab.import_finding(finding(targets["raised"], title="Command and control: it became worse", label="CRITICAL"))
    for item in started.values():
        lab.finish(item.run_id)
    return started
