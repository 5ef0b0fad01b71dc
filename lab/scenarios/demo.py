"""``make demo``: from one finding to the report, on this machine, with everything running for real.

Exit status 0 only when the run succeeded, every step of the case left its record and the tools found every planted fact.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forensics.custody.chain import verify_chain
from forensics.models.base import format_utc
from forensics.models.case import CaseStatus, CaseView, Milestone
from forensics.models.containment import ContainmentState
from forensics.models.evidence import EvidenceKind, Outcome
from lab.emulator.iam import check as check_iam
from lab.paths import ROOT
from lab.progress import StandstillError
from lab.scenarios import expected
from lab.scenarios.driver import DriverError, Lab, finding
from lab.seed.member import THIEF
from lab.stack import celery, postgres
from lab.stack.process import StackError
from lab.stack.stack import Stack

# Seconds that the lab's AWS takes; real AWS takes minutes for the snapshots.
LATENCIES = {
    "snapshot_seconds": 4.0,
    "copy_seconds": 4.0,
    "instance_seconds": 3.0,
    "agent_seconds": 2.0,
    "volume_seconds": 1.0,
}
TITLE = "The EC2 instance is communicating with a known command and control server"
EXPECTED_MAIL = (
    "case_opened",
    "triage",
    "memory_acquired",
    "disks_acquired",
    "contained",
    "acquisition_complete",
    "report",
    "case_closed",
)


def told(mail: dict[str, Any]) -> set[str]:
    """The events that a message tells of: its own, and those of the digest in it (its last line is JSON for programs)."""
    facts = json.loads(mail["message"].rpartition("\n")[2])
    return {str(mail["attributes"].get("event")), *facts.get("digest", [])}


def say(text: str = "") -> None:
    """Print immediately, also into a pipe."""
    print(text, flush=True)


def play(lab: Lab) -> str:
    """Send the finding and follow the case to its end; returns the case id."""
    target = lab.instance("web-server")
    lab.wait_intake()
    say(f"\n== A GuardDuty finding about {target['instance_id']} is imported into Security Hub (account 111122223333)")
    sent = datetime.now(UTC)
    lab.import_finding(finding(target, title=TITLE))
    case = lab.wait_case(target["instance_id"], not_before=sent.replace(microsecond=0))
    say(f"   case {case.case_id} opened; watch it at {lab.stack.api_url}/dags/forensic_case/runs/{case.case_id}")
    say(f"   (user {lab.stack.user}, password {lab.stack.password})\n")
    shown = 0
    for task_id, state, at in lab.watch(case.case_id):
        if state not in {"scheduled", "queued"}:
            say(f"  {at:6.1f} s  {task_id:46s} {state}")
        mail = lab.mail()
        for message in mail[shown:]:
            say(f"            SNS: {message['subject']}")
        shown = len(mail)
    return case.case_id


def show(view: CaseView) -> None:
    """Print the case: timeline, plan, evidence, where everything is."""
    say("\n== Timeline of the case")
    for entry in sorted(view.timeline, key=lambda e: e.time):
        say(f"  {format_utc(entry.time)[11:23]}  {entry.kind.value:13s} {entry.what[:150]}")
    if view.plan:
        say("\n== Response plan")
        for decision in (view.plan.memory, view.plan.disk, view.plan.isolate):
            say(f"  {decision.action.value:8s} {'yes' if decision.go else 'no':4s} {'; '.join(decision.reasons)}")
    say("\n== Evidence")
    for item in view.evidence:
        say(f"  {item.evidence_id:36s} {item.outcome.value:9s} {item.size_bytes or ''} {item.uri}")
        for digest in item.digests:
            say(f"      sha256 {digest.value}  ({digest.subject}; computed by {digest.source})")
    if view.containment:
        say(f"\n== Containment: {view.containment.state.value} by group {view.containment.group_id}")
    say(f"\n== Custody ledger: {len(view.custody)} events, head {view.custody_head}")
    say("\n== Objects of the case")
    for uri in view.objects:
        say(f"  {uri}")
    start = view.milestones.get(Milestone.RECEIVED.value)
    say("\n== Times since the finding was received")
    for name, at in sorted(view.milestones.items(), key=lambda pair: pair[1]):
        say(
            f"  {name:24s} {format_utc(at)}  {(at - start).total_seconds():+8.1f} s"
            if start
            else f"  {name} {format_utc(at)}"
        )


def check(lab: Lab, case_id: str) -> list[str]:
    """What is missing; empty when the demo was complete."""
    view = lab.view(case_id)
    missing = []

    def need(condition: bool, what: str) -> None:
        if not condition:
            missing.append(what)

    need(lab.run(case_id)["state"] == "success", f"the DAG run ended {lab.run(case_id)['state']}")
    need(view.case.status is CaseStatus.CLOSED, f"the case is {view.case.status.value}")
    one = (
        EvidenceKind.MEMORY,
        EvidenceKind.CONTROL_PLANE,
        EvidenceKind.CLOUD_TRAIL,
        EvidenceKind.FLOW_LOGS,
        EvidenceKind.QUERY_LOGS,
        EvidenceKind.ACCOUNT_STATE,
    )
    kinds = {EvidenceKind.DISK: 2, **dict.fromkeys(one, 1)}
    for kind, count in kinds.items():
        good = [e for e in view.evidence if e.kind is kind and e.outcome is Outcome.ACQUIRED]
        need(len(good) == count, f"{len(good)} of {count} {kind.value} items acquired")
    need(
        view.containment is not None and view.containment.state is ContainmentState.NEW_FLOWS_BLOCKED,
        "the target is not isolated",
    )
    need({"memory", "disk", "cloud"} <= {r.tool for r in view.results}, "results of memory, disk and CloudTrail")
    told_titles = [f.title for r in view.results if r.tool == "cloud" for f in r.findings]
    need(any(THIEF in title for title in told_titles), f"that the credentials were used from {THIEF}")
    sent = {event for m in lab.mail() for event in told(m)}
    need(set(EXPECTED_MAIL) <= sent, f"SNS messages missing: {', '.join(sorted(set(EXPECTED_MAIL) - sent))}")
    need(verify_chain(view.custody) == view.custody_head, "the custody chain does not end at its head")
    need(any(uri.endswith("report.html") for uri in view.objects), "the report")
    states = [
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
        {"Name": "tag:forensics:case", "Values": [case_id]},
    ]
    need(
        not lab.forensic.client("ec2").describe_instances(Filters=states)["Reservations"],
        "the forensic instance is still there",
    )
    return missing + _refused(lab) + _unreached(lab) + _planted(lab, view)


def _refused(lab: Lab) -> list[str]:
    """What the templates' policies did not allow, in a lab that was deployed from them; in another nothing is evaluated."""
    record = lab.control("iam")
    if not record["enforce"]:
        return []
    asked, roles = record["asked"], {(a["account"], a["role"]) for a in record["asked"]}
    say(
        f"\n== IAM: {len(asked)} different authorizations of {len(roles)} roles, evaluated against the templates' policies"
    )
    return [f"allowed to {check_iam.step_of(a)}: {a['by']}" for a in check_iam.refusals(asked)]


def _unreached(lab: Lab) -> list[str]:
    """What found no way through the templates' network, or was not let through by an endpoint."""
    network = lab.control("network")
    if not network["enforce"]:
        return []
    say(f"== Network: {len(network['log'])} calls did not pass the routes, endpoints and names of the templates")
    return [f"{entry['action']} of {entry['service']}: {entry['reason']}" for entry in network["log"]]


def _planted(lab: Lab, view: CaseView) -> list[str]:
    known = lab.instance("web-server")["facts"]
    facts = [fact for kind in ("disk", "memory") for fact in expected.load(Path(known[kind]))]
    found = expected.compare(facts, view.results)
    say("\n== What was planted in the evidence, and what the tools say")
    for item in found:
        say(
            f"  {'found  ' if item.finding else 'MISSING'}  {item.fact['id']:30s} {(item.finding or item.fact['what'])[:120]}"
        )
    return [f"planted fact {f.fact['id']} was not found: {f.fact['what']}" for f in found if not f.finding]


def save_report(lab: Lab, view: CaseView) -> Path | None:
    """Copy the newest HTML report beside the lab's state, so that it can be opened after the lab is gone."""
    pages = sorted(uri for uri in view.objects if uri.endswith("report.html"))
    if not pages:
        return None
    bucket, key = pages[-1].removeprefix("s3://").split("/", 1)
    out = lab.stack.state / "report.html"
    out.write_bytes(lab.forensic.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    return out


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.scenarios.demo", description="One case from finding to report, on this machine."
    )
    default = Path(os.environ.get("LAB_STATE") or ROOT / ".lab") / "demo"
    parser.add_argument("--state", type=Path, default=default, help="state directory; %(default)s")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    say("== The lab (emulated AWS: three accounts) and Airflow start")
    try:
        with (
            postgres.database("postgres" if celery.chosen(None) else "sqlite") as (_, url),
            Stack(given.state, latencies=LATENCIES, database=url, report=say) as stack,
        ):
            lab = Lab(stack)
            case_id = play(lab)
            view = lab.view(case_id)
            show(view)
            missing = check(lab, case_id)
            report = save_report(lab, view)
    except (StackError, DriverError, StandstillError) as error:
        say(f"\nThe demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped; nothing is left running.")
        return 130
    if report:
        say(f"\n== The report: {report}")
    say(f"== {time.monotonic() - began:.0f} s in all\n")
    if missing:
        say("The demo FAILED; missing:")
        for item in missing:
            say(f"  - {item}")
        return 1
    say("The demo passed: every step is done and recorded, every planted fact was found.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
