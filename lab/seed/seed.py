"""Make the resources of the lab's three accounts, through boto3 as a deployment would.

``python -m lab.seed --endpoint URL --state DIR`` writes ``DIR/lab.json`` (every id) and ``DIR/airflow.env``
(the product's settings). A lab can be seeded once; restart the lab server for another.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError

from forensics.settings import PREFIX, Settings, load
from lab.accounts import FORENSIC_ACCOUNT, MEMBER_ACCOUNT, REGION, SECURITY_ACCOUNT
from lab.evidence.images import Images, image_cache
from lab.paths import write_private
from lab.seed import stacks as seed_stacks
from lab.seed.accounts import Account, forensic_account, security_account
from lab.seed.drill import drill_canary
from lab.seed.member import controller, member_account, product_in_member_account

# What the product waits for is seconds away in the lab, so it looks often. How long it may take stays as on AWS: the lab's
# machine may be busy.
LAB_SETTINGS = {
    # Security Hub's administrator sends the findings of the member account's instances
    "administrator_accounts": SECURITY_ACCOUNT,
    "member_accounts": MEMBER_ACCOUNT,
    # the benchmark and the tests isolate more targets at once than the defaults let go without approval
    "isolation_cap_all": "200",
    "isolation_cap_account": "100",
    # a drill is a whole case: by hand only
    "drill_schedule": "never",
    "poll_seconds": "0.5",
    "queue_poll_seconds": "0.25",
    "finding_visibility_seconds": "20",
}


class SeedError(RuntimeError):
    """The lab cannot be seeded; the message says which step failed, why and what to do next."""


def seed(
    endpoint: str,
    state: Path,
    *,
    latencies: dict[str, float] | None = None,
    images: Images | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Make everything and return what ``lab.json`` holds.

    ``latencies`` are the lab's settings of its slow operations (``snapshot_seconds``, …), in seconds.
    Raises :class:`SeedError`.
    """
    forensic, security, member = (
        Account(account, endpoint) for account in (FORENSIC_ACCOUNT, SECURITY_ACCOUNT, MEMBER_ACCOUNT)
    )
    _refuse_second(forensic)
    control = controller(endpoint)
    external_id = secrets.token_hex(16)
    made: dict[str, Any] = {
        "endpoint": endpoint,
        "region": REGION,
        "accounts": {"forensic": FORENSIC_ACCOUNT, "security": SECURITY_ACCOUNT, "member": MEMBER_ACCOUNT},
    }
    identity: dict[str, str] = {}
    if os.environ.get("LAB_DEPLOY") == "templates":
        with _Step("stacks of the three accounts", report=report):
            made |= seed_stacks.deploy(endpoint, external_id=external_id)
            role = {"role_arn": made["execution_role_arn"], "service": "airflow-env.amazonaws.com", "name": "airflow"}
            identity = control("service-session", {**role, "place": "control"})
            control("iam", {"enforce": True})
            # what MWAA's network configuration would say
            airflow = {
                "account": FORENSIC_ACCOUNT, "region": REGION,
                "subnets": [made["control_subnet_id_a"], made["control_subnet_id_b"]],
                "groups": [made["mwaa_security_group_id"]],
            }  # fmt: skip
            control("network", {"enforce": True, "places": {"control": airflow}})
    else:
        with _Step("forensic account", report=report):
            made |= forensic_account(forensic, external_id=external_id)
        with _Step("security account", report=report):
            made |= security_account(security, bus_arn=made["bus_arn"], external_id=external_id)
            product_in_member_account(member, external_id=external_id)
    control("config", {"forensic_ami_id": made["forensic_ami_id"]})
    with _Step("instances of the member account", report=report):
        images = images or Images(image_cache(state))
        made |= member_account(member, images=images, control=control)
        if not identity:  # of the templates, drill-canary needs a VPC that is there before
            network = made["member_network"]
            made |= drill_canary(member, network=network, images=images, external_id=external_id, control=control)
    if latencies:
        with _Step("latencies", report=report):
            control("config", dict(latencies))
    _write(made, state=state, identity=identity)
    return made


class _Step:
    """Names the step in what goes wrong, and reports its seconds."""

    def __init__(self, what: str, *, report: Callable[[str], None]) -> None:
        self._what, self._report = what, report
        self._began = time.monotonic()

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is None:
            self._report(f"{self._what}: {time.monotonic() - self._began:.1f} s")
        elif isinstance(error, BotoCoreError | ClientError | RuntimeError | OSError | requests.RequestException):
            msg = (
                f"seeding the {self._what} failed: {type(error).__name__}: {error}. "
                "Restart the lab server (it forgets everything) and seed again."
            )
            raise SeedError(msg) from error


def _refuse_second(forensic: Account) -> None:
    try:
        buckets = forensic.client("s3").list_buckets()["Buckets"]
    except (BotoCoreError, ClientError) as error:
        msg = f"the lab at {forensic.endpoint} does not answer: {error}. Start it with `python -m lab.emulator.server`."
        raise SeedError(msg) from error
    if any(bucket["Name"].startswith("forensics-") for bucket in buckets):
        msg = (
            f"the lab at {forensic.endpoint} is seeded already; restart the lab server to begin again "
            "(its resources live in memory)"
        )
        raise SeedError(msg)


def settings_of(made: dict[str, Any]) -> dict[str, str]:
    """Return the product's settings for a seeded lab, checked by the product itself."""
    elsewhere = set(LAB_SETTINGS) | {"forensic_account_id"}
    taken = [name for name in Settings.model_fields if name in made and name not in elsewhere]
    values = {"forensic_account_id": FORENSIC_ACCOUNT, **{name: made[name] for name in taken}, **LAB_SETTINGS}
    variables = {f"{PREFIX}{name.upper()}": value for name, value in values.items()}
    load(variables)
    return variables


def _write(made: dict[str, Any], *, state: Path, identity: dict[str, str]) -> None:
    # deployed by templates, Airflow is its execution role and nothing more, as on MWAA
    keys = {f"AWS_{name.upper()}": value for name, value in identity.items()}
    lines = "".join(f"{name}={value}\n" for name, value in {**settings_of(made), **keys}.items())
    write_private(state / "airflow.env", text=lines)
    # last: who finds lab.json finds a seeded lab
    write_private(state / "lab.json", text=json.dumps(made, indent=1))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.seed", description="Make the lab's resources.")
    parser.add_argument("--endpoint", required=True, help="address of the lab server")
    parser.add_argument("--state", type=Path, required=True, help="directory for lab.json and airflow.env")
    parser.add_argument("--latencies", type=json.loads, default={}, help="JSON: seconds of slow operations")
    given = parser.parse_args()
    try:
        seed(given.endpoint, given.state, latencies=given.latencies)
    except SeedError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0
