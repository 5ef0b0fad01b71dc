"""What waiting costs: processor time of the triggerer's loop and requests to AWS, by the number of cases that wait.

``python -m lab.scenarios.waiting --waits 10,100,500,1000`` runs so many of the product's own waits, each of a case of its own, in one process as
the triggerer does, against a server on loopback that answers as EC2 and STS do (forms: botocore's service models), in another process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs

from forensics.aws.polling import PollTrigger, Timing
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.disk.triggers import SnapshotsCompletedTrigger

ACCOUNT, MEMBER, REGION = "222233334444", "333344445555", "eu-central-1"
EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
STS = "https://sts.amazonaws.com/doc/2011-06-15/"
REQUIRED = {
    "FORENSIC_ACCOUNT_ID": ACCOUNT, "REGION": REGION, "CASE_TABLE": "t", "EVIDENCE_BUCKET": "b", "LANDING_BUCKET": "b", "TOOLS_BUCKET": "b",
    "QUEUE_URL": "q", "DEAD_LETTER_QUEUE_URL": "q", "TOPIC_ARN": "t", "EVIDENCE_KEY_ARN": "k", "SIGNING_KEY_ID": "k", "DOCUMENT_KEY_ID": "k",
    "EXTERNAL_ID": "not-a-secret-of-anybody", "ANALYSIS_SUBNET_ID": "s", "ANALYSIS_SECURITY_GROUP_ID": "g", "ANALYSIS_INSTANCE_PROFILE": "p",
    "CAPTURE_TOOL_SHA256": "0" * 64,
}  # fmt: skip


class _Aws(BaseHTTPRequestHandler):
    """Every snapshot is pending, every command runs, and every role is given; counts what is asked."""

    protocol_version = "HTTP/1.1"
    asked: dict[str, int] = {}
    commands = 0  # so many run

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers["content-length"])).decode()
        target = self.headers.get("x-amz-target", "")
        body = {} if target else parse_qs(said)
        action = target.partition(".")[2] or body["Action"][0]
        self.asked[action] = self.asked.get(action, 0) + 1
        if target:
            text = json.dumps(self._ssm(action, json.loads(said))).encode()
        else:
            text = _role() if action == "AssumeRole" else _snapshots(body)
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.1" if target else "text/xml")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _ssm(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        if action != "ListCommands":
            return {**asked, "Status": "InProgress"}
        status, at = asked["Filters"][0]["value"], int(asked.get("NextToken", 0))
        known = self.commands if status == "InProgress" else 0
        page = [{"CommandId": _command(n), "Status": status} for n in range(at, min(known, at + asked["MaxResults"]))]
        more = {"NextToken": str(at + len(page))} if at + len(page) < known else {}
        return {"Commands": page, **more}

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is written for a request."""


def _role() -> bytes:
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    return (
        f'<AssumeRoleResponse xmlns="{STS}"><AssumeRoleResult><Credentials><AccessKeyId>none</AccessKeyId><SecretAccessKey>none</SecretAccessKey>'
        f"<SessionToken>none</SessionToken><Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    ).encode()


def _snapshots(body: dict[str, list[str]]) -> bytes:
    ids = [values[0] for name, values in body.items() if re.match(r"SnapshotId\.|Filter\.1\.Value\.", name)]
    items = "".join(
        f"<item><snapshotId>{i}</snapshotId><volumeId>vol-1</volumeId><status>pending</status><startTime>2026-11-24T03:00:00.000Z</startTime>"
        f"<progress>10%</progress><ownerId>{MEMBER}</ownerId><volumeSize>8</volumeSize><description/></item>"
        for i in ids
    )
    return f'<DescribeSnapshotsResponse xmlns="{EC2}"><snapshotSet>{items}</snapshotSet></DescribeSnapshotsResponse>'.encode()


def _serve(end: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Aws)
    server.daemon_threads = True
    end.send(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while (said := end.recv()) != "end":
        if isinstance(said, int):
            _Aws.commands = said
            continue
        end.send(dict(_Aws.asked))
        _Aws.asked.clear()


@dataclass(frozen=True)
class Cost:
    """What so many waits cost each second, when all have begun."""

    waits: int
    cpu_percent: float
    requests_per_second: float
    roles_per_second: float
    seconds: float


def _command(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


Make = Callable[[dict[str, str], int, Timing], PollTrigger]


def _kinds() -> dict[str, Make]:
    """The waits that can be measured, each of a thing of its own."""

    def snapshots(scope: dict[str, str], number: int, timing: Timing) -> PollTrigger:
        return SnapshotsCompletedTrigger(scope=scope, snapshot_ids=[f"snap-{number:017x}"], **timing)

    def commands(scope: dict[str, str], number: int, timing: Timing) -> PollTrigger:
        names = [[_command(number), f"i-{number:017x}"]]
        return SsmCommandsCompletedTrigger(scope=scope, commands=names, **timing)

    return {"snapshots": snapshots, "commands": commands}


async def _measure(kind: str, waits: int, *, seconds: float, settle: float, server: Connection) -> Cost:
    made = _kinds()[kind]

    async def wait(number: int) -> None:
        case = f"fc-20261124-{number:010x}"
        scope = {"account_id": MEMBER, "region": REGION, "phase": "acquire", "case_id": case, "instance_id": ""}
        trigger = made(scope, number, {"poll": 5.0, "deadline": time.time() + 3600})
        async for _ in trigger.run():
            return

    tasks = [asyncio.create_task(wait(number)) for number in range(waits)]
    await asyncio.sleep(settle)  # all have looked once, and have what they keep
    server.send("count")
    server.recv()
    cpu, began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    used, took = time.process_time() - cpu, time.monotonic() - began
    server.send("count")
    asked: dict[str, int] = server.recv()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rate = {name: count / took for name, count in asked.items()}
    return Cost(
        waits,
        round(100 * used / took, 1),
        round(sum(rate.values()), 2),
        round(rate.get("AssumeRole", 0), 2),
        round(took, 1),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.scenarios.waiting", description=__doc__)
    parser.add_argument("--kind", default="snapshots", choices=("snapshots", "commands"), help="what is waited for")
    parser.add_argument("--waits", default="10,100,500,1000", help="numbers of waits, with commas")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each is measured")
    parser.add_argument("--settle", type=float, default=10.0, help="seconds until all have looked once")
    parser.add_argument(
        "--most-percent", type=float, default=0.0, help="fail when one needs more of a core; 0: only show"
    )
    given = parser.parse_args(arguments)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    for name in [n for n in os.environ if n.startswith(("AWS_", "AIRFLOW__FORENSICS__"))]:
        del os.environ[name]
    os.environ.update({f"AIRFLOW__FORENSICS__{name}": value for name, value in REQUIRED.items()})
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ.update({**keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{here.recv()}"})
    too_much = False
    for waits in (int(n) for n in given.waits.split(",")):
        here.send(waits)
        cost = asyncio.run(_measure(given.kind, waits, seconds=given.seconds, settle=given.settle, server=here))
        too_much |= bool(given.most_percent) and cost.cpu_percent > given.most_percent
        print(json.dumps(asdict(cost)), flush=True)
    here.send("end")
    process.join(10)
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
